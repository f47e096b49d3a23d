package payload

import (
	"encoding/binary"
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

	// What the last answer of a stream was like: those of tokens are all alike.
	head  []byte
	known bool
	likes []like
}

// like is an output of an answer that is nothing but raw data.
type like struct {
	name  string
	text  bool
	first *strings.Builder // of its first element
}

// words are the words of a content's texts.
func words(c *Content) wordSet {
	t := &texts{words: wordSet{}, stream: map[place]*strings.Builder{}, left: maxIndexed}
	for i := range c.Frames {
		t.frame(&c.Frames[i])
	}
	for _, text := range t.stream {
		t.words.add(text.String())
	}
	return t.words
}

// frame takes the texts of a message; one that can't be read has none.
func (t *texts) frame(f *Frame) {
	if f.Kind == Stream && t.alike(f.Message) {
		return
	}
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
			t.remember(f.Message, view.Response())
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
	to := t.at(at)
	for b := range text.Chunks() {
		to.Write(b)
	}
}

func (t *texts) at(at place) *strings.Builder {
	if t.stream[at] == nil {
		t.stream[at] = &strings.Builder{}
	}
	return t.stream[at]
}

// remember notes what an answer of a stream is like.
func (t *texts) remember(message []byte, resp wire.InferResponse) {
	head, raws, can := wire.CutAnswer(message)
	t.head, t.known, t.likes = head, false, t.likes[:0]
	for one := range resp.Outputs() {
		for range one.Contents().Bytes() {
			return
		}
		t.likes = append(t.likes, like{name: one.Name().String(), text: one.Type() == wire.Bytes})
	}
	n := 0
	for range wire.RawOutputs(raws) {
		n++
	}
	t.known = can && n == len(t.likes)
}

// alike takes the texts of an answer that is like the last one; false says nothing.
func (t *texts) alike(message []byte) bool {
	if !t.known {
		return false
	}
	raws, can := wire.CutLike(message, t.head)
	if !can {
		return false
	}
	n := 0
	for range wire.RawOutputs(raws) {
		n++
	}
	if n != len(t.likes) {
		return false
	}
	n = 0
	for data := range wire.RawOutputs(raws) {
		if t.likes[n].text {
			t.raw(&t.likes[n], data)
		}
		n++
	}
	return true
}

// raw takes the elements of an output's raw data, as far as they are whole.
func (t *texts) raw(of *like, data []byte) {
	for index := 0; len(data) >= 4; index++ {
		n := int64(binary.LittleEndian.Uint32(data))
		if data = data[4:]; n > int64(len(data)) {
			return
		}
		text := data[:n]
		if data = data[n:]; t.left < len(text) {
			t.left = 0
			continue
		}
		t.left -= len(text)
		to := of.first
		if to == nil || index > 0 {
			to = t.at(place{of.name, index})
		}
		if index == 0 {
			of.first = to
		}
		to.Write(text)
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
