package masking

import (
	"context"
	"slices"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/masking/detect"
)

// edit replaces [start,end) of a text, which counts from its beginning however
// many chunks it comes in.
type edit struct {
	start, end int
	text       string
}

// masker masks one text, in as many chunks as it comes. It does not hold the
// text: it says what of it is to be replaced, and up to where that is decided.
type masker struct {
	t     *tensorPlan
	index int
	tally *Counts
	notes *[]Finding // where matches are told; nil where nobody asks

	fed   int    // bytes written
	done  int    // up to here all is decided
	edits []edit // of what is decided, since the last call

	set    *set
	scan   *detect.Stream // over the bytes from base on; nil where set has no detectors
	base   int
	spare  []spare
	events []detect.Event
	value  []byte // of the match that is going on, where somebody wants to hear of it
	open   writer // the match that is going on

	lex *lexer // of JSON texts
	ask *asking
}

// newMasker begins a text: the element of an index.
func newMasker(t *tensorPlan, index int, tally *Counts) *masker {
	k := &masker{t: t, tally: tally}
	if t.format == JSON {
		k.lex = &lexer{k: k}
	}
	k.restart(index)
	return k
}

// restart begins another text: the element of another index.
func (k *masker) restart(index int) {
	k.index, k.fed, k.done, k.edits = index, 0, 0, k.edits[:0]
	if k.lex != nil {
		*k.lex = lexer{k: k, frames: k.lex.frames[:0], bare: k.lex.bare[:0], quoted: quoted{batch: k.lex.quoted.batch[:0]}}
		return
	}
	k.begin(k.t.setFor(index, 0), 0)
	if k.ask != nil || len(k.set.asks) > 0 {
		k.ask = newAsking(k.set.asks)
	}
}

// begin starts a scan of what follows position base.
func (k *masker) begin(s *set, base int) {
	k.base = base
	if s == k.set {
		if k.scan != nil {
			k.scan.Reset()
		}
		return
	}
	if k.scan != nil {
		k.spare = append(k.spare, spare{k.set, k.scan})
	}
	k.set, k.scan = s, nil
	if s.detect == nil {
		return
	}
	if i := slices.IndexFunc(k.spare, func(one spare) bool { return one.set == s }); i >= 0 {
		k.scan = k.spare[i].scan
		k.spare = slices.Delete(k.spare, i, i+1)
		k.scan.Reset()
		return
	}
	k.scan = s.detect.NewStream()
}

// spare is a scan that may be needed again: strings at other places of a JSON
// text are looked at for other things.
type spare struct {
	set  *set
	scan *detect.Stream
}

// write takes the next bytes of the text. The edits that it leaves are valid
// until the next call.
func (k *masker) write(ctx context.Context, chunk []byte) *access.Error {
	k.edits = k.edits[:0]
	if k.lex != nil {
		return k.lex.write(chunk)
	}
	refused := k.feed(chunk)
	if refused == nil && k.ask != nil {
		refused = k.ask.write(ctx, k, chunk)
	}
	return refused
}

// flush ends the text: all of it is decided then.
func (k *masker) flush(ctx context.Context) *access.Error {
	k.edits = k.edits[:0]
	var refused *access.Error
	if k.lex != nil {
		refused = k.lex.flush()
	} else if refused = k.ended(); refused == nil && k.ask != nil {
		refused = k.ask.flush(ctx, k)
	}
	k.done = k.fed
	return refused
}

// feed scans a chunk of plain text.
func (k *masker) feed(chunk []byte) *access.Error {
	k.fed += len(chunk)
	if k.scan == nil {
		k.done = k.fed
		return nil
	}
	k.events = k.scan.Write(chunk, k.events[:0])
	return k.decided()
}

// ended ends the scan of plain text.
func (k *masker) ended() *access.Error {
	if k.scan == nil {
		return nil
	}
	k.events = k.scan.Flush(k.events[:0])
	return k.decided()
}

// decided takes over what the scan of plain text has decided.
func (k *masker) decided() *access.Error {
	for i := range k.events {
		ev := &k.events[i]
		start, end := k.base+ev.Start, k.base+ev.End()
		if !ev.Clear() {
			if refused := k.matched(&k.set.uses[ev.Index], ev, start, end, false); refused != nil {
				return refused
			}
		}
		k.done = end
	}
	return nil
}

// matched makes the edit of a match, or of a piece of one, that takes
// [start,end) of the text.
func (k *masker) matched(u *use, ev *detect.Event, start, end int, quoted bool) *access.Error {
	text := ""
	if ev.First {
		if refused := k.count(u); refused != nil {
			return refused
		}
		text = k.open.begin(u)
	}
	k.open.write(ev.Text)
	k.hear(u, ev.Text, ev.First, ev.Last)
	if ev.Last {
		text += k.finish(u)
	}
	k.note(u, start, end, ev.First, text)
	if u.observe {
		return nil
	}
	if quoted {
		text = string(appendQuoted(nil, text))
	}
	k.edits = append(k.edits, edit{start, end, text})
	return nil
}

// count counts a match; it is the refusal where a match ends the call.
func (k *masker) count(u *use) *access.Error {
	k.tally.add(u)
	if u.action.kind != actionBlock || u.observe || k.notes != nil {
		return nil
	}
	return &access.Error{
		Kind: access.PermissionDenied, Reason: access.ReasonBlocked,
		Message: "the answer was withheld: it holds what rule " + access.Quote(u.rule.name) + " of the masking policy does not let out",
	}
}

// note tells a match, or how one goes on, to who asked.
func (k *masker) note(u *use, start, end int, first bool, text string) {
	switch {
	case k.notes == nil:
	case first:
		*k.notes = append(*k.notes, Finding{start, end, u.entity, u.rule.name, string(u.action.kind), u.observe, text})
	default:
		last := &(*k.notes)[len(*k.notes)-1]
		last.End, last.Text = end, last.Text+text
	}
}
