package masking

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/access"
)

// Analyzer asks a service where in a text it finds what. It is safe for
// concurrent use, bounds its own time, and its errors hold nothing of the text.
type Analyzer interface {
	Analyze(ctx context.Context, text string) ([]Span, error)
}

// Span is what an [Analyzer] has found, in code points of the text.
type Span struct {
	Start, End int
	// Entity is the service's own name for it.
	Entity string
	Score  float64
}

// analyzer is a presidio detector as compiled.
type analyzer struct {
	name   string
	config Presidio
	ask    Analyzer
}

const (
	// windowBytes is how long the stretches are that a service is shown of a
	// stream; they end at a blank of the second half, where there is one.
	windowBytes = 2 << 10
	// maxAsked is the longest text that a service is asked about, in bytes.
	maxAsked = 1 << 20
)

// asking is what analyzer services are asked about one text. What they decide
// on is cut by the text alone, never by how it arrives in chunks.
type asking struct {
	asks  []asked
	whole bool
	held  []byte // not asked about yet
	start int    // where it begins
	edits []edit // of scan and services, not given out yet
	lost  bool   // too long, and passed
}

func newAsking(asks []asked) *asking {
	return &asking{asks: asks, whole: slices.ContainsFunc(asks, func(a asked) bool { return a.config.Stream != Window })}
}

// write takes a chunk that k has scanned, and holds k back to what the services
// have seen.
func (a *asking) write(ctx context.Context, k *masker, chunk []byte) *access.Error {
	a.edits = append(a.edits, k.edits...)
	a.held = append(a.held, chunk...)
	switch {
	case a.lost:
		a.start, a.held = a.start+len(a.held), a.held[:0]
	case a.whole && len(a.held) > maxAsked:
		if refused := a.tooLong(); refused != nil {
			return refused
		}
	}
	for !a.whole && len(a.held) >= windowBytes {
		if refused := a.show(ctx, k, window(a.held)); refused != nil {
			return refused
		}
	}
	a.give(k, min(k.done, a.start))
	return nil
}

// flush shows what is left.
func (a *asking) flush(ctx context.Context, k *masker) *access.Error {
	a.edits = append(a.edits, k.edits...)
	if refused := a.show(ctx, k, len(a.held)); refused != nil {
		return refused
	}
	a.give(k, k.fed)
	return nil
}

// window is how much of b is shown at once: b is longer.
func window(b []byte) int {
	if i := strings.LastIndexFunc(string(b[windowBytes/2:windowBytes]), unicode.IsSpace); i >= 0 {
		return windowBytes/2 + i
	}
	n := windowBytes
	for n > windowBytes-utf8.UTFMax && !utf8.RuneStart(b[n-1]) {
		n--
	}
	return n - 1
}

// tooLong is what becomes of a text that no service is asked about any more.
func (a *asking) tooLong() *access.Error {
	for i := range a.asks {
		if a.asks[i].onError != Pass {
			return a.asks[i].away("the text is longer than a service is asked about")
		}
	}
	a.lost = true
	a.start, a.held = a.start+len(a.held), nil
	return nil
}

// away is the refusal where a service has not looked at a text.
func (a *asked) away(why string) *access.Error {
	return &access.Error{
		Kind: access.Unavailable, Reason: access.ReasonDetectorAway,
		Message: "the answer was withheld: detector " + a.name + " could not look at it (" + why + ")",
	}
}

// show asks all services about the next n bytes.
func (a *asking) show(ctx context.Context, k *masker, n int) *access.Error {
	b := a.held[:n]
	for i := range a.asks {
		one := &a.asks[i]
		if len(strings.TrimSpace(string(b))) == 0 {
			break
		}
		// What is no UTF-8 is one code point a byte, here and there.
		spans, err := one.ask.Analyze(ctx, strings.ToValidUTF8(expanded(b), ""))
		if err != nil && one.onError != Pass {
			refused := one.away("the service does not answer")
			refused.Cause = err
			return refused
		}
		if err != nil {
			continue
		}
		if refused := a.found(k, one, b, spans); refused != nil {
			return refused
		}
	}
	a.start, a.held = a.start+n, a.held[:copy(a.held, a.held[n:])]
	return nil
}

// expanded is b with each byte that is no UTF-8 as a replacement character.
func expanded(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	var s strings.Builder
	for _, r := range string(b) {
		s.WriteRune(r)
	}
	return s.String()
}

// found turns a service's spans into edits.
func (a *asking) found(k *masker, one *asked, b []byte, spans []Span) *access.Error {
	places := make([]int, 0, len(b)+1)
	for i := range string(b) {
		places = append(places, i)
	}
	places = append(places, len(b))
	for _, s := range spans {
		if s.Start < 0 || s.End <= s.Start || s.End >= len(places) {
			if one.onError != Pass {
				return one.away("the service's answer makes no sense")
			}
			continue
		}
		if s.Score < one.threshold {
			continue
		}
		start, end := places[s.Start], places[s.End]
		text, refused := k.replaced(&one.use, b[start:end], a.start+start)
		if refused != nil {
			return refused
		}
		if !one.observe {
			a.edits = append(a.edits, edit{a.start + start, a.start + end, text})
		}
	}
	return nil
}

// give hands k the edits up to end. Where two overlap, the leftmost and longest
// stays whole and the other one takes what is left.
func (a *asking) give(k *masker, end int) {
	slices.SortStableFunc(a.edits, func(x, y edit) int {
		return cmp.Or(cmp.Compare(x.start, y.start), cmp.Compare(y.end, x.end))
	})
	at := 0
	for _, e := range slices.Backward(a.edits) {
		if e.end > end {
			end = min(end, e.start) // it is not cut
		}
	}
	k.edits = k.edits[:0]
	rest := a.edits[:0]
	for _, e := range a.edits {
		if e.end > end {
			rest = append(rest, e)
			continue
		}
		e.start = max(e.start, at)
		if e.end > e.start {
			k.edits = append(k.edits, e)
			at = e.end
		}
	}
	a.edits, k.done = rest, max(end, 0)
}
