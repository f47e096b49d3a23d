package models

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/gen/inference"
)

// maxResponseStats bounds how many answers of one request are counted each by
// itself: their number is the client's to choose.
const maxResponseStats = 1024

// statistics counts what one loaded model did; a load begins anew.
type statistics struct {
	mu         sync.Mutex
	last       time.Time
	inferences uint64
	executions uint64
	total      *inference.InferStatistics
	batches    map[int64]*inference.InferBatchStatistics
	responses  map[int]*inference.InferResponseStatistics
}

// newStatistics returns zeros in all fields: perf_analyzer reads them without
// asking whether they are there.
func newStatistics() *statistics {
	return &statistics{
		total: &inference.InferStatistics{
			Success: &inference.StatisticDuration{}, Fail: &inference.StatisticDuration{}, Queue: &inference.StatisticDuration{},
			ComputeInput: &inference.StatisticDuration{}, ComputeInfer: &inference.StatisticDuration{}, ComputeOutput: &inference.StatisticDuration{},
			CacheHit: &inference.StatisticDuration{}, CacheMiss: &inference.StatisticDuration{},
		},
		batches:   map[int64]*inference.InferBatchStatistics{},
		responses: map[int]*inference.InferResponseStatistics{},
	}
}

// add counts one event that took so long.
func add(d *inference.StatisticDuration, took time.Duration) {
	d.Count++
	d.Ns += uint64(max(took, 0)) //nolint:gosec // not negative
}

// request counts one request that ran.
func (s *statistics) request(batch int64, at time.Time, took time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = at
	if !ok {
		add(s.total.GetFail(), took)
		return
	}
	s.inferences += uint64(batch) //nolint:gosec // at least 1
	s.executions++
	add(s.total.GetSuccess(), took)
	add(s.total.GetQueue(), 0)
	add(s.total.GetComputeInput(), 0)
	add(s.total.GetComputeInfer(), took)
	add(s.total.GetComputeOutput(), 0)
	b := s.batches[batch]
	if b == nil {
		b = &inference.InferBatchStatistics{
			BatchSize:    uint64(batch), //nolint:gosec // at least 1
			ComputeInput: &inference.StatisticDuration{}, ComputeInfer: &inference.StatisticDuration{}, ComputeOutput: &inference.StatisticDuration{},
		}
		s.batches[batch] = b
	}
	add(b.GetComputeInput(), 0)
	add(b.GetComputeInfer(), took)
	add(b.GetComputeOutput(), 0)
}

// response counts the answer number index to a request of a decoupled model.
func (s *statistics) response(index int, infer, output time.Duration, ok bool) {
	if index >= maxResponseStats {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.responses[index]
	if r == nil {
		r = &inference.InferResponseStatistics{
			ComputeInfer: &inference.StatisticDuration{}, ComputeOutput: &inference.StatisticDuration{}, Success: &inference.StatisticDuration{},
			Fail: &inference.StatisticDuration{}, EmptyResponse: &inference.StatisticDuration{}, Cancel: &inference.StatisticDuration{},
		}
		s.responses[index] = r
	}
	add(r.GetComputeInfer(), infer)
	add(r.GetComputeOutput(), output)
	if ok {
		add(r.GetSuccess(), infer+output)
	} else {
		add(r.GetFail(), infer+output)
	}
}

// report returns a copy of the counts.
func (s *statistics) report(name, version string) *inference.ModelStatistics {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &inference.ModelStatistics{
		Name: name, Version: version, InferenceCount: s.inferences, ExecutionCount: s.executions,
		InferenceStats: proto.CloneOf(s.total),
		ResponseStats:  make(map[string]*inference.InferResponseStatistics, len(s.responses)),
	}
	if !s.last.IsZero() {
		m.LastInference = uint64(s.last.UnixMilli()) //nolint:gosec // not before 1970
	}
	for _, size := range slices.Sorted(maps.Keys(s.batches)) {
		m.BatchStats = append(m.BatchStats, proto.CloneOf(s.batches[size]))
	}
	for index, r := range s.responses {
		m.ResponseStats[strconv.Itoa(index)] = proto.CloneOf(r)
	}
	return m
}

// ModelStatistics implements the RPC of that name; without a name it answers
// for all models that are ready.
func (s *Server) ModelStatistics(_ context.Context, req *inference.ModelStatisticsRequest) (*inference.ModelStatisticsResponse, error) {
	v, err := parseVersion(req.GetVersion())
	if err != nil {
		return nil, err
	}
	answer := &inference.ModelStatisticsResponse{}
	known := false
	for _, i := range s.models.loaded() {
		name := i.config.GetName()
		known = known || name == req.GetName()
		if (req.GetName() == "" || req.GetName() == name) && (v == -1 || v == i.version) {
			answer.ModelStats = append(answer.ModelStats, i.stats.report(name, strconv.FormatInt(i.version, 10)))
		}
	}
	switch {
	case req.GetName() == "" || len(answer.GetModelStats()) > 0:
		return answer, nil
	case known:
		return nil, invalid("requested model version is not available for model '%s'", req.GetName())
	}
	return nil, invalid("requested model '%s' is not available", req.GetName())
}
