package payload

import (
	"iter"
	"strings"

	"github.com/sluice-gateway/sluice/wire"
)

// maxIndexed is how much of a payload's text is split into words, in bytes.
const maxIndexed = 1 << 20

// place is one element of a stream's output, whose chunks make up a text.
type place struct {
	output string
	index  int
}

// texts gathers the words of a content's texts. Chunks of a stream are put
// together first: words go across their borders.
type texts struct {
	words  wordSet
	stream map[place]*strings.Builder
	left   int
	raws   []wire.Span
}

func index(c *Content, words wordSet) {
	t := &texts{words: words, stream: map[place]*strings.Builder{}, left: maxIndexed}
	for i := range c.Frames {
		t.frame(&c.Frames[i])
	}
	for _, text := range t.stream {
		words.add(text.String())
	}
}

// frame takes the texts of a message; one that can't be read has none.
func (t *texts) frame(f *Frame) {
	m := wire.FromBytes(f.Message)
	defer m.Free()
	switch f.Kind {
	case Failure:
		t.words.add(string(f.Message))
	case Request:
		if view, err := m.InferRequest(); err == nil {
			t.elements(view.Inputs(), view.Raw(), true, t.alone)
		}
	case Answer:
		if view, err := m.InferResponse(); err == nil {
			t.elements(view.Outputs(), view.Raw(), false, t.alone)
		}
	case Stream:
		if view, err := m.StreamResponse(); err == nil {
			t.words.add(view.ErrorMessage().String())
			t.elements(view.Response().Outputs(), view.Response().Raw(), false, t.chunk)
		}
	}
}

func (t *texts) alone(_ place, text wire.Span) {
	if t.left -= text.Len(); t.left >= 0 {
		t.words.add(text.String())
	}
}

func (t *texts) chunk(at place, text wire.Span) {
	if t.left -= text.Len(); t.left < 0 {
		return
	}
	if t.stream[at] == nil {
		t.stream[at] = &strings.Builder{}
	}
	for b := range text.Chunks() {
		t.stream[at].Write(b)
	}
}

// sharedMemory is the parameter of an input whose data is not in the message.
const sharedMemory = "shared_memory_region"

// elements calls visit with the elements of all tensors of text. Of inputs, those
// in shared memory have no raw data.
func (t *texts) elements(all iter.Seq[wire.Tensor], raws iter.Seq[wire.Span], inputs bool, visit func(place, wire.Span)) {
	t.raws = t.raws[:0]
	for raw := range raws {
		t.raws = append(t.raws, raw)
	}
	n := 0
	for one := range all {
		at := place{output: one.Name().String()}
		if n < len(t.raws) && (!inputs || !one.Parameters().Has(sharedMemory)) {
			if one.Type() == wire.Bytes {
				for it := t.raws[n].Elements(); it.Next(); at.index++ {
					visit(at, it.Element())
				}
			}
			n++
		}
		for text := range one.Contents().Bytes() {
			visit(at, text)
			at.index++
		}
	}
}
