// Package pool makes one backend of several replicas, as [backends.Replicated]
// says: it finds them, asks them whether they are ready, spreads calls, repeats
// what may be repeated when one dies, keeps sequences where they began, and bounds
// what is at the backend at once. DESIGN.md beside this file says by which rules.
//
// A backend of one address that cannot change is a pool too, of one replica,
// without anything that asks or waits: what is left of the pool there is whose a
// sequence is, and the limit if there is one.
package pool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// Options are what a pool is made of.
type Options struct {
	// Config is the backend's entry, defaults filled in.
	Config backends.Config
	// Open makes the replica at an address without waiting for its server. Where
	// the address was looked up, name is what was looked up, else it is empty.
	Open func(address, name string) (backends.Backend, error)
	// Lookup finds the addresses of a name; the system's resolver if nil.
	Lookup Lookup
	// Unwatched makes a pool that finds and asks replicas only when it is told to
	// ([Pool.Ask]).
	Unwatched bool
	// Logger hears of replicas that come, go, break and differ.
	Logger *slog.Logger
}

// Pool is a backend of replicas. It is safe for concurrent use.
type Pool struct {
	opts      Options
	name      string
	traits    backends.Traits
	log       *slog.Logger
	local     bool // one replica on this host: shared memory can be shared
	only      *member
	gate      *gate // nil without a limit
	sequences *sequences
	repeats   *repeats
	used      *usedModels
	facts     *backends.Models

	members  atomic.Pointer[[]*member] // sorted by address
	resolver *resolver                 // the watching goroutine's alone
	kick     chan struct{}             // a replica is in doubt: ask now
	drift    atomic.Pointer[[]Drift]
	stop     context.CancelFunc
	running  sync.WaitGroup
}

var _ backends.Replicated = (*Pool)(nil)

// New makes the pool and starts what watches over its replicas, unless there is
// one at an address that cannot change. Errors are those of opts.Open.
func New(opts Options) (*Pool, error) {
	c := opts.Config
	p := &Pool{
		opts: opts, name: c.Name, log: opts.Logger,
		gate:      newGate(c.Limits),
		sequences: newSequences(c.Sequences),
		repeats:   newRepeats(int64(c.Replicas.RepeatMemory)),
		used:      newUsedModels(),
		kick:      make(chan struct{}, 1),
	}
	p.facts = backends.NewModels(p)
	none := []*member{}
	p.members.Store(&none)
	p.drift.Store(new([]Drift))
	r, err := newResolver(c, opts.Lookup)
	if err != nil {
		return nil, fmt.Errorf("backend %s: %w", c.Name, err)
	}
	if err := p.first(r); err != nil {
		return nil, err
	}
	if r.fixed() && len(c.Addresses) == 1 {
		p.only = p.all()[0]
		p.local = c.Local()
	}
	p.resolver = r
	if p.only != nil || opts.Unwatched {
		p.stop = func() {}
		return p, nil
	}
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	p.running.Go(func() { p.watch(ctx) })
	return p, nil
}

// first opens the replicas whose addresses are known, and learns the traits, for
// which a replica at the looked-up name itself is opened where none is known.
func (p *Pool) first(r *resolver) error {
	known := r.static()
	for _, a := range known {
		b, err := p.opts.Open(a.address, a.name)
		if err != nil {
			return errors.Join(err, p.closeAll())
		}
		p.add(b, a.address)
	}
	if len(known) > 0 {
		p.traits = p.all()[0].Traits()
		return nil
	}
	a := r.example()
	b, err := p.opts.Open(a.address, a.name)
	if err != nil {
		return err
	}
	p.traits = b.Traits()
	return b.Close()
}

func (p *Pool) all() []*member { return *p.members.Load() }

// Name is the backend's name in the configuration.
func (p *Pool) Name() string { return p.name }

// Traits tells what kind of server the replicas are.
func (p *Pool) Traits() backends.Traits { return p.traits }

// Close ends the watching and all calls at all replicas.
func (p *Pool) Close() error {
	p.stop()
	p.running.Wait()
	return p.closeAll()
}

func (p *Pool) closeAll() error {
	var errs []error
	for _, m := range p.all() {
		errs = append(errs, m.close())
	}
	return errors.Join(errs...)
}

type metadataKey struct{}

// Outgoing keeps the caller's metadata for the replica that the call goes to,
// whose own the rules and the credential are.
func (p *Pool) Outgoing(ctx context.Context, metadata map[string][]string) (context.Context, error) {
	if p.only != nil {
		return p.only.Outgoing(ctx, metadata)
	}
	return context.WithValue(ctx, metadataKey{}, metadata), nil
}

// call is one unary call as Invoke was given it.
type call struct {
	method    string
	req, resp any
	opts      []grpc.CallOption
}

