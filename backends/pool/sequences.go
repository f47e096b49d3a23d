package pool

import (
	"bytes"
	"container/list"
	"context"
	"crypto/sha256"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/wire"
)

// The request parameters that make a sequence (protocol/kserve-v2.md, section 3).
const (
	sequenceID    = "sequence_id"
	sequenceStart = "sequence_start"
	sequenceEnd   = "sequence_end"
)

// maxID is the longest id that is kept as it is, in bytes; a longer one is kept
// as its hash.
const maxID = 128

// busy is what a caller is told to wait where a table is full.
const busy = time.Second

// sequence is what a request says of the sequence that it is part of.
type sequence struct {
	model, id  string // id tells numbers from texts
	start, end bool
}

// sequenceOf reads a request's sequence; ok is false where it is part of none.
// A parameter of another type than a server expects is refused: it could be read
// as an id by one server and not by the next.
func sequenceOf(view wire.InferRequest) (s sequence, ok bool, refused *access.Error) {
	if !view.HasParameters() {
		return sequence{}, false, nil
	}
	parameters := view.Parameters()
	p, found := parameters.Get(sequenceID)
	if !found {
		return sequence{}, false, nil
	}
	switch p.Kind {
	case wire.Int64Parameter:
		n, _ := p.Int64()
		s.id = numberID(uint64(n))
	case wire.Uint64Parameter:
		n, _ := p.Uint64()
		s.id = numberID(n)
	case wire.StringParameter:
		text, _ := p.Text()
		if bytes.IndexByte(text.Bytes(), 0) >= 0 {
			return sequence{}, false, malformed(sequenceID, "without a byte 0, where Triton ends it: it would be another sequence there")
		}
		s.id = textID(text)
	default:
		return sequence{}, false, wrongType(sequenceID, "int64_param or string_param")
	}
	if s.start, refused = flag(parameters, sequenceStart); refused == nil {
		s.end, refused = flag(parameters, sequenceEnd)
	}
	return s, s.id != "" && refused == nil, refused
}

func flag(parameters wire.Parameters, key string) (bool, *access.Error) {
	p, found := parameters.Get(key)
	if !found {
		return false, nil
	}
	value, ok := p.Bool()
	if !ok {
		return false, wrongType(key, "bool_param")
	}
	return value, nil
}

// numberID and textID write ids apart from each other; 0 and "" are no ids.
func numberID(n uint64) string {
	if n == 0 {
		return ""
	}
	return "#" + strconv.FormatUint(n, 10)
}

func textID(text wire.Span) string {
	switch {
	case text.Len() == 0:
		return ""
	case text.Len() > maxID:
		sum := sha256.Sum256(text.Bytes())
		return "=" + string(sum[:])
	}
	return "'" + text.String()
}

// wrongType is a parameter's error in Triton's words, which clients test for.
func wrongType(key, want string) *access.Error {
	return &access.Error{
		Kind: access.Malformed, Reason: access.ReasonMalformed,
		Message: "invalid value type for '" + key + "' parameter, expected " + want + ".",
	}
}

func malformed(key, kind string) *access.Error {
	return &access.Error{Kind: access.Malformed, Reason: access.ReasonMalformed, Message: "parameter " + key + " must be " + kind}
}

// sequences remembers whose the live sequences are and where they began.
type sequences struct {
	cfg backends.SequencesConfig

	mu    sync.Mutex
	live  map[sequenceKey]*list.Element
	each  map[string]int // how many each principal has
	order *list.List     // of *pin, the longest unused first
}

type sequenceKey struct{ model, id string }

type pin struct {
	key    sequenceKey
	owner  string
	member *member
	used   time.Time
}

func newSequences(cfg backends.SequencesConfig) *sequences {
	return &sequences{cfg: cfg, live: make(map[sequenceKey]*list.Element), each: make(map[string]int), order: list.New()}
}

// Len is how many sequences are live.
func (s *sequences) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	return len(s.live)
}

// expire forgets what was unused for too long.
func (s *sequences) expire() {
	oldest := time.Now().Add(-s.cfg.Idle)
	for e := s.order.Front(); e != nil && value(e).used.Before(oldest); e = s.order.Front() {
		s.forget(e)
	}
}

func value(e *list.Element) *pin {
	p, _ := e.Value.(*pin)
	return p
}

