package masking

import (
	"context"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/wire"
)

// Bounds on what the answers to one request may make the state of a stream grow to.
const (
	maxStreamed = 64   // outputs whose texts go on over several answers
	maxElements = 4096 // elements of all of them
)

// Answers masks the answers to one request of a stream: what is cut by their
// borders is found all the same. It is for one goroutine at a time.
type Answers struct {
	plan    *Plan
	facts   Facts
	tensors []*tensorStream
	counts  Counts
	head    head
	answer  answer // used for one answer after another
	held    *held
	number  int           // of the answer
	texts   int           // elements of all outputs
	refused *access.Error // nothing goes on after a refusal
}

// Answers begins the answers to a request that [Plan.Request] let through.
func (p *Plan) Answers(facts Facts) *Answers {
	s := &Answers{plan: p, facts: facts}
	s.answer = answer{plan: p, state: s}
	return s
}

// Counts is what was found so far.
func (s *Answers) Counts() *Counts { return &s.counts }

// Mask masks a ModelStreamInferResponse. masked is m itself where nothing is to
// be changed, else a message of its own; before, if not nil, is an answer to be
// sent first, with text that was held back and has no place in m: m is an
// error, or the last one without it. The caller frees both besides m. The error is a
// refusal: the request ends with it, and nothing that is held may go out.
func (s *Answers) Mask(ctx context.Context, m *wire.Message) (before, masked *wire.Message, err *access.Error) {
	if s.refused != nil {
		return nil, nil, s.refused
	}
	before, masked, s.refused = s.mask(ctx, m)
	if s.refused != nil {
		s.tensors = nil // nothing of it goes out any more
	}
	refused := s.charge(ctx)
	if refused == nil && s.refused == nil {
		refused = s.plan.keepTokens(ctx, &s.counts)
	}
	if refused != nil {
		s.refused, s.tensors = refused, nil
		_ = s.charge(ctx) // gives back
		for _, made := range []*wire.Message{before, masked} {
			if made != nil && made != m {
				made.Free()
			}
		}
		return nil, nil, refused
	}
	return before, masked, s.refused
}

func (s *Answers) mask(ctx context.Context, m *wire.Message) (before, masked *wire.Message, refused *access.Error) {
	view, err := m.StreamResponse()
	if err != nil {
		return nil, nil, s.plan.unreadable(err)
	}
	from := m
	if view.Ambiguous() || view.Foreign() {
		if from, err = view.Known(); err != nil {
			return nil, nil, exhausted(err)
		}
		if view, err = from.StreamResponse(); err != nil {
			from.Free()
			return nil, nil, s.plan.unreadable(err)
		}
	}
	resp := view.Response()
	final, said := resp.Parameters().Get(finalKey)
	last, _ := final.Bool()
	failed := view.ErrorMessage().Len() > 0
	a := &s.answer
	a.reset(&s.counts)
	a.final = last || failed && !said // an error that says it is not the last ends no text
	s.number++
	s.head.note(resp)
	if failed {
		refused = a.alone(ctx, s.plan.words, 0, view.ErrorMessage(), wire.Range{})
	}
	if refused == nil && view.HasResponse() {
		refused = a.response(ctx, resp)
	}
	if refused == nil && a.final {
		before, refused = s.flush(ctx)
	}
	masked, refused = a.rewrite(m, from, refused)
	if refused != nil && before != nil {
		before.Free()
		before = nil
	}
	return before, masked, refused
}

// Flush returns an answer with what is held back, nil if nothing is: for a
// request whose last answer does not come. Its texts are at their ends then.
func (s *Answers) Flush(ctx context.Context) (*wire.Message, *access.Error) {
	if s.refused != nil {
		return nil, s.refused
	}
	var m *wire.Message
	if m, s.refused = s.flush(ctx); s.refused == nil {
		if s.refused = s.plan.keepTokens(ctx, &s.counts); s.refused != nil && m != nil {
			m.Free()
			m = nil
		}
	}
	_ = s.charge(ctx) // gives back: nothing is held now
	return m, s.refused
}

