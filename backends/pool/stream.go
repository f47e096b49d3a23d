package pool

import (
	"context"
	"errors"
	"io"
	"sync"

	"google.golang.org/grpc"

	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/wire"
)

// maxKept is how many messages of one stream are kept until its first answer.
// Who sends more at once is not sent to another replica again.
const maxKept = 8

// NewStream opens a stream to this replica. Until an answer has begun, and if
// none of its messages is part of a sequence, a stream whose replica dies is
// opened at another one.
func (m *member) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	p := m.pool
	if p.only != nil && p.gate == nil {
		return m.Backend.NewStream(ctx, desc, method, opts...)
	}
	if m.gone.Load() {
		return nil, backends.Away(backends.Unsent(errors.New("the replica has left the backend")))
	}
	if p.gate != nil {
		if err := p.gate.enter(ctx, caller(ctx)); err != nil {
			return nil, err
		}
	}
	s := &stream{pool: p, ctx: ctx, member: m, keeping: p.only == nil}
	s.begin = func(m *member) (grpc.ClientStream, error) { return m.Backend.NewStream(ctx, desc, method, opts...) }
	var err error
	m.outstanding.Add(1)
	s.over = context.AfterFunc(ctx, s.end)
	if s.ClientStream, err = s.begin(m); err != nil {
		if backends.IsAway(err) && p.only == nil {
			m.doubt()
		}
		s.end()
		return nil, err
	}
	return s, nil
}

// stream is a stream on a replica. One goroutine sends, another receives.
type stream struct {
	grpc.ClientStream // the one of now; guarded by mu
	pool              *Pool
	ctx               context.Context //nolint:containedctx // the stream's own
	begin             func(*member) (grpc.ClientStream, error)
	over              func() bool // the end is not to be waited for any more

	sending sync.Mutex // held while a message goes out, and while all go out again

	mu       sync.Mutex
	member   *member
	pending  int64 // sent and not answered, as far as one answer each goes
	keeping  bool  // no answer has begun, and kept is all that was sent
	kept     []*wire.Message
	bytes    int64
	repeated bool
	open     open
	closed   bool // by the client's side
	ended    bool
	lost     bool // the replica has died, and what was open there is being failed
}

var _ grpc.ClientStream = (*stream)(nil)

func (s *stream) inner() grpc.ClientStream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ClientStream
}

// SendMsg sends a request. While the stream may still move to another replica,
// the message is kept, and that it could not be sent to this one shows when
// answers are received.
func (s *stream) SendMsg(m any) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	kept, err := s.sent(m)
	if err != nil {
		return err
	}
	err = s.inner().SendMsg(m)
	if kept && errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// sent counts a message, and keeps it if it can be. One for a replica that has
// died is failed with the others, or refused where those are through: it must
// not be lost without a word.
func (s *stream) sent(m any) (kept bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost && !s.ended {
		s.open.add(m)
	}
	switch {
	case s.lost && (s.ended || s.open.unknown):
		return false, backends.Away(backends.Unsent(errors.New("the replica has just died")))
	case s.lost, s.ended:
		return s.lost, nil
	}
	s.pending++
	s.member.outstanding.Add(1)
	if s.pool.only == nil {
		s.open.add(m)
	}
	if s.keeping {
		s.keep(m)
	}
	return s.keeping, nil
}

func (s *stream) keep(m any) {
	message, ok := m.(*wire.Message)
	if !ok || len(s.kept) == maxKept || !s.pool.repeats.reserve(int64(message.Len())) {
		s.letGo()
		return
	}
	s.bytes += int64(message.Len())
	view, err := message.InferRequest()
	if err != nil || view.Parameters().Has(sequenceID) {
		s.letGo()
		return
	}
	mine, err := message.Splice(nil) // over the same buffers, and charged with them
	if err != nil {
		s.letGo()
		return
	}
	s.kept = append(s.kept, mine)
}

// letGo frees what was kept: the stream stays where it is.
func (s *stream) letGo() {
	for _, m := range s.kept {
		m.Free()
	}
	s.pool.repeats.release(s.bytes)
	s.kept, s.bytes, s.keeping = nil, 0, false
}

// CloseSend says that no more requests come.
func (s *stream) CloseSend() error {
	s.sending.Lock()
	defer s.sending.Unlock()
	s.mu.Lock()
	s.closed = true
	inner := s.ClientStream
	s.mu.Unlock()
	return inner.CloseSend()
}

// RecvMsg receives an answer. If the replica dies before it has begun one, it is
// another's. If it dies later, what is open there gets an error each, and the
// stream then ends well: the client's requests at other replicas go on.
func (s *stream) RecvMsg(m any) error {
	for {
		if failed, err := s.failed(m); failed || err != nil {
			return err
		}
		err := s.inner().RecvMsg(m)
		if err == nil {
			s.received(m)
			return nil
		}
		if !s.moved(err) && !s.losing(err) {
			s.end()
			return err
		}
	}
}

func (s *stream) received(m any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keeping {
		s.letGo()
	}
	s.open.answered(m)
	if s.pending > 0 && !s.ended {
		s.pending--
		s.member.outstanding.Add(-1)
	}
}

// losing tells whether a stream that broke off can be ended by failing what is
// open on it, one by one.
func (s *stream) losing(err error) bool {
	if !backends.IsAway(err) || s.ctx.Err() != nil || s.pool.only != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = !s.open.unknown
	return s.lost
}

// failed answers the next request that a dead replica has left open; the end is
// io.EOF.
func (s *stream) failed(m any) (bool, error) {
	s.mu.Lock()
	if !s.lost {
		s.mu.Unlock()
		return false, nil
	}
	failed, err := s.open.lose(m)
	s.mu.Unlock()
	if failed {
		return true, nil
	}
	s.end()
	if err == nil {
		err = io.EOF
	}
	return false, err
}

// moved opens the stream at another replica and sends there what was sent here.
func (s *stream) moved(err error) bool {
	if !backends.IsAway(err) || s.ctx.Err() != nil {
		return false
	}
	s.sending.Lock()
	defer s.sending.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pool.only == nil {
		s.member.doubt()
	}
	if s.ended || !s.keeping || s.repeated || len(s.kept) == 0 {
		return false
	}
	next := s.pool.pick(s.model(), []*member{s.member})
	if next == nil || !s.pool.repeats.spend() {
		return false
	}
	s.repeated = true
	inner, err := s.begin(next)
	if err != nil {
		return false
	}
	s.member.outstanding.Add(-1 - s.pending)
	next.outstanding.Add(1 + s.pending)
	s.member, s.ClientStream = next, inner
	return s.resend(inner)
}

func (s *stream) model() string {
	view, err := s.kept[0].InferRequest()
	if err != nil {
		return ""
	}
	return view.ModelName().String()
}

// resend sends what was kept. One that breaks again shows when answers are received.
func (s *stream) resend(inner grpc.ClientStream) bool {
	for _, m := range s.kept {
		if err := inner.SendMsg(m); err != nil && !errors.Is(err, io.EOF) {
			return false
		}
	}
	return !s.closed || inner.CloseSend() == nil
}

// end gives back what the stream held, once.
func (s *stream) end() {
	s.over()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.ended = true
	s.member.outstanding.Add(-1 - s.pending)
	s.letGo()
	if s.pool.gate != nil {
		s.pool.gate.leave(caller(s.ctx))
	}
}
