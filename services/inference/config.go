package inference

import (
	"context"

	pb "github.com/sluice-gateway/sluice/gen/inference"
)

// ModelConfig returns the configuration of a model's version ("" is the latest)
// as its backend has it, from memory where it is fresh: for a step or a door that
// has to know a model's tensors. Nobody may write to it. It asks in the gateway's
// own name; whether the caller may use the model, who calls it has found out before.
func (s *Service) ModelConfig(ctx context.Context, model, version string) (*pb.ModelConfig, error) {
	b, refused := s.find(ctx, model)
	if refused != nil {
		return nil, refused
	}
	return s.models[b.Name()].Config(ctx, model, version)
}