func (s *sequences) forget(e *list.Element) {
	p := value(e)
	s.order.Remove(e)
	delete(s.live, p.key)
	if s.each[p.owner]--; s.each[p.owner] == 0 {
		delete(s.each, p.owner)
	}
}

// find returns the replica of a live sequence, nil where there is none, and
// refuses it to all but its owner. With end it is forgotten.
func (s *sequences) find(key sequenceKey, owner string, end bool) (*member, *access.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	e := s.live[key]
	if e == nil {
		return nil, nil
	}
	p := value(e)
	if p.owner != owner {
		return nil, &access.Error{
			Kind: access.PermissionDenied, Reason: access.ReasonSequenceOwner,
			Message: "this sequence is another caller's; use a sequence_id that nobody else does, such as a random string",
		}
	}
	if end || p.member.gone.Load() {
		s.forget(e)
		return p.member, nil
	}
	p.used = time.Now()
	s.order.MoveToBack(e)
	return p.member, nil
}

// begin enters a sequence, unless there are too many.
func (s *sequences) begin(key sequenceKey, owner string, m *member) *access.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.live[key]; e != nil { // begun by another message meanwhile
		if value(e).owner != owner {
			return exhausted("this sequence is being begun by another caller")
		}
		s.forget(e)
	}
	if s.each[owner] >= s.cfg.MaxPerPrincipal {
		return exhausted(fmt.Sprintf("you have %d live sequences at this backend, the most that one caller may have; end some (sequence_end)", s.each[owner]))
	}
	if len(s.live) >= s.cfg.Max {
		return exhausted("this backend has as many live sequences as it may have; try again later")
	}
	s.each[owner]++
	s.live[key] = s.order.PushBack(&pin{key: key, owner: owner, member: m, used: time.Now()})
	return nil
}

func exhausted(message string) *access.Error {
	return &access.Error{Kind: access.Exhausted, Reason: access.ReasonSequences, RetryAfter: busy, Message: message}
}

// pinned returns the replica where the request's sequence lives, beginning it
// where the request does; nil where it is part of none. Of a sequence that
// nobody here has begun, as after a restart, nobody can say whose it is: it is
// refused, where the model keeps sequences, in the words of Triton.
func (p *Pool) pinned(ctx context.Context, view wire.InferRequest, owner string) (*member, *access.Error) {
	s, ok, refused := sequenceOf(view)
	if !ok || refused != nil {
		return nil, refused
	}
	s.model = view.ModelName().String()
	key := sequenceKey{p.serverName(s.model), s.id}
	m, refused := p.sequences.find(key, owner, s.end)
	switch {
	case refused != nil:
		return nil, refused
	case m != nil && m.gone.Load() && !s.start:
		return nil, errLost()
	case m != nil && !m.gone.Load():
		return m, nil
	case !s.start && p.keepsSequences(ctx, s.model, view.ModelVersion().String()):
		return nil, &access.Error{
			Kind: access.Malformed, Reason: access.ReasonSequenceStart,
			Message: fmt.Sprintf("inference request for sequence %s to model '%s' must specify the START flag on the first request of the sequence", s.shown(), s.model),
		}
	}
	if m = p.only; m == nil {
		m = p.home(key.model, key.id)
	}
	if m == nil {
		return nil, errNobody()
	}
	if s.start && s.end {
		return m, nil
	}
	return m, p.sequences.begin(key, owner, m)
}

// shown is the id as Triton shows it.
func (s sequence) shown() string {
	switch s.id[0] {
	case '#':
		return s.id[1:]
	case '=':
		return "of a long id"
	}
	return access.Quote(s.id[1:])
}

func errLost() *access.Error {
	return &access.Error{
		Kind: access.Unavailable, Reason: access.ReasonSequenceLost,
		Message: "the server that this sequence was begun at is gone, and what it kept of it; begin the sequence again",
	}
}

// serverName is the server's name of a model, by which it keeps sequences.
func (p *Pool) serverName(model string) string {
	if name, renamed := p.opts.Config.Rename[model]; renamed {
		return name
	}
	return model
}

// keepsSequences tells whether a model's server keeps what belongs to a sequence.
// The steps of an ensemble may. One whose server does not say may use the id for
// something else.
func (p *Pool) keepsSequences(ctx context.Context, model, version string) bool {
	config, err := p.facts.Config(ctx, model, version)
	if err != nil {
		return false
	}
	return config.GetSequenceBatching() != nil || config.GetEnsembleScheduling() != nil
}
