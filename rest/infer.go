package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/rest/dialect"
	"github.com/sluice-gateway/sluice/wire"
)

// headerLength is the header that says how much of a body is JSON.
const headerLength = "Inference-Header-Content-Length"

// grpcDecoupled is what Triton says on gRPC of a model that does not answer once
// for each request, and httpDecoupled what it says on HTTP.
const (
	grpcDecoupled = "ModelInfer RPC doesn't support models with decoupled transaction policy"
	httpDecoupled = "HTTP end point doesn't support models with decoupled transaction policy"
)

// infer serves …/infer.
func (d *Door) infer(_ http.ResponseWriter, r *http.Request, path map[string]string) {
	x := exchangeOf(r.Context())
	s := &inferSource{x: x, request: dialect.Infer{Model: modelName(path["name"]), Version: path["version"], JSON: -1}}
	reply := new(wire.Message)
	err := d.conn.Invoke(r.Context(), pb.GRPCInferenceService_ModelInfer_FullMethodName, s, reply)
	defer reply.Free()
	if err != nil {
		x.failInfer(err, s.read)
		return
	}
	answer, err := dialect.NewAnswer(reply, &s.request.Wanted)
	if err != nil {
		x.failAnswer(err)
		return
	}
	x.send(answer)
}

// failInfer answers an error in the form that Triton gives it: text/plain for
// what it finds before it reads the JSON, a model that there is not among them,
// and for what a model fails with.
func (x *exchange) failInfer(err error, read bool) {
	contentType := applicationJSON
	switch st := status.Convert(err); {
	case st.Code() == codes.Unimplemented && st.Message() == grpcDecoupled:
		contentType, err = textPlain, status.Error(codes.Unimplemented, httpDecoupled)
	case !read, st.Code() == codes.NotFound, st.Code() == codes.Internal && x.failed == nil:
		contentType = textPlain
	}
	x.fail(err, contentType)
}

// failAnswer answers with what is wrong with a backend's answer.
func (x *exchange) failAnswer(err error) {
	var wrong *dialect.Error
	if errors.As(err, &wrong) {
		x.write(wrong.Status, textPlain, wrong.Text)
		return
	}
	x.write(http.StatusInternalServerError, textPlain, "the model's answer can't be read")
}

// inferSource is the request of an inference, whose body is read when the chain
// asks for it.
type inferSource struct {
	x       *exchange
	request dialect.Infer
	read    bool // the JSON has been looked at
}

var _ wire.Source = (*inferSource)(nil)

// Receive reads the body and makes the message.
func (s *inferSource) Receive(ctx context.Context, in *wire.Intake) error {
	if err := s.receive(ctx, in); err != nil {
		return s.x.refuse(err)
	}
	return nil
}

func (s *inferSource) receive(ctx context.Context, in *wire.Intake) error {
	from, known, err := s.x.inflated(in)
	if err != nil {
		return err
	}
	defer from.Close()
	if s.request.JSON, err = s.x.jsonLength(known); err != nil {
		return err
	}
	if known > int64(in.Max()) {
		return &dialect.Error{Status: http.StatusBadRequest, Text: fmt.Sprintf("the body exceeds the maximum allowed size of %d bytes", in.Max())}
	}
	if known > 0 {
		if err := in.Fits(int(known)); err != nil {
			return err
		}
	}
	s.read = true
	if s.request.JSON == 0 {
		config, err := s.x.door.opts.ModelConfig(ctx, s.x.call, s.request.Model, s.request.Version)
		if err != nil {
			return s.unknown(err, in)
		}
		if config.GetModelTransactionPolicy().GetDecoupled() {
			return status.Error(codes.Unimplemented, grpcDecoupled)
		}
		return s.request.ReceiveRaw(from, config, in)
	}
	return s.request.Receive(from, in)
}

// unknown is what becomes of a request for a model that can't be asked about:
// one that the caller may not use is refused by policy, which needs its name alone.
func (s *inferSource) unknown(err error, in *wire.Intake) error {
	if errors.Is(err, ErrNotAllowed) {
		return (&dialect.Generate{Model: s.request.Model, Version: s.request.Version}).Name(in)
	}
	return err
}

// jsonLength is how much of a body of a known length is JSON: 0 for none, which
// an empty body has too, and -1 for all of it.
func (x *exchange) jsonLength(known int64) (int64, error) {
	values := x.http.Header.Values(headerLength)
	if len(values) == 0 {
		if known == 0 {
			return 0, nil
		}
		return -1, nil
	}
	text := values[0]
	n, err := strconv.ParseInt(text, 10, 32)
	switch {
	case len(values) > 1:
		return 0, &dialect.Error{Status: http.StatusBadRequest, Text: headerLength + " is there more than once"}
	case errors.Is(err, strconv.ErrSyntax):
		return 0, &dialect.Error{Status: http.StatusBadRequest, Text: fmt.Sprintf("Unable to parse %s, got: %s", headerLength, text)}
	case err != nil, n < 0, known >= 0 && n > known:
		return 0, &dialect.Error{Status: http.StatusBadRequest, Text: fmt.Sprintf("inference header size should be in range (0, %d), got: %s", max(known, 0), text)}
	}
	return n, nil
}

// send writes an answer, compressed if that is what the caller would rather have.
func (x *exchange) send(a *dialect.Answer) {
	h := x.Header()
	out := newOutput(x, x.http.Header.Get("Accept-Encoding"))
	defer out.close()
	if a.Binary() == 0 {
		h.Set("Content-Type", applicationJSON)
		p := out.page()
		if a.JSON(p) == nil {
			out.last(p.Rest(), p.Size() == int64(len(p.Rest())))
		}
		return
	}
	h.Set("Content-Type", "application/octet-stream")
	// How long the JSON is has to be said before it: it is made once to be
	// measured, and again if it was more than a page.
	measure := out.measuring()
	if a.JSON(measure) != nil {
		return
	}
	size := measure.Size()
	h.Set(headerLength, strconv.FormatInt(size, 10))
	out.length(size + a.Binary())
	if size == int64(len(measure.Rest())) {
		_, _ = out.Write(measure.Rest())
	} else if p := out.page(); a.JSON(p) == nil {
		_, _ = out.Write(p.Rest())
	}
	_ = a.WriteBinary(out)
}
