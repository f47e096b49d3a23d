package pool

import (
	"context"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/sluice-gateway/sluice/backends"
)

// Status is what a pool knows of its backend at one time.
type Status struct {
	Backend  string          `json:"backend"`
	Type     string          `json:"type"`
	Replicas []ReplicaStatus `json:"replicas"`
	// Watched tells a backend whose replicas are asked and counted. One of a single
	// address that cannot change is not.
	Watched bool `json:"watched"`
	// Limited tells a backend with a limit. Inside and Waiting are the calls within
	// it and in its queue, Refused those that it refused so far.
	Limited bool  `json:"limited"`
	Inside  int   `json:"inside"`
	Waiting int   `json:"waiting"`
	Refused int64 `json:"refused"`
	// Repeated is how many calls were sent a second time so far.
	Repeated int64 `json:"repeated"`
	// Sequences is how many stateful sequences are live.
	Sequences int     `json:"sequences"`
	Drift     []Drift `json:"drift"`
}

// ReplicaStatus is what a pool knows of one replica.
type ReplicaStatus struct {
	Address string `json:"address"`
	// Health is ready, unready (it answers, but is not ready), away, or unknown.
	Health string `json:"health"`
	// Ejected tells a replica that gets no calls since too many broke.
	Ejected     bool  `json:"ejected"`
	Outstanding int64 `json:"outstanding"`
	// Mismatch tells a server of another kind than the configured one, which gets
	// no calls: both kinds. "" if nothing is known against it.
	Mismatch string `json:"mismatch,omitempty"`
	// Models has the models in use that the replica was asked about.
	Models map[string]bool `json:"models,omitempty"`
}

// Status returns what is known now; it asks nobody. A pool of one replica that
// cannot change knows nothing of its health.
func (p *Pool) Status() Status {
	s := Status{
		Backend: p.name, Type: p.opts.Config.Type,
		Watched: p.only == nil, Limited: p.gate != nil,
		Repeated: p.repeats.made.Load(), Sequences: p.sequences.Len(), Drift: *p.drift.Load(),
	}
	s.Inside, s.Waiting, s.Refused = p.gate.counts()
	at := time.Now().UnixNano()
	for _, m := range p.all() {
		r := ReplicaStatus{
			Address: m.address, Health: health(m.health.Load()).String(), Outstanding: m.outstanding.Load(),
			Ejected: m.isEjected(at) || m.breaker.State() == gobreaker.StateOpen,
		}
		if err := backends.Mismatch(m.Backend); err != nil {
			r.Mismatch = err.Error()
		}
		if models := m.models.Load(); models != nil {
			r.Models = *models
		}
		s.Replicas = append(s.Replicas, r)
	}
	return s
}

// Ask looks up names, asks every replica now, and returns what they said. It is
// for a pool that nobody watches.
func (p *Pool) Ask(ctx context.Context) Status {
	var leaving sync.WaitGroup
	p.settle(ctx, p.resolver.resolve(ctx), &leaving)
	leaving.Wait()
	var asking sync.WaitGroup
	for _, m := range p.all() {
		asking.Go(func() { m.probe(ctx, nil) })
	}
	asking.Wait()
	p.compare(ctx)
	return p.Status()
}
