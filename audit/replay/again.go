package replay

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/audit/payload"
	pb "github.com/sluice-gateway/sluice/gen/inference"
)

// Door is the gateway's, with the rights of who replays: his token, his masking.
type Door interface {
	Infer(ctx context.Context, r *pb.ModelInferRequest) (*pb.ModelInferResponse, error)
	// Stream sends one request on a stream of its own and yields its answers; an
	// error comes last.
	Stream(ctx context.Context, r *pb.ModelInferRequest) iter.Seq2[*pb.ModelStreamInferResponse, error]
}

// Options say where to requests are sent again, and how exactly answers have to
// agree.
type Options struct {
	// Model and Version take the place of the recorded ones; empty leaves them.
	Model, Version string
	// Absolute and Relative are how far two numbers may be apart: either is enough.
	Absolute, Relative float64
	// Timeout bounds each request. Default: 1 minute.
	Timeout time.Duration
}

// Result is what became of one request that was sent again.
type Result struct {
	Call *Call
	// Skipped says why it was not sent: nothing of it is kept, or not all.
	Skipped string
	// Masked tells that the request which was sent is the masked one: other answers
	// are to be expected. MaskedAnswers tells that the recorded answers are masked:
	// who may see more gets others.
	Masked, MaskedAnswers bool
	// Err is the error that it was answered with now.
	Err         error
	Differences []Difference
	Took        time.Duration
}

// Same tells whether it was answered as before.
func (r *Result) Same() bool { return r.Skipped == "" && r.Err == nil && len(r.Differences) == 0 }

const (
	defaultTimeout = time.Minute
	// maxAnswers bounds what is read of one stream, maxAnswerBytes of its bytes.
	maxAnswers     = 100_000
	maxAnswerBytes = 64 << 20
)

// Again sends the requests of a session again, one after the other and in their
// order, and compares the answers. Only inference is sent: what changed a model is
// not done a second time.
func Again(ctx context.Context, s *Session, door Door, o Options) iter.Seq[Result] {
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	return func(yield func(Result) bool) {
		for i := range s.Calls {
			if ctx.Err() != nil || !yield(again(ctx, &s.Calls[i], door, o)) {
				return
			}
		}
	}
}

func again(ctx context.Context, c *Call, door Door, o Options) Result {
	out := Result{Call: c}
	req, masked, why := recordedRequest(c)
	if out.Skipped = why; why != "" {
		return out
	}
	out.Masked = masked
	if o.Model != "" {
		req.ModelName, req.ModelVersion = o.Model, ""
	}
	if o.Version != "" {
		req.ModelVersion = o.Version
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	begun := time.Now()
	before, streamed := recordedAnswers(c)
	out.MaskedAnswers = slices.ContainsFunc(c.Content.Frames, func(f payload.Frame) bool { return f.Masked && !f.Asked() })
	var now []output
	if streamed {
		now, out.Err = all(door.Stream(ctx, req))
	} else {
		var resp *pb.ModelInferResponse
		if resp, out.Err = door.Infer(ctx, req); out.Err == nil {
			now = join(nil, resp)
		}
	}
	out.Took = time.Since(begun)
	if out.Err == nil && refusal(before) == nil {
		out.Err = refusal(now) // a stream's refusals are answers
	}
	if out.Err == nil {
		out.Differences = compare(before, now, o)
	}
	return out
}

// recordedRequest is what is sent again, or why nothing is.
func recordedRequest(c *Call) (req *pb.ModelInferRequest, masked bool, why string) {
	if c.Content == nil {
		return nil, false, c.Absent
	}
	i := slices.IndexFunc(c.Content.Frames, func(f payload.Frame) bool { return f.Kind == payload.Request })
	switch {
	case i < 0:
		return nil, false, "its request is not kept, or it is no inference"
	case c.Content.Frames[i].Cut:
		return nil, false, "its request was too large to be kept"
	}
	req = new(pb.ModelInferRequest)
	if proto.Unmarshal(c.Content.Frames[i].Message, req) != nil {
		return nil, false, "its request can't be read"
	}
	for _, in := range req.Inputs {
		if _, shared := in.Parameters[sharedMemory]; shared {
			return nil, false, "its data was in shared memory"
		}
	}
	for _, out := range req.Outputs {
		delete(out.Parameters, sharedMemory)
	}
	return req, c.Content.Frames[i].Masked, ""
}

// recordedAnswers are the outputs that were answered then; streamed tells whether
// they came on a stream.
func recordedAnswers(c *Call) (out []output, streamed bool) {
	for _, f := range c.Content.Frames {
		switch f.Kind {
		case payload.Answer:
			m := new(pb.ModelInferResponse)
			if proto.Unmarshal(f.Message, m) == nil {
				out = join(out, m)
			}
		case payload.Stream:
			streamed = true
			m := new(pb.ModelStreamInferResponse)
			if proto.Unmarshal(f.Message, m) == nil {
				out = joinStream(out, m)
			}
		}
	}
	return out, streamed || c.Record.RPC == "ModelStreamInfer"
}

// all reads a stream to its end.
func all(stream iter.Seq2[*pb.ModelStreamInferResponse, error]) (out []output, err error) {
	n, size := 0, 0
	for m, err := range stream {
		if err != nil {
			return out, err
		}
		n, size = n+1, size+proto.Size(m)
		if n > maxAnswers || size > maxAnswerBytes {
			return out, fmt.Errorf("replay: more than %d answers or %d MiB came", maxAnswers, maxAnswerBytes>>20)
		}
		out = joinStream(out, m)
	}
	return out, nil
}