// Invoke sends a call to the replica that it belongs to, or, where it changes
// something, to all. An error after it was sent to several says how many failed;
// else errors are those of the last replica that was tried.
func (p *Pool) Invoke(ctx context.Context, method string, req, resp any, opts ...grpc.CallOption) error {
	c := call{method, req, resp, opts}
	if method == inference.GRPCInferenceService_ModelInfer_FullMethodName {
		return p.infer(ctx, c)
	}
	switch {
	case sharedMemory(method):
		if err := p.onThisHost(); err != nil {
			return err
		}
		return p.only.send(ctx, c)
	case p.only != nil:
		return p.only.send(ctx, c)
	case changes(method, req):
		return p.everywhere(ctx, c)
	case method == inference.GRPCInferenceService_ModelStatistics_FullMethodName:
		return p.statistics(ctx, c)
	case method == inference.GRPCInferenceService_ModelReady_FullMethodName:
		return p.modelReady(ctx, c)
	default:
		return p.anywhere(ctx, c, modelOf(req), true)
	}
}

// infer is the data path.
func (p *Pool) infer(ctx context.Context, c call) error {
	view, err := viewOf(c.req)
	if err != nil {
		return err
	}
	principal := caller(ctx)
	if p.gate != nil {
		if err := p.gate.enter(ctx, principal); err != nil {
			return err
		}
		defer p.gate.leave(principal)
	}
	pin, refused := p.pinned(ctx, view, principal)
	switch {
	case refused != nil:
		return refused
	case p.only != nil:
		p.only.serves(ctx)
		return p.only.send(ctx, c)
	case pin != nil:
		pin.serves(ctx)
		return pin.count(ctx, c)
	case usesSharedMemory(view):
		return p.onThisHost()
	}
	model := view.ModelName().String()
	err = p.anywhere(ctx, c, model, true)
	if err == nil {
		p.used.touch(model)
	}
	return err
}

// NewStream opens a stream on any replica. Who has messages of several models or
// sequences asks [Pool.Member] first.
func (p *Pool) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if p.only != nil {
		return p.only.NewStream(ctx, desc, method, opts...)
	}
	m := p.pick("", nil)
	if m == nil {
		return nil, errNobody()
	}
	ctx, err := m.prepare(ctx)
	if err != nil {
		return nil, err
	}
	return m.NewStream(ctx, desc, method, opts...)
}

// Member returns the replica for a message of a stream, as [backends.Replicated] says.
func (p *Pool) Member(ctx context.Context, request wire.InferRequest) (backends.Backend, *access.Error) {
	m, refused := p.pinned(ctx, request, caller(ctx))
	switch {
	case refused != nil:
		return nil, refused
	case p.only != nil:
		return p.only, nil
	case m != nil:
		return m, nil
	}
	model := request.ModelName().String()
	if m = p.pick(model, nil); m == nil {
		return nil, errNobody()
	}
	return m, nil
}

// errNobody is the error of a backend that has no replica at all.
func errNobody() *access.Error {
	return backends.Away(backends.Unsent(errors.New("the backend's name has no addresses")))
}

// caller is the id of the principal whose call it is; "" is the gateway itself.
func caller(ctx context.Context) string {
	if c := access.CallFrom(ctx); c != nil && c.Principal != nil {
		return c.Principal.ID()
	}
	return ""
}

// viewOf is the view of an infer request in any of the forms that Invoke takes.
func viewOf(req any) (wire.InferRequest, error) {
	switch r := req.(type) {
	case *wire.Message:
		return r.InferRequest()
	case wire.HandOver:
		return r.InferRequest()
	case *inference.ModelInferRequest:
		b, err := proto.Marshal(r)
		if err != nil {
			return wire.InferRequest{}, err
		}
		return wire.FromBytes(b).InferRequest()
	}
	return wire.InferRequest{}, fmt.Errorf("backends/pool: cannot read a %T", req)
}

// modelOf is the model that a control request names, if it does.
func modelOf(req any) string {
	switch r := req.(type) {
	case interface{ GetModelName() string }:
		return r.GetModelName()
	case interface{ GetName() string }:
		return r.GetName()
	}
	return ""
}

// sharedMemory tells the calls about shared memory.
func sharedMemory(method string) bool { return strings.Contains(method, "SharedMemory") }

// onThisHost refuses shared memory where it is not shared, or with several.
func (p *Pool) onThisHost() error {
	if p.local {
		return nil
	}
	return &access.Error{
		Kind: access.Unimplemented, Reason: access.ReasonUnsupported,
		Message: "shared memory works with a backend of one replica on the gateway's own host only; send the tensors inside the request",
	}
}

// usesSharedMemory tells whether a tensor of the request is in shared memory.
func usesSharedMemory(view wire.InferRequest) bool {
	const key = "shared_memory_region"
	for t := range view.Inputs() {
		if t.Parameters().Has(key) {
			return true
		}
	}
	for o := range view.Outputs() {
		if o.Parameters().Has(key) {
			return true
		}
	}
	return false
}

// now is the time, in nanoseconds, for the fields of members that are read
// without a lock.
func now() int64 { return time.Now().UnixNano() }
