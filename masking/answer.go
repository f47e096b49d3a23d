package masking

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/masking/detect"
	"github.com/sluice-gateway/sluice/wire"
)

// answer is one answer on its way through a plan: the edits that its masking needs.
type answer struct {
	plan  *Plan
	tally *Counts
	edits []wire.Edit
	local []wire.Edit // of one element
	data  wire.Span   // the raw data that elements are in

	parts   []part
	masks   []*masker // used for one element after another
	matches []detect.Match

	// of streams
	state *Answers
	final bool
}

// keptMasks is how many maskers an answer keeps: one for each output of text.
const keptMasks = 8

// reset makes a ready for another answer.
func (a *answer) reset(tally *Counts) {
	clear(a.parts) // they hold on to messages
	a.tally, a.edits, a.local, a.data, a.parts = tally, a.edits[:0], a.local[:0], wire.Span{}, a.parts[:0]
}

// Unary masks a ModelInferResponse. It returns m itself where nothing is to be
// changed, else a message of its own, which the caller frees besides m. The
// error is a refusal: nothing of the answer may go to the caller.
func (p *Plan) Unary(ctx context.Context, m *wire.Message, c *Counts) (*wire.Message, *access.Error) {
	view, err := m.InferResponse()
	if err != nil {
		return nil, p.unreadable(err)
	}
	from := m
	if view.Ambiguous() || view.Foreign() {
		if from, err = view.Known(); err != nil {
			return nil, exhausted(err)
		}
		if view, err = from.InferResponse(); err != nil {
			from.Free()
			return nil, p.unreadable(err)
		}
	}
	a, _ := p.answers.Get().(*answer)
	if a == nil {
		a = &answer{plan: p}
	}
	if c == nil {
		c = new(Counts)
	}
	a.reset(c)
	refused := a.response(ctx, view)
	if refused == nil {
		refused = p.keepTokens(ctx, c)
	}
	out, refused := a.rewrite(m, from, refused)
	a.reset(nil)
	p.answers.Put(a)
	return out, refused
}

// rewrite makes the edits in from, which is m or its canonical form.
func (a *answer) rewrite(m, from *wire.Message, refused *access.Error) (*wire.Message, *access.Error) {
	if refused == nil && len(a.edits) == 0 {
		return from, nil
	}
	var out *wire.Message
	if refused == nil {
		slices.SortStableFunc(a.edits, func(x, y wire.Edit) int { return cmp.Compare(x.Start, y.Start) })
		var err error
		if out, err = from.Rewrite(a.edits); err != nil {
			refused = exhausted(err)
		}
	}
	if from != m {
		from.Free()
	}
	return out, refused
}

// unreadable refuses an answer that is none.
func (p *Plan) unreadable(err error) *access.Error {
	refused := p.refused(nil, "its answer can't be read and so not be masked")
	refused.Cause = err
	return refused
}

// exhausted passes on the budget's refusals.
func exhausted(err error) *access.Error {
	if refused, ok := access.AsError(err); ok {
		return refused
	}
	return &access.Error{Kind: access.Internal, Reason: access.ReasonInternal, Message: "the answer could not be masked", Cause: err}
}

// maxOutputs bounds what an answer of nothing but outputs costs.
const maxOutputs = 4096

// part is an output and its raw data.
type part struct {
	out    wire.Tensor
	at     wire.Range
	t      *tensorPlan
	raw    wire.Span
	rawAt  wire.Range
	hasRaw bool
}

// response looks at all of a response.
func (a *answer) response(ctx context.Context, view wire.InferResponse) *access.Error {
	outputs, raws := 0, 0
	for range view.OutputFields() {
		outputs++
	}
	for range view.RawFields() {
		raws++
	}
	if outputs > maxOutputs {
		return a.plan.refused(nil, "its answer has %d outputs, more than %d", outputs, maxOutputs)
	}
	if raws > 0 && raws != outputs {
		return a.plan.refused(nil, "its answer has %d outputs and %d raw contents, so it is not known which are whose", outputs, raws)
	}
	for at, out := range view.OutputFields() {
		a.parts = append(a.parts, part{out: out, at: at, t: a.plan.tensor(out.Name())})
	}
	n := 0
	for at, raw := range view.RawFields() {
		a.parts[n].raw, a.parts[n].rawAt, a.parts[n].hasRaw = raw, at, true
		n++
	}
	for i := range a.parts {
		if refused := a.output(ctx, &a.parts[i]); refused != nil {
			return refused
		}
	}
	return a.parameters(ctx, view.Parameters())
}

// output masks one output.
func (a *answer) output(ctx context.Context, p *part) *access.Error {
	t, typ := p.t, p.out.Type()
	switch {
	case t.side:
		a.drop(p)
		return nil
	case t.problem != "":
		return a.plan.refused(t.text, "output %s can't be masked: %s", access.Quote(t.name), t.problem)
	case len(t.text)+len(t.whole) > 0 && p.out.Parameters().Has(regionKey):
		return a.plan.refused(t.rules(), "output %s is in shared memory, where it can't be masked", access.Quote(t.name))
	}
	for _, r := range t.whole {
		if r.action.kind == actionDrop && r.takes(typ) {
			a.drop(p)
			return nil
		}
	}
	if len(t.whole) > 0 {
		if refused := a.numbers(p, typ); refused != nil {
			return refused
		}
	}
	if refused := a.texts(ctx, p, typ); refused != nil {
		return refused
	}
	return a.parameters(ctx, p.out.Parameters())
}

