package pool

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
	"google.golang.org/grpc"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
)

// health is what a replica said when it was asked last.
type health int32

const (
	unknown health = iota // not asked yet
	ready                 // it calls itself ready
	unready               // it answers, but calls itself not ready
	away                  // it does not answer
)

func (h health) String() string {
	return [...]string{"unknown", "ready", "unready", "away"}[h]
}

// maxEject is how long a replica is ejected at most, however often it was.
const maxEject = time.Minute

// member is one replica. The fields behind Backend are read on the data path
// without locks.
type member struct {
	backends.Backend
	pool    *Pool
	address string
	breaker *gobreaker.TwoStepCircuitBreaker[struct{}]

	outstanding atomic.Int64 // unary calls, and streams with what is unanswered on them
	health      atomic.Int32
	back        atomic.Int64 // since when it is used again; 0 is from the beginning
	ejectedTill atomic.Int64
	models      atomic.Pointer[map[string]bool] // whether it has those ready that it was asked about
	gone        atomic.Bool
	asking      atomic.Bool

	mu        sync.Mutex
	ejections int
	ejected   time.Time // the last time
}

var _ backends.Backend = (*member)(nil)

func (p *Pool) newMember(b backends.Backend, address string) *member {
	m := &member{Backend: b, pool: p, address: address}
	m.breaker = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name:         address,
		MaxRequests:  1,
		Interval:     breakerWindow,
		BucketPeriod: breakerWindow / 10,
		Timeout:      p.opts.Config.Replicas.Eject,
		ReadyToTrip:  trips,
		IsSuccessful: func(err error) bool { return !backends.IsAway(err) },
		IsExcluded:   func(err error) bool { return err != nil && !backends.IsAway(err) },
		OnStateChange: func(_ string, _, to gobreaker.State) {
			if to == gobreaker.StateOpen {
				m.eject()
			}
		},
	})
	return m
}

const (
	// breakerWindow is the time over which a breaker counts.
	breakerWindow = 20 * time.Second
	// tripAfter is how many calls in a row have to break.
	tripAfter = 3
	// tripShare is the part of all calls that have to break, of at least tripLeast.
	tripShare, tripLeast = 0.5, 10
)

// trips tells when a replica that calls itself ready is ejected all the same.
func trips(c gobreaker.Counts) bool {
	return c.ConsecutiveFailures >= tripAfter ||
		c.Requests >= tripLeast && float64(c.TotalFailures) >= tripShare*float64(c.Requests)
}

// eject keeps calls away for longer each time; a quiet minute makes up for one time.
func (m *member) eject() {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := time.Now()
	m.ejections = max(m.ejections-int(at.Sub(m.ejected)/maxEject), 0) + 1
	m.ejected = at
	length := m.pool.opts.Config.Replicas.Eject << min(m.ejections-1, 16)
	m.ejectedTill.Store(at.Add(min(length, maxEject)).UnixNano())
	m.back.Store(m.ejectedTill.Load())
}

func (m *member) isEjected(at int64) bool { return at < m.ejectedTill.Load() }

// rank tells how well a call for the model would be placed here, 0 best.
func (m *member) rank(model string, at int64) int {
	h := health(m.health.Load())
	known, has := m.modelReady(model)
	switch {
	case h == away || m.isEjected(at):
		return 3
	case h == unknown:
		return 2
	case known && !has, !known && h == unready:
		return 1
	}
	return 0
}

// modelReady is what the replica said about a model.
func (m *member) modelReady(model string) (known, isReady bool) {
	said := m.models.Load()
	if said == nil {
		return false, false
	}
	isReady, known = (*said)[model]
	return known, isReady
}

// spared tells whether a replica that is new or back lets this call pass by.
func (m *member) spared(at int64) bool {
	over := int64(m.pool.opts.Config.Replicas.SlowStart)
	since := m.back.Load()
	if since == 0 || at-since >= over {
		return false
	}
	return rand.Float64() > max(float64(at-since)/float64(over), leastShare)
}

// leastShare is the part of its calls that a replica gets at once when it is back.
const leastShare = 0.1

// doubt notes that a call at the replica has broken off: it is asked at once
// whether it lives, and gets no calls until it says so.
func (m *member) doubt() {
	m.health.Store(int32(away))
	m.pool.ask()
}

// send forwards a call of the pool's, with the metadata and the credential that
// are this replica's.
func (m *member) send(ctx context.Context, c call) error {
	ctx, err := m.prepare(ctx)
	if err != nil {
		return err
	}
	return m.Backend.Invoke(ctx, c.method, c.req, c.resp, c.opts...)
}

// Address is where the replica is.
func (m *member) Address() string { return m.address }

// serves notes that the replica is asked for a call.
func (m *member) serves(ctx context.Context) {
	if c := access.CallFrom(ctx); c != nil {
		c.Replica = m.address
	}
}

// prepare does for a context of [Pool.Outgoing] what the replica's own does.
func (m *member) prepare(ctx context.Context) (context.Context, error) {
	if m.pool.only != nil {
		return ctx, nil // done already
	}
	metadata, _ := ctx.Value(metadataKey{}).(map[string][]string)
	return m.Outgoing(ctx, metadata)
}

// count is send, counted.
func (m *member) count(ctx context.Context, c call) error {
	ctx, err := m.prepare(ctx)
	if err != nil {
		return err
	}
	return m.Invoke(ctx, c.method, c.req, c.resp, c.opts...)
}

// Invoke sends a unary call to this replica alone.
func (m *member) Invoke(ctx context.Context, method string, req, resp any, opts ...grpc.CallOption) error {
	m.outstanding.Add(1)
	defer m.outstanding.Add(-1)
	err := m.Backend.Invoke(ctx, method, req, resp, opts...)
	if backends.IsAway(err) && m.pool.only == nil {
		m.doubt()
	}
	return err
}

// Close does nothing: the replica is the pool's to close.
func (m *member) Close() error { return nil }

func (m *member) close() error { return m.Backend.Close() }
