package inference

import (
	"context"
	"errors"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

var streamDesc = &grpc.StreamDesc{StreamName: "ModelStreamInfer", ClientStreams: true, ServerStreams: true}

// ModelStreamInfer serves one stream. Its messages may be for different models
// and so for different backends, each of which gets one stream, opened by the
// first message for it, and more where a step follows requests ([lane]) or where the
// backend wants each message apart ([backends.Traits]). Refused
// messages get their own error message, in the order of the requests;
// everything else goes on.
//
// The handler's goroutine carries the answers of the first backend, a second
// one reads requests, and each further backend has one more. All but the reader
// end before the handler does; the reader ends when the handler has, which is
// what ends grpc-go's read.
func (s *Service) ModelStreamInfer(_ any, ss grpc.ServerStream) error {
	ctx, cancel := context.WithCancel(ss.Context())
	defer cancel()
	r := &relay{service: s, client: ss, ctx: ctx, cancel: cancel, upstreams: make(map[route]*upstream), line: newLine(ctx, ss), own: make(chan struct{}, maxOwn)}
	defer r.line.close()

	first, err := r.next()
	if err != nil {
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	}
	r.live.Add(1) // the reader's
	go func() {
		defer r.live.Done()
		r.end(caught(r.read))
	}()
	r.pump(first)
	err = r.wait()
	if ss.Context().Err() == nil { // nobody has cancelled
		_ = r.line.finish(nil)
	}
	return err
}

// relay is one client's stream on its way.
type relay struct {
	service *Service
	client  grpc.ServerStream
	ctx     context.Context //nolint:containedctx // the stream's own
	cancel  context.CancelFunc
	line    *line

	// upstreams is the reader's alone. Those of a single request are not in it.
	upstreams map[route]*upstream
	own       chan struct{} // one token for each upstream of a single request

	pumps sync.WaitGroup
	live  sync.WaitGroup

	mu  sync.Mutex
	err error // the first that ended something
}

// route is where an upstream leads.
type route struct {
	backend backends.Backend
	lane    lane
}

// upstream is a stream to one backend.
type upstream struct {
	route
	single bool // it is one request's, and ends with it
	stream grpc.ClientStream
	mu     sync.Mutex
	over   bool // the backend has ended it

	named map[string]*follow // by id; the line's
	last  *follow            // whose answer came last, known by its head; the line's
	gone  bool               // what waited for it was given up; the line's
}

// end notes why a part of the relay ended; any reason but a good end ends all.
func (r *relay) end(err error) {
	if err == nil {
		return
	}
	r.mu.Lock()
	if r.err == nil {
		r.err = err
	}
	r.mu.Unlock()
	r.cancel()
}

// starts counts one more pump, unless everything is ending.
func (r *relay) starts() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return false
	}
	r.pumps.Add(1)
	return true
}

