package models

import (
	"context"
	"time"

	"github.com/sluice-gateway/sluice/gen/inference"
)

// backend is what every model of the demo names as its backend, and hence the
// platform in its metadata.
const backend = "sluice-demo"

// model is one row of the table: what it looks like and what it computes.
type model struct {
	// config is the model's own; a load request may put another over it.
	config *inference.ModelConfig
	// run computes the answers to one call. A model that is not decoupled
	// sends exactly one, a decoupled one any number. It returns when ctx ends.
	// An error has a gRPC status and is the model's own, after validation.
	run func(ctx context.Context, c *call, send sendFunc) error
	// admit, where set, may still refuse a valid call before it runs.
	admit func(c *call) error
}

// sendFunc sends one answer. final says that it is the last one; a decoupled
// model that ends without having said so has ended with an empty answer.
type sendFunc func(outputs []tensor, final bool) error

// decoupled tells whether config's model answers each request any number of
// times.
func decoupled(config *inference.ModelConfig) bool {
	return config.GetModelTransactionPolicy().GetDecoupled()
}

// table lists the demo's models in the order of the index.
func table(chunkDelay time.Duration) []*model {
	return []*model{
		identityFP32(),
		addSub("prod-simple"),
		repeatInt32(),
		addSub("simple"),
		simpleIdentity(),
		simpleSequence(time.Now),
		simpleString(),
		tokens(chunkDelay),
	}
}

// sleep waits for d, or for the end of ctx, whose error it then returns.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
