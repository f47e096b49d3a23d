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

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/gen/inference"
)

const (
	// askTimeout bounds the question what the server is, and so how long the
	// first calls after connecting wait for its answer.
	askTimeout = 5 * time.Second
	// askAgain is how soon a server of the wrong kind is asked again, should
	// another have taken its place behind the same connection.
	askAgain = 10 * time.Second
)

// verifier asks the server what it is, once after each connecting and again
// while it is the wrong kind. Flavours read the same bytes differently (KServe's
// server takes Triton's repository_name for the model's name), so that what
// policy decided on would not be what is done: calls to a server that is known
// to be of another kind are refused, until it is not. Calls wait for the answer,
// for askTimeout at most. A server that does not tell, since it is away, does not
// serve the RPC or has a name of its own, is believed to be what the
// configuration says, unless it was of another kind before.
type verifier struct {
	name     string
	kind     Kind
	on       bool
	log      *slog.Logger
	mismatch func(bool)
	wrong    bool // only run's goroutine looks

	now     atomic.Pointer[verdict]
	mu      sync.Mutex    // held while now changes
	made    int           // connections, guarded by mu
	connect chan struct{} // one value while there is a connection not asked about
	ended   context.CancelFunc
	running sync.WaitGroup
}

// verdict is what is known of the server behind one connection.
type verdict struct {
	known chan struct{} // closed when err is there to be read
	err   *access.Error // nil: go on
}

// fine is the verdict that nothing stands against.
var fine = known(nil)

func known(err *access.Error) *verdict {
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
		v.on, v.log, v.mismatch = true, o.Verify.Log, o.Verify.Mismatch
	}
	return v
}

// asker is what the verifier asks: whatever is connected now.
type asker interface {
	// settled waits until a connection is made or has failed.
	settled(context.Context)
	ask(context.Context) (*inference.ServerMetadataResponse, error)
}

// start lets calls wait for what the server says from now on.
func (v *verifier) start(a asker) {
	if !v.on {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	v.ended = cancel
	v.connected()
	v.running.Go(func() { v.run(ctx, a) })
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
	if v.now.Load().isKnown() {
		v.now.Store(&verdict{known: make(chan struct{})})
	}
	select {
	case v.connect <- struct{}{}:
	default:
	}
}

// passed returns the error of a server of the wrong kind. It waits while that is
// not known.
func (v *verifier) passed(ctx context.Context) error {
	now := v.now.Load()
	if now == fine {
		return nil
	}
	select {
	case <-now.known:
	case <-ctx.Done():
		return ctx.Err()
	}
	if now.err != nil {
		return now.err
	}
	return nil
}

// Mismatch is the error of a server that is known to be of another kind than
// the configured one; nil otherwise. It does not wait.
func (v *verifier) Mismatch() error {
	if now := v.now.Load(); now.isKnown() && now.err != nil {
		return now.err
	}
	return nil
}

// run asks about each connection, until the verifier ends.
func (v *verifier) run(ctx context.Context, a asker) {
	defer v.settle(-1, nil) // nobody waits for what is not asked any more
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-v.connect:
		case <-again:
		}
		a.settled(ctx)
		v.mu.Lock()
		asked := v.made
		select { // what was made until here is what is asked about
		case <-v.connect:
		default:
		}
		v.mu.Unlock()
		refused := v.judge(ctx, a)
		again = nil
		if refused != nil {
			again = time.After(askAgain)
		}
		v.settle(asked, refused)
	}
}

// judge asks, and says with which error calls are refused.
func (v *verifier) judge(ctx context.Context, a asker) *access.Error {
	asking, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	m, err := a.ask(asking)
	kind := KindOf(m)
	switch {
	case err != nil:
		v.log.DebugContext(ctx, "a backend does not say what it is", "backend", v.name, "error", err)
		if v.wrong {
			return v.refusal("was of another kind, and does not say what it is now")
		}
		return nil
	case kind == "":
		v.log.WarnContext(ctx, "backend "+v.name+" answers as no known kind of server; it is believed to be what it is configured as",
			"backend", v.name, "type", string(v.kind), "server", access.Quote(m.GetName()))
	case kind != v.kind:
		v.tell(ctx, true, kind)
		return v.refusal("configured as " + string(v.kind) + ", answers as " + string(kind))
	}
	v.tell(ctx, false, kind)
	return nil
}

// refusal is what calls get; why is for the log alone.
func (v *verifier) refusal(why string) *access.Error {
	return &access.Error{
		Kind: access.Unavailable, Reason: access.ReasonBackendKind, Cause: backends.Unsent(errors.New(why)),
		Message: "the model's server is of another kind than this gateway is configured for; tell the platform team",
	}
}

// settle gives those who wait a verdict, and the calls to come, unless there is
// a newer connection than the one that was asked. Of number -1 it is the last.
func (v *verifier) settle(asked int, refused *access.Error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if asked >= 0 && asked != v.made {
		return
	}
	waiting, next := v.now.Load(), fine
	if refused != nil {
		next = known(refused)
	}
	v.now.Store(next)
	if !waiting.isKnown() {
		waiting.err = refused
		close(waiting.known)
	}
}

// tell says whether the server is of the wrong kind, when that changes.
func (v *verifier) tell(ctx context.Context, wrong bool, kind Kind) {
	if wrong == v.wrong {
		return
	}
	v.wrong = wrong
	if v.mismatch != nil {
		v.mismatch(wrong)
	}
	if wrong {
		v.log.ErrorContext(ctx, "backend "+v.name+" is configured as "+string(v.kind)+" but answers as "+string(kind)+"; its calls are refused until the two are the same",
			"backend", v.name, "type", string(v.kind), "answers_as", string(kind))
		return
	}
	v.log.InfoContext(ctx, "backend "+v.name+" is of the configured kind now", "backend", v.name, "type", string(v.kind))
}

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
