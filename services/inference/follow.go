package inference

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// lane tells apart a client stream's streams to one backend. Requests that a
// step follows ([wire.Follower]) never share one with others: an answer must be
// its request's for certain, whatever ids the others chose.
type lane uint8

const (
	shared  lane = iota // requests that nobody follows
	ordered             // followed ones with one answer each, told apart by their order
	named               // followed ones of decoupled models, told apart by their ids
	own                 // a single followed one of a decoupled model, whose id is empty or in flight
)

const (
	// maxFollowed bounds the followed requests of decoupled models on one stream.
	maxFollowed = 1024
	// maxOwn bounds how many of them have a backend stream of their own. Beyond
	// it the client's stream is not read on.
	maxOwn = 64
)

// emptyFinalKey asks Triton to mark the end of a decoupled request whose last
// answer did not ([R], protocol/kserve-v2.md, section 3).
const emptyFinalKey = "triton_enable_empty_final_response"

// sequenceKey makes a request part of a sequence.
const sequenceKey = "sequence_id"

// follow is a followed request of a decoupled model, from when it is sent until
// its last answer.
type follow struct {
	follower wire.Follower
	upstream *upstream
	id       string
	nth      int
	final    bool   // the client asked for the empty final answer
	head     []byte // of the last answer, for [wire.Message.HasHead]
}

// laneOf chooses the lane of a request.
func (l *line) laneOf(f wire.Follower, with *upstream, id string) lane {
	switch {
	case f == nil:
		return shared
	case !f.Decoupled():
		return ordered
	case id == "" || l.follows(with, id):
		return own
	default:
		return named
	}
}

// follows tells whether a request of this id is in flight on u's lane.
func (l *line) follows(u *upstream, id string) bool {
	if u == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return u.named[id] != nil
}

// follow notes a request whose answers are followed. It waits while too many
// are. The error is errGone where u has ended.
func (l *line) follow(u *upstream, f wire.Follower, id string, final bool) error {
	select {
	case l.followed <- struct{}{}:
	case <-l.ctx.Done():
		return l.ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if u.gone {
		<-l.followed
		return errGone
	}
	l.nth++
	one := &follow{follower: f, upstream: u, id: id, nth: l.nth, final: final}
	if u.named == nil {
		u.named = make(map[string]*follow)
	}
	u.named[id] = one
	l.open[one] = struct{}{}
	return nil
}

// attributed sends the answer m of a followed request of a decoupled model. The
// flag-only answer that the relay itself has asked for is not the client's.
func (l *line) attributed(u *upstream, m *wire.Message, view wire.StreamResponse) error {
	resp := view.Response()
	one := u.named[resp.ID().String()]
	if u.lane == own {
		one = u.only()
	}
	if one == nil {
		return backends.NotKServe(errUnattributed)
	}
	failed := view.ErrorMessage().Len() > 0
	if !ends(resp, failed) {
		// What says the same of itself is of the same request, and no end either: nearly
		// all tokens are known by that.
		var known bool
		if one.head, known = view.AppendHead(one.head[:0]); known {
			u.last = one
		} else {
			u.last = nil
		}
		m.Follow(one.follower)
		return l.send(m)
	}
	l.forget(one)
	if !failed && !one.final && empty(resp) {
		return l.send(wire.End{Follower: one.follower})
	}
	m.Follow(one.follower)
	return l.send(m)
}

var errUnattributed = errors.New("an answer belongs to none of the requests whose answers are masked")

// ends tells whether an answer is a request's last: one that says so, or an
// error from before execution, which says nothing.
func ends(resp wire.InferResponse, failed bool) bool {
	final, marked := resp.Parameters().Get(finalKey)
	last, _ := final.Bool()
	return last || failed && !marked
}

func empty(resp wire.InferResponse) bool {
	for range resp.Outputs() {
		return false
	}
	return true
}

// only is the one request of a lane of its own.
func (u *upstream) only() *follow {
	for _, one := range u.named {
		return one
	}
	return nil
}

func (l *line) forget(one *follow) {
	delete(one.upstream.named, one.id)
	delete(l.open, one)
	if one.upstream.last == one {
		one.upstream.last = nil
	}
	<-l.followed
}

// finish ends the followed requests of u, or all where u is nil: their last
// answers have come, or never will. What is held of them goes to the client
// before the stream's end does.
func (l *line) finish(u *upstream) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := slices.SortedFunc(maps.Keys(l.open), func(a, b *follow) int { return cmp.Compare(a.nth, b.nth) })
	for _, one := range all {
		if u != nil && one.upstream != u {
			continue
		}
		l.forget(one)
		if err := l.send(wire.End{Follower: one.follower}); err != nil {
			return err
		}
	}
	return nil
}