// wait returns when nothing of the relay sends any more: at the good end after
// the reader, at a bad one before it.
func (r *relay) wait() error {
	idle := make(chan struct{})
	go func() { // ends with the reader, which ends with the call
		r.live.Wait()
		r.pumps.Wait()
		close(idle)
	}()
	select {
	case <-idle:
	case <-r.ctx.Done():
		r.end(r.ctx.Err()) // from now on no pump starts
		r.pumps.Wait()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// read carries requests until the client half-closes, and passes that on.
func (r *relay) read() error {
	for {
		u, err := r.next()
		if errors.Is(err, io.EOF) {
			return r.closeSend()
		}
		if err != nil {
			return err
		}
		if u != nil && r.starts() {
			go func() {
				defer r.pumps.Done()
				r.end(caught(func() error { r.pump(u); return nil }))
			}()
		}
	}
}

func (r *relay) closeSend() error {
	for _, u := range r.upstreams {
		if err := u.stream.CloseSend(); err != nil {
			return err
		}
	}
	return nil
}

// next carries requests until one opens an upstream, which it returns.
func (r *relay) next() (*upstream, error) {
	for {
		m := new(wire.Message)
		err := r.client.RecvMsg(m)
		if err != nil {
			m.Free()
			var refused *access.MessageError
			if !errors.As(err, &refused) {
				return nil, err
			}
			if err := r.line.refuse(refused); err != nil {
				return nil, err
			}
			continue
		}
		u, err := r.carry(m)
		m.Free()
		if u != nil || err != nil {
			return u, err
		}
	}
}

// carry sends one request on, and returns the upstream if it was opened for it.
func (r *relay) carry(m *wire.Message) (*upstream, error) {
	view, err := m.InferRequest()
	if err != nil {
		return nil, err
	}
	model, id := view.ModelName().String(), view.ID().String()
	var u *upstream
	var opened bool
	var refused *access.Error
	for {
		u, opened, refused, err = r.lead(m, view, model, id)
		if refused != nil || err != nil {
			break
		}
		if err := r.await(u, m, view, model, id); !errors.Is(err, errGone) {
			if err != nil {
				return nil, err
			}
			break
		} // the stream has ended since: the next one is another
	}
	switch {
	case refused != nil:
		r.heard(id, model, refused)
		return nil, r.line.refuse(&access.MessageError{ID: id, Err: refused})
	case err != nil:
		st, ok := status.FromError(err)
		if _, own := access.AsError(err); own || !ok || r.ctx.Err() != nil {
			return nil, err
		}
		r.heard(id, model, &access.Error{Kind: access.Unavailable, Reason: access.ReasonBackendAway, Message: st.Message()})
		return nil, r.line.fail(id, st.Message(), "") // the server's own, who was asked about the model
	}
	routed(r.ctx, u.backend)
	if err := r.send(u, m, view); err != nil {
		return nil, err
	}
	if opened {
		return u, nil
	}
	return nil, nil
}

// heard tells the record that a request which was let through goes no further.
func (r *relay) heard(id, model string, refused *access.Error) {
	if call := access.CallFrom(r.ctx); call != nil && call.OnMessage != nil {
		call.OnMessage(access.Message{ID: id, Verb: access.Infer, Model: model, Refused: refused})
	}
}

// routed tells the record where the message goes that was read last.
func routed(ctx context.Context, b backends.Backend) {
	call := access.CallFrom(ctx)
	if call == nil || call.OnRoute == nil {
		return
	}
	replica := ""
	if at, ok := b.(interface{ Address() string }); ok {
		replica = at.Address()
	}
	call.OnRoute(b.Name(), replica)
}

// maxMembers is how many replicas a request is led to at most, should each be away.
const maxMembers = 3

// lead finds the upstream of a request, or why it goes no further.
func (r *relay) lead(m *wire.Message, view wire.InferRequest, model, id string) (u *upstream, opened bool, refused *access.Error, err error) {
	b, refused := r.service.find(r.ctx, model)
	if refused != nil {
		return nil, false, refused, nil
	}
	if refused, err = r.check(b, view); refused != nil || err != nil {
		return nil, false, refused, err
	}
	apart := b.Traits().Apart
	for tries := 1; ; tries++ {
		member, refused := r.member(b, view)
		if refused != nil {
			return nil, false, refused, nil
		}
		lane := r.line.laneOf(m.Follower(), r.upstreams[route{member, named}], id)
		if lane == own || apart {
			if refused := sequenceProblem(view, apart); refused != nil {
				return nil, false, refused, nil
			}
		}
		u, opened, err = r.upstream(route{member, lane}, lane == own || apart)
		failed, _ := access.AsError(err)
		away := failed != nil && failed.Kind == access.Unavailable && member != b
		switch {
		case failed != nil && (failed.Kind == access.Unimplemented || apart && (!away || tries == maxMembers)):
			return nil, false, failed, nil // of this backend or message; the stream's others go on
		case !away:
			return u, opened, nil, err
		case tries == maxMembers && len(r.upstreams) > 0:
			return nil, false, failed, nil // the stream has been others' too, and goes on
		case tries == maxMembers:
			return nil, false, nil, err
		}
	}
}

// member is what of b the request goes to: one replica of several, or b itself.
func (r *relay) member(b backends.Backend, view wire.InferRequest) (backends.Backend, *access.Error) {
	if pool, ok := b.(backends.Replicated); ok {
		return pool.Member(r.ctx, view)
	}
	return b, nil
}

// await makes ready for the answers of a request that is about to be sent.
func (r *relay) await(u *upstream, m *wire.Message, view wire.InferRequest, model, id string) error {
	switch f := m.Follower(); u.lane {
	case named, own:
		return r.line.follow(u, f, id, asksForFinal(view))
	case ordered:
		return r.line.expect(u, id, model, f)
	}
	if r.service.models[u.backend.Name()].Decoupled(r.ctx, model, view.ModelVersion().String()) {
		return nil
	}
	return r.line.expect(u, id, model, nil)
}

// send sends a request in the form that its lane needs. A failed send says
// io.EOF: the reason is what the pump receives.
func (r *relay) send(u *upstream, m *wire.Message, view wire.InferRequest) error {
	out, made, err := onward(m, view, u.lane == named && !asksForFinal(view))
	if err != nil {
		return err
	}
	if made {
		defer out.Free()
	}
	err = u.stream.SendMsg(out)
	if err == nil && u.single {
		err = u.stream.CloseSend() // the stream's end is the request's
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// check keeps from the backend what would kill it.
func (r *relay) check(b backends.Backend, view wire.InferRequest) (*access.Error, error) {
	err := r.service.guard(r.ctx, b, view)
	if refused, ok := access.AsError(err); ok {
		return refused, nil
	}
	return nil, err
}

// upstream returns the stream that a route leads along, opening it if there is
// none, if the backend has ended the one there was, or if it is for a single request.
func (r *relay) upstream(to route, single bool) (u *upstream, opened bool, err error) {
	if u := r.upstreams[to]; u != nil && !single && !u.isOver() {
		return u, false, nil
	}
	if single {
		if err := r.takeOwn(r.ctx); err != nil {
			return nil, false, err
		}
		defer func() {
			if err != nil {
				<-r.own
			}
		}()
	}
	ctx, err := outgoing(r.ctx, to.backend)
	if err != nil {
		return nil, false, err
	}
	if call := access.CallFrom(r.ctx); call != nil && call.Granted != nil {
		ctx = access.WithApproved(ctx, call.Granted)
	}
	stream, err := to.backend.NewStream(ctx, streamDesc, pb.GRPCInferenceService_ModelStreamInfer_FullMethodName)
	if err != nil {
		return nil, false, err
	}
	u = &upstream{route: to, single: single, stream: stream}
	if !single {
		r.upstreams[to] = u
	}
	return u, true, nil
}

func (u *upstream) isOver() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.over
}

// pump carries the answers of one backend until it ends its stream. It receives
// them into one message again and again, for as long as none has to wait.
func (r *relay) pump(u *upstream) {
	m := new(wire.Message)
	account := wire.AccountFrom(r.ctx)
	for {
		err := u.stream.RecvMsg(m)
		if err == nil && account != nil {
			err = m.Charge(account)
		}
		kept := false
		if err == nil {
			kept, err = r.line.answer(u, m)
		}
		if kept {
			m = new(wire.Message)
		} else {
			m.Reset()
		}
		if err != nil {
			r.ended(u, err)
			return
		}
	}
}

// ended notes that a backend's stream is over, and why.
func (r *relay) ended(u *upstream, err error) {
	u.mu.Lock()
	u.over = true
	u.mu.Unlock()
	if u.single {
		<-r.own
	}
	if errors.Is(err, io.EOF) {
		err = errors.Join(r.line.abandon(u), r.line.finish(u))
	}
	r.end(err)
}