// tensorStream is the texts of one output.
type tensorStream struct {
	t     *tensorPlan
	mode  Mode
	shape []int64
	raw   bool
	texts []*textStream
	seen  int // in which answer last
}

// textStream is one element of an output over all answers.
type textStream struct {
	masker *masker
	out    int    // up to here the text is given out
	tail   []byte // the text from out on
	edits  []edit // of what is decided and, in mode cumulative, of all before
}

// tensor finds the state of an output; nil where its elements are texts of their own.
func (s *Answers) tensor(p *part) (*tensorStream, *access.Error) {
	mode, known := p.t.modeOf(s.facts)
	if !known {
		return nil, s.plan.unknownMode(p.t)
	}
	if mode == Independent {
		return nil, nil
	}
	for _, one := range s.tensors {
		if one.t.name != p.t.name {
			continue
		}
		if one.seen == s.number {
			return nil, s.plan.refused(p.t.text, "its answer has output %s twice, so it is not known how its texts go on", access.Quote(p.t.name))
		}
		one.note(p, s.number)
		return one, nil
	}
	if len(s.tensors) == maxStreamed {
		return nil, s.plan.refused(p.t.text, "its answers have more than %d outputs of text", maxStreamed)
	}
	one := &tensorStream{t: p.t, mode: mode}
	one.note(p, s.number)
	s.tensors = append(s.tensors, one)
	return one, nil
}

// note remembers what an answer with held text has to look like.
func (s *tensorStream) note(p *part, number int) {
	s.shape, s.raw, s.seen = p.out.AppendShape(s.shape[:0]), p.raw.Len() > 0, number
}

// element masks one element of an answer.
func (s *tensorStream) element(ctx context.Context, a *answer, index int, elem wire.Span, prefix wire.Range) *access.Error {
	for ; len(s.texts) <= index; a.state.texts++ {
		if a.state.texts == maxElements {
			return a.plan.refused(s.t.text, "output %s makes it more than %d elements of text, too many to mask in a stream", access.Quote(s.t.name), maxElements)
		}
		s.texts = append(s.texts, nil)
	}
	x := s.texts[index]
	if x == nil {
		x = &textStream{masker: newMasker(s.t, index, a.tally)}
		s.texts[index] = x
	}
	e := a.element(elem, prefix, a.data)
	var refused *access.Error
	if s.mode == Cumulative {
		refused = x.cumulative(ctx, &e, index, a.final)
	} else {
		refused = x.delta(ctx, &e, a.final)
	}
	if refused == nil {
		e.end()
	}
	if a.final {
		s.texts[index] = nil
	}
	return refused
}

// feed scans a chunk, and gathers its edits.
func (x *textStream) feed(ctx context.Context, chunk []byte) *access.Error {
	refused := x.masker.write(ctx, chunk)
	x.edits = append(x.edits, x.masker.edits...)
	return refused
}

func (x *textStream) flush(ctx context.Context) *access.Error {
	refused := x.masker.flush(ctx)
	x.edits = append(x.edits, x.masker.edits...)
	return refused
}

// delta masks the next chunk of a text: what was held before it comes first,
// what is undecided is taken off its end.
func (x *textStream) delta(ctx context.Context, e *element, last bool) *access.Error {
	at := x.masker.fed
	for chunk := range e.span.Chunks() {
		if refused := x.feed(ctx, chunk); refused != nil {
			return refused
		}
	}
	if last {
		if refused := x.flush(ctx); refused != nil {
			return refused
		}
	}
	done := x.masker.done
	held := min(done, at)
	e.replace(0, 0, string(x.render(held, at)))
	for _, d := range x.edits {
		switch {
		case d.start >= at:
			e.replace(d.start-at, d.end-at, d.text)
		case d.end > at:
			e.replace(0, d.end-at, "")
		}
	}
	from := max(done, at)
	e.replace(from-at, e.span.Len(), "")
	x.tail = x.tail[:copy(x.tail, x.tail[held-x.out:])]
	x.tail = appendFrom(x.tail, e.span, from-at)
	x.out, x.edits = done, x.edits[:0]
	return nil
}
