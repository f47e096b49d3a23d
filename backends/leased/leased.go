package leased

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"

	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/secret"
)

// Shows is what a connection shows of the secrets that are open. Both are an
// error while none are. They are safe for concurrent use.
type Shows struct {
	// Metadata is what is shown with each call, names in lower case.
	Metadata func() (map[string]string, error)
	// Pair is what is shown at a handshake; nil where nothing is.
	Pair func() (*tls.Certificate, error)
}

// Options say what is leased, and for which server.
type Options struct {
	// Config is the backend's entry, whose credential names stored secrets.
	Config  backends.Config
	Secrets *secret.Credentials
	// Open makes a connection to the server. It must connect to nothing before its
	// first call, and show of the credential what shows says.
	Open func(shows Shows) (backends.Backend, error)
	Log  *slog.Logger
}

// Backend is a server that is reached with stored secrets. It is safe for
// concurrent use.
type Backend struct {
	o     Options
	names []string // of the secrets
	stop  []func()
	face  atomic.Pointer[backends.Backend] // says what the server is; it may be closed

	mu      sync.Mutex
	now     *generation          // what new calls go over; nil where it could not be made
	old     map[*generation]bool // what others still go over
	over    bool
	closing sync.WaitGroup
}

var _ backends.Verified = (*Backend)(nil)

// New makes the backend. It opens no secret.
func New(o Options) (*Backend, error) {
	if o.Secrets == nil {
		return nil, errors.New("backend " + o.Config.Name + ": its credential is stored, and there is no store")
	}
	b := &Backend{o: o, names: o.Config.Credential.StoredSecrets(), old: make(map[*generation]bool)}
	var err error
	if b.now, err = b.fresh(); err != nil {
		return nil, err
	}
	for _, name := range b.names {
		b.stop = append(b.stop, o.Secrets.Watch(name, b.heard))
	}
	return b, nil
}

// fresh makes a generation that nobody has used.
func (b *Backend) fresh() (*generation, error) {
	g := new(generation)
	inner, err := b.o.Open(Shows{Metadata: g.metadata, Pair: g.certificate})
	if err != nil {
		return nil, err
	}
	g.Backend = inner
	b.face.Store(&inner)
	return g, nil
}

// Name is the backend's name in the configuration.
func (b *Backend) Name() string { return b.o.Config.Name }

// Traits tells what kind of server it is. With lease: approved each message of a
// stream has a lease of its own, by its own approval.
func (b *Backend) Traits() backends.Traits {
	t := (*b.face.Load()).Traits()
	t.Apart = b.o.Config.Credential.Lease == backends.LeaseApproved
	return t
}

// Mismatch is what the connection says.
func (b *Backend) Mismatch() error { return backends.Mismatch(*b.face.Load()) }

// Outgoing adds what goes on of a caller's metadata. The credential is added by
// the call itself, over what a caller has sent under its names.
func (b *Backend) Outgoing(ctx context.Context, metadata map[string][]string) (context.Context, error) {
	return (*b.face.Load()).Outgoing(ctx, metadata)
}

// Invoke makes one unary call under a lease.
func (b *Backend) Invoke(ctx context.Context, method string, req, resp any, opts ...grpc.CallOption) error {
	u, err := b.begin(ctx)
	if errors.Is(err, secret.ErrClosed) {
		return parked(resp)
	}
	if err != nil {
		return err
	}
	defer u.end()
	return u.scrub(u.Invoke(u.show(ctx), method, req, resp, opts...))
}

// NewStream opens a stream that has a lease until it ends.
func (b *Backend) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	u, err := b.begin(ctx)
	if errors.Is(err, secret.ErrClosed) {
		return nil, notOpen
	}
	if err != nil {
		return nil, err
	}
	inner, err := u.NewStream(u.show(ctx), desc, method, opts...)
	if err != nil {
		u.end()
		return nil, u.scrub(err)
	}
	// A stream that nobody reads to its end ends with its context.
	return &stream{ClientStream: inner, use: u, read: context.AfterFunc(ctx, u.end)}, nil
}

// Close ends the connections and all calls on them.
func (b *Backend) Close() error {
	for _, stop := range b.stop {
		stop()
	}
	b.mu.Lock()
	b.over = true
	all := b.old
	if b.now != nil {
		all[b.now] = true
	}
	b.now, b.old = nil, make(map[*generation]bool)
	b.mu.Unlock()
	var errs []error
	for g := range all {
		errs = append(errs, g.shut())
	}
	b.closing.Wait()
	return errors.Join(errs...)
}

// stream gives the lease back with the stream's last answer.
type stream struct {
	grpc.ClientStream
	use  *use
	read func() bool // tells that it was read to its end: its context may last far longer
}

func (s *stream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err != nil {
		s.read()
		s.use.end()
	}
	return s.use.scrub(err)
}