// sequenceProblem refuses a request of a sequence that would need a backend stream of
// its own, since it has no id or since its server wants it apart: the sequence's order
// would be lost.
func sequenceProblem(view wire.InferRequest, apart bool) *access.Error {
	if !view.Parameters().Has(sequenceKey) {
		return nil
	}
	text := "the answers of this model are masked, and a request of a sequence is told apart by its id; give each request of the sequence an id of its own"
	if apart {
		text = "each request to this model's server is approved and sent by itself, which would lose a sequence's order on a stream; send the sequence as ModelInfer calls, one after the other"
	}
	return &access.Error{Kind: access.Malformed, Reason: access.ReasonMalformed, Message: text}
}

// onward returns the message that goes on to the backend: the request itself,
// or one made of it, which is the caller's to free.
func onward(m *wire.Message, view wire.InferRequest, askFinal bool) (out *wire.Message, made bool, err error) {
	if view.Ambiguous() {
		if m, err = view.Canonical(); err != nil {
			return nil, false, err
		}
		made = true
	}
	if !askFinal {
		return m, made, nil
	}
	if made {
		defer m.Free()
	}
	asking, err := askingForFinal(m)
	return asking, true, err
}

// askingForFinal adds the parameter [emptyFinalKey] to a request that is in
// canonical form. Where it says something else already, it is put right.
func askingForFinal(m *wire.Message) (*wire.Message, error) {
	view, err := m.InferRequest()
	if err != nil {
		return nil, err
	}
	if !view.Parameters().Has(emptyFinalKey) {
		return m.Splice([]wire.Edit{{Start: m.Len(), End: m.Len(), New: finalEntry}})
	}
	var req pb.ModelInferRequest
	if err := m.Unmarshal(&req); err != nil {
		return nil, err
	}
	req.Parameters[emptyFinalKey] = &pb.InferParameter{ParameterChoice: &pb.InferParameter_BoolParam{BoolParam: true}}
	return wire.FromProto(&req)
}

// finalEntry is the entry {emptyFinalKey: true} of ModelInferRequest.parameters.
var finalEntry = func() []byte {
	const parameters, key, value, boolParam = 4, 1, 2, 1
	entry := protowire.AppendString(protowire.AppendTag(nil, key, protowire.BytesType), emptyFinalKey)
	yes := protowire.AppendVarint(protowire.AppendTag(nil, boolParam, protowire.VarintType), 1)
	entry = protowire.AppendBytes(protowire.AppendTag(entry, value, protowire.BytesType), yes)
	return protowire.AppendBytes(protowire.AppendTag(nil, parameters, protowire.BytesType), entry)
}()

// asksForFinal tells whether the client itself wants the empty final answer.
func asksForFinal(view wire.InferRequest) bool {
	p, _ := view.Parameters().Get(emptyFinalKey)
	asked, _ := p.Bool()
	return asked
}

// takeOwn waits for room for one more stream of a request's own.
func (r *relay) takeOwn(ctx context.Context) error {
	select {
	case r.own <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
