package pool

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/gen/inference"
)

const (
	// probeTimeout bounds a question to a replica; one that takes longer does not
	// answer.
	probeTimeout = 2 * time.Second
	// driftEvery is how often the replicas' models are compared.
	driftEvery = 30 * time.Second
	// doubtPause is between two rounds of questions at least: calls that break
	// must not make the gateway ask without end.
	doubtPause = 50 * time.Millisecond
)

// watch keeps the list of replicas and what is known of them, until ctx ends.
func (p *Pool) watch(ctx context.Context) {
	r := p.resolver
	r.log = func(host string, err error) {
		p.log.LogAttrs(ctx, slog.LevelWarn, "looking up a backend's name", slog.String("backend", p.name), slog.String("host", host), slog.Any("error", err))
	}
	var leaving sync.WaitGroup
	defer leaving.Wait()
	round := time.NewTimer(0)
	defer round.Stop()
	var resolved, compared time.Time
	for {
		if !r.fixed() && time.Since(resolved) >= p.opts.Config.Replicas.Resolve {
			p.settle(ctx, r.resolve(ctx), &leaving)
			resolved = time.Now()
		}
		p.probe(ctx)
		if time.Since(compared) >= driftEvery {
			p.running.Go(func() { p.compare(ctx) })
			compared = time.Now()
		}
		if !p.pause(ctx, round) {
			return
		}
	}
}

// pause waits for the next round: a while, or until a replica is in doubt.
func (p *Pool) pause(ctx context.Context, round *time.Timer) bool {
	round.Reset(p.opts.Config.Replicas.Check)
	select {
	case <-ctx.Done():
		return false
	case <-round.C:
		return true
	case <-p.kick:
	}
	round.Reset(doubtPause)
	select {
	case <-ctx.Done():
		return false
	case <-round.C:
		return true
	}
}

// ask starts a round of questions soon.
func (p *Pool) ask() {
	select {
	case p.kick <- struct{}{}:
	default: // one is on its way
	}
}

// settle makes the replicas those at places. Who is no more there gets no new
// calls, and is closed when its last has ended or the time for that is over.
func (p *Pool) settle(ctx context.Context, places []place, leaving *sync.WaitGroup) {
	for _, m := range p.all() {
		if !slices.ContainsFunc(places, func(at place) bool { return at.address == m.address }) {
			p.remove(m)
			leaving.Go(func() { p.drain(ctx, m) })
		}
	}
	for _, at := range places {
		if slices.ContainsFunc(p.all(), func(m *member) bool { return m.address == at.address }) {
			continue
		}
		b, err := p.opts.Open(at.address, at.name)
		if err != nil {
			p.log.LogAttrs(ctx, slog.LevelWarn, "opening a replica", slog.String("backend", p.name), slog.String("replica", at.address), slog.Any("error", err))
			continue
		}
		p.add(b, at.address).back.Store(now())
		p.log.LogAttrs(ctx, slog.LevelInfo, "replica found", slog.String("backend", p.name), slog.String("replica", at.address))
	}
}

// add puts a replica on the list.
func (p *Pool) add(b backends.Backend, address string) *member {
	m := p.newMember(b, address)
	all := append(slices.Clone(p.all()), m)
	slices.SortFunc(all, func(a, b *member) int { return cmp.Compare(a.address, b.address) })
	p.members.Store(&all)
	return m
}

func (p *Pool) remove(m *member) {
	m.gone.Store(true)
	all := slices.DeleteFunc(slices.Clone(p.all()), func(other *member) bool { return other == m })
	p.members.Store(&all)
}

// drain closes a replica that is off the list when it has nothing more to do.
func (p *Pool) drain(ctx context.Context, m *member) {
	ctx, cancel := context.WithTimeout(ctx, p.opts.Config.Replicas.Drain)
	defer cancel()
	look := time.NewTicker(drainLook)
	defer look.Stop()
	for m.outstanding.Load() > 0 {
		select {
		case <-look.C:
			continue
		case <-ctx.Done():
		}
		break
	}
	if err := m.close(); err != nil {
		p.log.LogAttrs(ctx, slog.LevelWarn, "closing a replica", slog.String("backend", p.name), slog.String("replica", m.address), slog.Any("error", err))
	}
}

// drainLook is how often it is looked whether a replica has ended its calls.
const drainLook = 100 * time.Millisecond

// probe asks every replica whether it is ready, and which of the models in use
// are ready on it. It waits for none: one that hangs must not keep the gateway
// from hearing that another is back.
func (p *Pool) probe(ctx context.Context) {
	models := p.used.list()
	for _, m := range p.all() {
		if m.asking.CompareAndSwap(false, true) {
			p.running.Go(func() {
				defer m.asking.Store(false)
				m.probe(ctx, models)
			})
		}
	}
}

// probe asks one replica. What a call that broke meanwhile has put in doubt stays
// in doubt until the next time.
func (m *member) probe(ctx context.Context, models []string) {
	before := health(m.health.Load())
	after := m.serverReady(ctx)
	if after != away {
		m.models.Store(m.modelsReady(ctx, models))
	}
	if before == after || ctx.Err() != nil {
		return
	}
	if before == away || m.back.Load() != 0 {
		m.back.Store(max(now(), m.ejectedTill.Load()))
	}
	if m.health.CompareAndSwap(int32(before), int32(after)) {
		m.pool.log.LogAttrs(ctx, slog.LevelInfo, "replica changed", slog.String("backend", m.pool.name), slog.String("replica", m.address),
			slog.String("from", before.String()), slog.String("to", after.String()))
	}
}

func (m *member) serverReady(ctx context.Context) health {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var resp inference.ServerReadyResponse
	err := m.send(ctx, call{method: inference.GRPCInferenceService_ServerReady_FullMethodName, req: &inference.ServerReadyRequest{}, resp: &resp})
	switch {
	case err != nil:
		return away
	case !resp.GetReady():
		return unready
	}
	return ready
}

// modelsReady asks about each model. What is not answered is not known.
func (m *member) modelsReady(ctx context.Context, models []string) *map[string]bool {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	said := make(map[string]bool, len(models))
	for _, model := range models {
		var resp inference.ModelReadyResponse
		err := m.send(ctx, call{method: inference.GRPCInferenceService_ModelReady_FullMethodName, req: &inference.ModelReadyRequest{Name: model}, resp: &resp})
		if err == nil {
			said[model] = resp.GetReady()
		}
	}
	return &said
}
