package models

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/gen/inference"
)

// ModelInfer implements the RPC of that name.
func (s *Server) ModelInfer(ctx context.Context, req *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
	i, err := s.models.find(req.GetModelName(), req.GetModelVersion())
	if err != nil {
		return nil, err
	}
	if decoupled(i.config) {
		return nil, status.Error(codes.Unimplemented, "ModelInfer RPC doesn't support models with decoupled transaction policy")
	}
	c, err := s.newCall(i, req)
	if err != nil {
		return nil, err
	}
	var answer *inference.ModelInferResponse
	var failed error
	err = c.execute(ctx, func(r *inference.ModelInferResponse, err error, _ bool) error {
		answer, failed = r, err
		return nil
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return nil, asStatus(err)
	}
	return answer, nil
}

// deliverFunc takes one answer of a model: composed, or the error that kept it
// from being so.
type deliverFunc func(answer *inference.ModelInferResponse, failed error, final bool) error

// execute runs the model and counts what it did. Its error is the model's own,
// or that of ctx, or that of deliver.
func (c *call) execute(ctx context.Context, deliver deliverFunc) error {
	i := c.instance
	i.running.Add(1)
	defer i.running.Add(-1)
	start := time.Now()
	err := c.checkStrings()
	if err == nil {
		err = i.model.run(ctx, c, c.counting(start, deliver))
	}
	i.stats.request(max(c.batch, 1), time.Now(), time.Since(start), err == nil)
	return err
}

// counting composes each answer, delivers it, and counts it where the model is
// decoupled.
func (c *call) counting(start time.Time, deliver deliverFunc) sendFunc {
	last, n := start, 0
	return func(outputs []tensor, final bool) error {
		computed := time.Now()
		answer, err := c.compose(outputs)
		if decoupled(c.config()) {
			c.instance.stats.response(n, computed.Sub(last), time.Since(computed), err == nil)
		}
		n++
		err = deliver(answer, err, final)
		last = time.Now()
		return err
	}
}

// asStatus gives err a gRPC status where it has none: that of a context which
// has ended.
func asStatus(err error) error {
	if _, ok := status.FromError(err); ok {
		return err
	}
	return status.FromContextError(err).Err()
}
