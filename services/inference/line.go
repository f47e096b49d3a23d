package inference

import (
	"context"
	"errors"
	"slices"
	"sync"

	"google.golang.org/grpc"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// maxWaiting bounds how many requests of one stream may wait for their turn;
// beyond it the stream is not read on.
const maxWaiting = 1024

// reasonKey is the response parameter that carries a refusal's stable reason.
const reasonKey = "sluice_reason"

// finalKey is Triton's response parameter that marks a request's last answer.
const finalKey = "triton_final_response"

// line sends a stream's answers in the order that clients rely on: those to
// requests for models that are not decoupled come in the order of the requests,
// refusals among them, as Triton's own do; those of decoupled models come as
// they are made. While nothing waits, nothing is looked into.
type line struct {
	ctx    context.Context //nolint:containedctx // the stream's own
	client grpc.ServerStream
	heard  func()        // hears of each answer before it is sent
	room   chan struct{} // one token for each place taken

	mu     sync.Mutex // held while sending, so that the order is the order of sending
	places []*place
	closed bool

	followed chan struct{} // one token for each request in open
	open     map[*follow]struct{}
	nth      int
}

// place is a request's turn: waiting for the backend's answer, or holding what
// to send when it comes.
type place struct {
	upstream  *upstream
	id, model string
	follower  wire.Follower
	answer    any // *wire.Message or *pb.ModelStreamInferResponse
	dropped   bool
}

func newLine(ctx context.Context, client grpc.ServerStream) *line {
	heard := func() {}
	if call := access.CallFrom(ctx); call != nil && call.OnAnswer != nil {
		heard = call.OnAnswer
	}
	return &line{ctx: ctx, client: client, heard: heard, room: make(chan struct{}, maxWaiting), followed: make(chan struct{}, maxFollowed), open: make(map[*follow]struct{})}
}

// expect takes a place for a request whose answer comes in order. It waits
// while the line is full. The error is errGone where u has ended.
func (l *line) expect(u *upstream, id, model string, f wire.Follower) error {
	return l.join(&place{upstream: u, id: id, model: model, follower: f})
}

// refuse answers a request that goes no further, in its turn. Its error ends the
// stream: one that ends well has answered everything.
func (l *line) refuse(refused *access.MessageError) error {
	return l.fail(refused.ID, refused.Err.Message, refused.Err.Reason)
}

// fail answers a request with an error message; a server's own error has no
// reason. Its error is as refuse's.
func (l *line) fail(id, text, reason string) error {
	return l.join(&place{answer: failure(id, text, reason)})
}

// failure is an error as Triton sends those from before execution.
func failure(id, text, reason string) *pb.ModelStreamInferResponse {
	answer := &pb.ModelStreamInferResponse{ErrorMessage: text, InferResponse: &pb.ModelInferResponse{Id: id}}
	if reason != "" {
		answer.InferResponse.Parameters = map[string]*pb.InferParameter{
			reasonKey: {ParameterChoice: &pb.InferParameter_StringParam{StringParam: reason}},
		}
	}
	return answer
}

func (l *line) join(p *place) error {
	select {
	case l.room <- struct{}{}:
	case <-l.ctx.Done():
		return l.ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.upstream != nil && p.upstream.gone {
		<-l.room
		return errGone
	}
	l.places = append(l.places, p)
	return l.advance()
}

// answer sends m in its turn. kept tells that it has to wait for it, and is the
// line's to free from now on.
func (l *line) answer(u *upstream, m *wire.Message) (kept bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.places) == 0 && u.lane == shared {
		if err := m.Shallow(); err != nil {
			return false, backends.NotKServe(err)
		}
		return false, l.send(m)
	}
	if u.last != nil && m.HasHead(u.last.head) {
		m.Follow(u.last.follower)
		return false, l.send(m)
	}
	view, err := m.StreamResponse()
	if err != nil {
		return false, backends.NotKServe(err)
	}
	if u.lane == named || u.lane == own {
		return false, l.attributed(u, m, view)
	}
	p := l.turn(u, view)
	if p == nil {
		if u.lane == ordered {
			return false, backends.NotKServe(errUnattributed)
		}
		return false, l.send(m)
	}
	m.Follow(p.follower)
	p.answer = m
	return true, l.advance()
}

// turn finds the place that an answer is for; nil is the answer of a decoupled
// model, which waits for nobody. An answer that is not final is a decoupled
// model's; so is one that no place matches by id and, where it has one, by
// model: an error made before execution has an id alone.
func (l *line) turn(u *upstream, view wire.StreamResponse) *place {
	resp := view.Response()
	if final, ok := resp.Parameters().Get(finalKey); ok {
		if last, _ := final.Bool(); !last {
			return nil
		}
	}
	id, model := resp.ID(), resp.ModelName()
	for _, p := range l.places {
		if p.upstream == u && p.answer == nil && id.Is(p.id) && (model.Len() == 0 || model.Is(p.model)) {
			return p
		}
	}
	return nil
}

// advance sends what is ready at the head of the line.
func (l *line) advance() error {
	for len(l.places) > 0 && (l.places[0].answer != nil || l.places[0].dropped) {
		p := l.places[0]
		l.places = slices.Delete(l.places, 0, 1)
		<-l.room
		if p.dropped {
			continue
		}
		err := l.send(p.answer)
		free(p.answer)
		if err != nil {
			return err
		}
	}
	return nil
}

// send sends an answer. A step that an answer has to pass may refuse it alone,
// with an [access.MessageError]: that goes out in its place.
func (l *line) send(answer any) error {
	if l.closed {
		return l.ctx.Err()
	}
	l.heard()
	err := l.client.SendMsg(answer)
	if refused := (*access.MessageError)(nil); errors.As(err, &refused) {
		return l.client.SendMsg(failure(refused.ID, refused.Err.Message, refused.Err.Reason))
	}
	return err
}

// errGone is the error of who would wait for a stream that has ended meanwhile:
// nobody would give that up again.
var errGone = errors.New("the backend's stream has ended")

// abandon gives up the places whose answers will not come: u has ended.
func (l *line) abandon(u *upstream) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	u.gone = true
	for _, p := range l.places {
		if p.upstream == u && p.answer == nil {
			p.dropped = true
		}
	}
	return l.advance()
}

// close frees what was not sent. Nothing is sent from then on.
func (l *line) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, p := range l.places {
		free(p.answer)
	}
	l.places = nil
}

func free(answer any) {
	if m, ok := answer.(*wire.Message); ok {
		m.Free()
	}
}
