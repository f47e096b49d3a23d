package connection

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/credentials"

	"github.com/sluice-gateway/sluice/gen/inference"
)

const (
	// askTimeout bounds the question what the server is, and so how long the
	// first calls after connecting wait for its answer.
	askTimeout = 5 * time.Second
	// askAgain is how soon a server of the wrong kind is asked again, should
	// another have taken its place behind the same connection.
	askAgain = 10 * time.Second
	// maxLost is after how many connections in a row that did not last the
	// question the server counts as away.
	maxLost = 3
	// lostPause is how much longer each of them makes the pause before the next.
	lostPause = 100 * time.Millisecond
)

// verifier asks the server what it is, once after each connecting and again
// while it is the wrong kind. Flavours read the same bytes differently (KServe's
// server takes Triton's repository_name for the model's name), so that what
// policy decided on would not be what is done: calls to a server that is known
// to be of another kind are refused, until it is not. Calls wait for the answer,
// for askTimeout at most, and for the connection that it needs. A server that
// does not tell, since it does not serve the RPC or has a name of its own, is
// believed to be what the configuration says, unless it was of another kind before.
type verifier struct {
	name  string
	kind  Kind
	on    bool
	log   *slog.Logger
	told  func(bool)
	wrong bool // only run's goroutine looks

	asker   asker
	now     atomic.Pointer[verdict]
	mu      sync.Mutex    // held while now changes
	made    int           // connections, guarded by mu
	over    bool          // nobody asks any more, guarded by mu
	connect chan struct{} // one value while there is a connection not asked about
	ended   context.CancelFunc
	running sync.WaitGroup
}

// verdict is what is known of the server behind one connection.
type verdict struct {
	known chan struct{} // closed when err is there to be read
	err   error         // nil: go on
}

var (
	// fine is the verdict that nothing stands against, for as long as the
	// connection lasts that was asked about.
	fine = known(nil)
	// unasked is the verdict on a server that could not be asked, as it was away.
	unasked = known(nil)
)

func known(err error) *verdict {
	v := &verdict{known: make(chan struct{}), err: err}
	close(v.known)
	return v
}

func (v *verdict) isKnown() bool {
	select {
	case <-v.known:
		return true
	default:
		return false
	}
}

func newVerifier(o Options) *verifier {
	v := &verifier{name: o.Name, kind: o.Kind, connect: make(chan struct{}, 1), ended: func() {}}
	v.now.Store(fine)
	if o.Verify != nil {
		v.on, v.log, v.told = true, o.Verify.Log, o.Verify.Mismatch
	}
	return v
}

// asker is what the verifier asks: whatever is connected now.
type asker interface {
	// isConnected tells whether there is a connection.
	isConnected() bool
	// settled waits until a connection is made or has failed.
	settled(context.Context)
	ask(context.Context) (*inference.ServerMetadataResponse, error)
}

// start lets calls wait for what the server says from now on: it is asked now, or
// upon the first call.
func (v *verifier) start(a asker, now bool) {
	if !v.on {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	v.asker, v.ended = a, cancel
	if now {
		v.connected()
	}
	v.running.Go(func() { v.run(ctx) })
}

func (v *verifier) stop() {
	v.ended()
	v.running.Wait()
}

// connected notes a new connection, about which nothing is known.
func (v *verifier) connected() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.made++
	v.unknown()
}

// unknown makes calls wait for another answer. Its caller holds mu.
func (v *verifier) unknown() *verdict {
	if v.now.Load().isKnown() {
		v.now.Store(&verdict{known: make(chan struct{})})
	}
	select {
	case v.connect <- struct{}{}:
	default:
	}
	return v.now.Load()
}

// passed returns the error of a server of the wrong kind, or of one that could
// not be asked since it is away. It waits while that is not known.
func (v *verifier) passed(ctx context.Context) error {
	if !v.on {
		return nil
	}
	now := v.now.Load()
	switch now {
	case fine:
		if v.asker.isConnected() {
			return nil
		}
		now = v.ask()
	case unasked:
		now = v.ask()
	}
	select {
	case <-now.known:
		return now.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ask has the server asked, for there is no connection that has been: a call
// would go to whatever is connected next.
func (v *verifier) ask() *verdict {
	v.mu.Lock()
	defer v.mu.Unlock()
	if now := v.now.Load(); now != fine && now != unasked || v.over {
		return now
	}
	return v.unknown()
}

// Mismatch says of what kind the server is, where it is known to be of another one
// than configured ([backends.Verified]).
func (v *verifier) Mismatch() error {
	var e mismatch
	if now := v.now.Load(); now.isKnown() && errors.As(now.err, &e) {
		return e
	}
	return nil
}

// mismatch tells which two kinds there are.
type mismatch string

func (m mismatch) Error() string { return string(m) }

// watch makes credentials that say when there is a new connection, before any
// call is made on it.
func (v *verifier) watch(c credentials.TransportCredentials) credentials.TransportCredentials {
	if !v.on {
		return c
	}
	return &watched{c, v}
}

type watched struct {
	credentials.TransportCredentials
	verifier *verifier
}

func (w *watched) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	secured, info, err := w.TransportCredentials.ClientHandshake(ctx, authority, conn)
	if err == nil {
		w.verifier.connected()
	}
	return secured, info, err
}

func (w *watched) Clone() credentials.TransportCredentials {
	return &watched{w.TransportCredentials.Clone(), w.verifier}
}
