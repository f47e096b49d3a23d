package masking

import (
	"context"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/wire"
)

// parameters masks the strings of a map of parameters.
func (a *answer) parameters(ctx context.Context, params wire.Parameters) *access.Error {
	if len(a.plan.text) == 0 {
		return nil
	}
	for _, value := range params.All() {
		if text, ok := value.Text(); ok {
			if refused := a.alone(ctx, a.plan.words, 0, text, wire.Range{}); refused != nil {
				return refused
			}
		}
	}
	return nil
}

// classes masks what a classification has made of an output that no rule is
// about: the labels are text of the model's.
func (a *answer) classes(ctx context.Context, p *part) *access.Error {
	if len(a.plan.text) == 0 || !classified(p) {
		return nil
	}
	return a.elements(ctx, &part{out: p.out, t: a.plan.words, raw: p.raw})
}

// classified tells whether the elements of a BYTES output are what Triton
// answers for a classification: "score:index" or "score:index:label" each.
func classified(p *part) bool {
	some := false
	it := p.raw.Elements()
	for it.Next() {
		if some = true; !isClass(it.Element()) {
			return false
		}
	}
	for elem := range p.out.Contents().Bytes() {
		if some = true; !isClass(elem) {
			return false
		}
	}
	return some && it.Err() == nil
}

// isClass tells whether a string begins with a number, a colon, and digits.
func isClass(s wire.Span) bool {
	const most = 400 // digits of the greatest float64, and more
	var head [most]byte
	n := 0
	for b := range s.Chunks() {
		if n += copy(head[n:], b); n == most {
			break
		}
	}
	colons, index := 0, 0
	for _, c := range head[:n] {
		switch {
		case c == ':':
			if colons++; colons == 2 {
				return index > 0
			}
		case colons == 1:
			if c < '0' || c > '9' {
				return false
			}
			index++
		case (c < '0' || c > '9') && c != '.' && c != '-' && c != '+' && (c < 'a' || c > 'z'):
			return false
		}
	}
	return index > 0
}

// Text masks words of the backend's that are in no tensor: an error's text. It
// never fails; what must not be let out is left out.
func (p *Plan) Text(ctx context.Context, text string, c *Counts) string {
	if len(p.text) == 0 {
		return text
	}
	if c == nil {
		c = new(Counts)
	}
	k := newMasker(p.words, 0, c)
	refused := k.write(ctx, []byte(text))
	edits := append([]edit(nil), k.edits...)
	if refused == nil {
		refused = k.flush(ctx)
	}
	if refused == nil {
		refused = p.keepTokens(ctx, c)
	}
	if refused != nil {
		return withheld
	}
	out, at := "", 0
	for _, e := range append(edits, k.edits...) {
		out, at = out+text[at:e.start]+e.text, e.end
	}
	return out + text[at:]
}

// withheld stands in the place of a text that nothing of may be let out.
const withheld = "[text withheld by the masking policy]"
