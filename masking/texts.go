package masking

import (
	"bytes"
	"context"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/wire"
)

// render is the masked text from out up to end, with the edits that begin
// before at, where the next chunk does. What an edit takes beyond end is not there.
func (x *textStream) render(end, at int) []byte {
	if x.out == end && len(x.edits) == 0 {
		return nil
	}
	var b []byte
	done := x.out
	for _, d := range x.edits {
		if d.start >= at {
			break
		}
		b = append(b, x.tail[done-x.out:d.start-x.out]...)
		b = append(b, d.text...)
		done = min(d.end, end)
	}
	return append(b, x.tail[done-x.out:end-x.out]...)
}

// appendFrom appends what of s is from byte n on.
func appendFrom(dst []byte, s wire.Span, n int) []byte {
	for chunk := range s.Chunks() {
		skip := min(n, len(chunk))
		n -= skip
		dst = append(dst, chunk[skip:]...)
	}
	return dst
}

// cumulative masks an answer that holds the text so far. One that does not go
// on where the last one ended is another text. The text is kept: the next answer
// is compared with it, and one that is to be flushed is made of it.
func (x *textStream) cumulative(ctx context.Context, e *element, index int, last bool) *access.Error {
	if !hasPrefix(e.span, x.tail) {
		x.masker.restart(index)
		x.tail, x.edits = x.tail[:0], x.edits[:0]
	}
	n := len(x.tail)
	x.tail = appendFrom(x.tail, e.span, n)
	refused := x.feed(ctx, x.tail[n:])
	if refused == nil && last {
		refused = x.flush(ctx)
	}
	if refused != nil {
		return refused
	}
	e.take(x.edits, 0)
	e.replace(x.masker.done, e.span.Len(), "")
	return nil
}

// hasPrefix tells whether s begins with prefix.
func hasPrefix(s wire.Span, prefix []byte) bool {
	if s.Len() < len(prefix) {
		return false
	}
	for chunk := range s.Chunks() {
		n := min(len(chunk), len(prefix))
		if !bytes.Equal(chunk[:n], prefix[:n]) {
			return false
		}
		prefix = prefix[n:]
	}
	return true
}

// rest ends a text whose last answer does not come, and returns what an answer
// more would have to hold of it: nil for nothing.
func (x *textStream) rest(ctx context.Context, mode Mode) ([]byte, *access.Error) {
	shown := x.masker.done
	if refused := x.flush(ctx); refused != nil {
		return nil, refused
	}
	if mode == Cumulative && shown == x.masker.done {
		return nil, nil
	}
	return x.render(x.masker.done, x.masker.done+1), nil
}