// drop takes an output and its data out of the answer.
func (a *answer) drop(p *part) {
	a.cut(p.at, nil)
	if p.hasRaw {
		a.cut(p.rawAt, nil)
	}
}

func (a *answer) cut(at wire.Range, by []byte) {
	a.edits = append(a.edits, wire.Edit{Start: at.Start, End: at.End, New: by})
}

// texts masks what an output holds of text.
func (a *answer) texts(ctx context.Context, p *part, typ wire.Datatype) *access.Error {
	t := p.t
	switch {
	case len(t.text) == 0 && typ == wire.Bytes:
		return a.classes(ctx, p)
	case len(t.text) == 0:
		return nil
	case typ == wire.UnknownType:
		return a.plan.refused(t.text, "output %s is of a datatype that is not known, so it can't be masked", access.Quote(t.name))
	case typ != wire.Bytes && t.named && slices.ContainsFunc(t.text, func(r *rule) bool { return r.names(t.name) }):
		return a.plan.refused(t.text, "output %s is of datatype %s, but a rule looks for entities in it, which only BYTES has", access.Quote(t.name), typ)
	}
	if typ != wire.Bytes {
		if p.hasRaw && !fits(p.out, typ, p.raw.Len()) {
			return a.plan.refused(t.text, "output %s has data of another length than its datatype %s and its shape say, so it is not known what it is", access.Quote(t.name), typ)
		}
		if !holdsText(p.out) {
			return nil // numbers, in a stream whose mode nobody has to know
		}
		p = &part{out: p.out, t: t} // typed elements of text may be there all the same
	}
	return a.elements(ctx, p)
}

// fits tells whether raw data has as many bytes as the datatype, which is none of
// text, and the shape say. That of an output in shared memory is empty.
func fits(out wire.Tensor, typ wire.Datatype, n int) bool {
	var few [8]int64
	count := int64(typ.Size())
	for _, dim := range out.AppendShape(few[:0]) {
		if dim < 0 || count > 0 && dim > math.MaxInt32/count {
			return n == 0
		}
		count *= dim
	}
	return n == 0 || int64(n) == count
}

func holdsText(out wire.Tensor) bool {
	for range out.Contents().Bytes() {
		return true
	}
	return false
}

// elements masks the elements of a BYTES tensor, raw and typed: each by itself,
// or as parts of texts that go on over several answers.
func (a *answer) elements(ctx context.Context, p *part) *access.Error {
	var s *tensorStream
	if a.state != nil && p.t != a.plan.words {
		var refused *access.Error
		if s, refused = a.state.tensor(p); refused != nil {
			return refused
		}
	}
	index := 0
	a.data = p.raw
	it := p.raw.Elements()
	for ; it.Next(); index++ {
		if refused := a.one(ctx, s, p.t, index, it.Element(), it.Prefix()); refused != nil {
			return refused
		}
	}
	if it.Err() != nil {
		return a.plan.refused(p.t.text, "output %s can't be masked: %v", access.Quote(p.t.name), it.Err())
	}
	for elem := range p.out.Contents().Bytes() {
		if refused := a.one(ctx, s, p.t, index, elem, wire.Range{}); refused != nil {
			return refused
		}
		index++
	}
	return nil
}

// one masks one element; prefix is where its length stands, zero if nowhere but
// in the field around it. s is nil where the element is a text of its own.
func (a *answer) one(ctx context.Context, s *tensorStream, t *tensorPlan, index int, elem wire.Span, prefix wire.Range) *access.Error {
	if s == nil {
		return a.alone(ctx, t, index, elem, prefix)
	}
	return s.element(ctx, a, index, elem, prefix)
}

// alone masks a text that is there whole.
func (a *answer) alone(ctx context.Context, t *tensorPlan, index int, elem wire.Span, prefix wire.Range) *access.Error {
	if elem.Len() == 0 {
		return nil
	}
	k := a.masker(t, index)
	e := a.element(elem, prefix, a.data)
	for chunk := range elem.Chunks() {
		if len(chunk) == elem.Len() && k.simple() {
			return a.find(k, &e, chunk)
		}
		if refused := k.write(ctx, chunk); refused != nil {
			return refused
		}
		e.take(k.edits, 0)
	}
	if refused := k.flush(ctx); refused != nil {
		return refused
	}
	e.take(k.edits, 0)
	e.end()
	return nil
}

// simple tells whether all that k does is to look for matches in plain text.
func (k *masker) simple() bool { return k.lex == nil && k.ask == nil }

// find masks a text that lies in one piece, without copying it.
func (a *answer) find(k *masker, e *element, text []byte) *access.Error {
	if k.set.detect == nil {
		return nil
	}
	a.matches = k.set.detect.Find(text, a.matches[:0])
	for _, m := range a.matches {
		u := &k.set.uses[m.Index]
		with, refused := k.replaced(u, text[m.Start:m.End], m.Start)
		if refused != nil {
			return refused
		}
		if !u.observe {
			e.replace(m.Start, m.End, with)
		}
	}
	e.end()
	return nil
}

// masker is one for a text, the same again where it is for the same tensor.
func (a *answer) masker(t *tensorPlan, index int) *masker {
	for _, k := range a.masks {
		if k.t == t {
			k.tally = a.tally
			k.restart(index)
			return k
		}
	}
	k := newMasker(t, index, a.tally)
	if len(a.masks) < keptMasks {
		a.masks = append(a.masks, k)
	}
	return k
}
