package generate

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/gen/inference"
)

// statistics counts requests by model. Only models that the server has are
// counted, so that callers' names fill no memory.
type statistics struct {
	mu     sync.Mutex
	models map[string]*counts
}

type counts struct {
	success, fail     uint64
	successNs, failNs uint64
	last              time.Time
}

func newStatistics() *statistics { return &statistics{models: make(map[string]*counts)} }

// add counts one request that reached the server.
func (s *statistics) add(model string, took time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.models[model]
	if c == nil {
		if len(s.models) >= maxModels {
			return
		}
		c = new(counts)
		s.models[model] = c
	}
	ns := uint64(max(took, 0)) //nolint:gosec // not negative
	c.last = time.Now()
	if ok {
		c.success++
		c.successNs += ns
		return
	}
	c.fail++
	c.failNs += ns
}

// of is what was counted of a model. All fields are there: perf_analyzer reads
// them without asking.
func (s *statistics) of(model string) *inference.ModelStatistics {
	s.mu.Lock()
	defer s.mu.Unlock()
	var c counts
	if have := s.models[model]; have != nil {
		c = *have
	}
	none := &inference.StatisticDuration{}
	all := &inference.StatisticDuration{Count: c.success, Ns: c.successNs}
	out := &inference.ModelStatistics{
		Name: model, Version: Version, InferenceCount: c.success, ExecutionCount: c.success,
		InferenceStats: &inference.InferStatistics{
			Success: all, Fail: &inference.StatisticDuration{Count: c.fail, Ns: c.failNs}, ComputeInfer: all,
			Queue: none, ComputeInput: none, ComputeOutput: none, CacheHit: none, CacheMiss: none,
		},
	}
	if !c.last.IsZero() {
		out.LastInference = uint64(c.last.UnixMilli()) //nolint:gosec // after 1970
	}
	return out
}

// saidNo keeps an error to report, unless it is the server's word that it isn't
// ready, as vLLM's 503 of /health is.
func saidNo(err error) error {
	var own *access.Error
	if errors.As(err, &own) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if code := status.Code(err); code == codes.Unavailable || code == codes.Internal {
		return nil
	}
	return err
}
