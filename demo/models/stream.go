package models

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/gen/inference"
)

// maxRunning bounds the decoupled requests of one stream that run at a time;
// the stream is not read on while so many do.
const maxRunning = 256

// stream is one ModelStreamInfer. Requests of models that are not decoupled
// are run where they are read, so that their answers keep the requests' order;
// the others run beside them.
type stream struct {
	server *Server
	grpc.BidiStreamingServer[inference.ModelInferRequest, inference.ModelStreamInferResponse]
	// statuses: the client wants a model's error to end the stream.
	statuses bool
	// fail ends the stream with a status.
	fail    context.CancelCauseFunc
	sending sync.Mutex
	running sync.WaitGroup
	slots   chan struct{}
}

// received is what one Recv returned.
type received struct {
	request *inference.ModelInferRequest
	err     error
}

// ModelStreamInfer implements the RPC of that name. It ends when the client
// has half-closed and all that it asked for is answered.
func (s *Server) ModelStreamInfer(g grpc.BidiStreamingServer[inference.ModelInferRequest, inference.ModelStreamInferResponse]) error {
	ctx, cancel := context.WithCancelCause(g.Context())
	md, _ := metadata.FromIncomingContext(ctx)
	st := &stream{
		server: s, BidiStreamingServer: g,
		statuses: slices.Contains(md.Get("triton_grpc_error"), "true"),
		fail:     cancel,
		slots:    make(chan struct{}, maxRunning),
	}
	defer st.running.Wait()
	defer cancel(nil)
	requests := make(chan received)
	go st.read(ctx, requests)
	for {
		select {
		case r := <-requests:
			switch {
			case errors.Is(r.err, io.EOF):
				st.running.Wait()
				return ended(ctx)
			case r.err != nil:
				return r.err
			}
			st.serve(ctx, r.request)
		case <-ctx.Done():
			return ended(ctx)
		}
	}
}

// read hands on what arrives. It touches nothing else, for it may outlive the
// handler by the moment that its Recv takes to notice the end.
func (st *stream) read(ctx context.Context, requests chan<- received) {
	for {
		req, err := st.Recv()
		select {
		case requests <- received{req, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// ended is the status of a stream whose context may have been ended early.
func ended(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return asStatus(context.Cause(ctx))
}

// serve answers one request, or starts to.
func (st *stream) serve(ctx context.Context, req *inference.ModelInferRequest) {
	i, err := st.server.models.find(req.GetModelName(), req.GetModelVersion())
	var c *call
	if err == nil {
		c, err = st.server.newCall(i, req)
	}
	switch {
	case err != nil:
		st.refuse(req, err)
	case !decoupled(i.config):
		st.run(ctx, c)
	default:
		select {
		case st.slots <- struct{}{}:
			st.running.Go(func() {
				defer func() { <-st.slots }()
				st.run(ctx, c)
			})
		case <-ctx.Done():
		}
	}
}

// refuse reports what is wrong with a request that did not get to a model: the
// stream goes on, and the message has the request's id and nothing else.
func (st *stream) refuse(req *inference.ModelInferRequest, err error) {
	st.send(&inference.ModelStreamInferResponse{
		ErrorMessage:  status.Convert(err).Message(),
		InferResponse: &inference.ModelInferResponse{Id: req.GetId()},
	})
}

// run executes c and sends each answer with the flag of the last one.
func (st *stream) run(ctx context.Context, c *call) {
	ends := !decoupled(c.instance.config)
	closed := false
	err := c.execute(ctx, func(answer *inference.ModelInferResponse, failed error, final bool) error {
		final = final || ends
		closed = closed || final
		if failed != nil {
			st.report(c, failed, final)
			return nil
		}
		return st.send(&inference.ModelStreamInferResponse{InferResponse: finalFlag(answer, final)})
	})
	switch {
	case ctx.Err() != nil:
	case err != nil:
		st.report(c, err, true)
	case !closed && c.emptyFinal:
		st.send(&inference.ModelStreamInferResponse{InferResponse: c.bare(true)})
	}
}

// report sends an error of the model's own, or ends the stream with it where
// the client has asked for statuses.
func (st *stream) report(c *call, err error, final bool) {
	err = asStatus(err)
	if st.statuses {
		st.fail(err)
		return
	}
	st.send(&inference.ModelStreamInferResponse{ErrorMessage: status.Convert(err).Message(), InferResponse: c.bare(final)})
}

// bare is the answer that has no data: it shows the version as it was asked
// for, not the one that ran.
func (c *call) bare(final bool) *inference.ModelInferResponse {
	return finalFlag(&inference.ModelInferResponse{
		Id: c.request.GetId(), ModelName: c.request.GetModelName(), ModelVersion: c.request.GetModelVersion(),
	}, final)
}

// finalFlag says on answer whether it is the last one to its request. Every
// answer on a stream has the flag, and none over ModelInfer.
func finalFlag(answer *inference.ModelInferResponse, final bool) *inference.ModelInferResponse {
	answer.Parameters = map[string]*inference.InferParameter{
		"triton_final_response": {ParameterChoice: &inference.InferParameter_BoolParam{BoolParam: final}},
	}
	return answer
}

// send writes one message; a failure to do so ends the stream, and running
// models hear of it.
func (st *stream) send(m *inference.ModelStreamInferResponse) error {
	st.sending.Lock()
	defer st.sending.Unlock()
	err := st.Send(m)
	if err != nil {
		st.fail(err)
	}
	return err
}
