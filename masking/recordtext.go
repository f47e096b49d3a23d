package masking

import (
	"bytes"
	"context"
	"slices"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/masking/detect"
)

// recordRun is the work on the messages of one call. It is for one goroutine.
type recordRun struct {
	*Recording
	ctx   context.Context
	found Found
	masks []*masker         // one for each pass
	memo  map[string]string // names and the like, which each answer repeats
}

const (
	// maxMemo bounds how many names one call's memo has, maxMemoText how long each is.
	maxMemo     = 256
	maxMemoText = 64
)

func (r *Recording) run(ctx context.Context, found Found) *recordRun {
	w := &recordRun{Recording: r, ctx: ctx, found: found, memo: map[string]string{}}
	for _, pass := range r.passes {
		w.masks = append(w.masks, newMasker(pass, 0, nil))
	}
	return w
}

// all masks the texts of tensors, and puts them back where they were raw.
func (w *recordRun) all(tensors []*recorded, raws [][]byte) *access.Error {
	for _, t := range tensors {
		if refused := w.each(t); refused != nil {
			return refused
		}
		t.put(raws)
	}
	return nil
}

// each masks the elements of a tensor, each by itself.
func (w *recordRun) each(t *recorded) *access.Error {
	for i := range t.elems {
		if refused := w.alone(&t.elems[i]); refused != nil {
			return refused
		}
	}
	return nil
}

// alone masks a text that is there whole.
func (w *recordRun) alone(text *[]byte) *access.Error { return w.joined([]*[]byte{text}, true) }

// name masks a short text that comes again and again.
func (w *recordRun) name(text *string) *access.Error {
	if *text == "" {
		return nil
	}
	if known, found := w.memo[*text]; found {
		*text = known
		return nil
	}
	b := []byte(*text)
	if refused := w.alone(&b); refused != nil {
		return refused
	}
	masked := string(b)
	if len(*text) <= maxMemoText && len(w.memo) < maxMemo {
		w.memo[*text] = masked
	}
	*text = masked
	return nil
}

// joined masks a text that came in chunks, and leaves each chunk its part: a
// match stands where it begins. Of a text that was broken off, what could still
// have become a match is left out.
func (w *recordRun) joined(chunks []*[]byte, ended bool) *access.Error {
	for _, k := range w.masks {
		size := 0
		for _, c := range chunks {
			size += len(*c)
		}
		if size == 0 {
			return nil
		}
		text := *chunks[0]
		if len(chunks) > 1 {
			text = make([]byte, 0, size)
			for _, c := range chunks {
				text = append(text, *c...)
			}
		}
		if ended && k.clear(text) {
			continue
		}
		edits, refused := w.find(k, text, ended)
		if refused != nil {
			return refused
		}
		spread(text, edits, chunks)
	}
	return nil
}

// clear tells, at little cost, that nothing is found in a text that is there whole.
// False says nothing.
func (k *masker) clear(text []byte) bool {
	if k.lex != nil || k.ask != nil || k.set.detect == nil {
		return false
	}
	var few [1]detect.Match
	return len(k.set.detect.Find(text, few[:0])) == 0
}

// find returns what is to be replaced in a text.
func (w *recordRun) find(k *masker, text []byte, ended bool) ([]edit, *access.Error) {
	var notes []Finding
	k.restart(0)
	k.notes = &notes
	refused := k.write(w.ctx, text)
	edits := slices.Clone(k.edits)
	if refused == nil && ended {
		refused = k.flush(w.ctx)
		edits = append(edits, k.edits...)
	}
	if refused != nil {
		return nil, refused
	}
	if k.done < len(text) {
		edits = append(edits, edit{start: k.done, end: len(text)})
	}
	for _, n := range notes {
		if n.Action == string(actionBlock) {
			return nil, w.cannot("it holds what rule " + access.Quote(n.Rule) + " blocks")
		}
		if w.found != nil && n.End <= len(text) {
			w.found(n.Entity, text[n.Start:n.End])
		}
	}
	return edits, nil
}

// spread makes the edits of a text in the chunks that it came in.
func spread(text []byte, edits []edit, chunks []*[]byte) {
	if len(edits) == 0 {
		return
	}
	begin, gone := 0, 0 // gone: up to here an edit has taken it
	for i, c := range chunks {
		end := begin + len(*c)
		last := i == len(chunks)-1
		if gone <= begin && (len(edits) == 0 || edits[0].start >= end && !last) {
			begin = end
			continue // nothing of it is replaced
		}
		var out []byte
		at := max(begin, gone)
		for len(edits) > 0 && (edits[0].start < end || last) {
			e := edits[0]
			if e.start > at {
				out = append(out, text[at:e.start]...)
			}
			out = append(out, e.text...)
			at, gone, edits = max(at, e.end), max(gone, e.end), edits[1:]
		}
		if at < end {
			out = append(out, text[at:end]...)
		}
		*c, begin = out, end
	}
}

// cumulative masks chunks that each hold the text so far: a match is masked as
// soon as its first byte is there. One that does not go on where the last one
// ended begins another text.
func (w *recordRun) cumulative(chunks []*[]byte, ended bool) *access.Error {
	for len(chunks) > 0 {
		n := 1
		for n < len(chunks) && bytes.HasPrefix(*chunks[n], *chunks[n-1]) {
			n++
		}
		// The text's parts are what each chunk has more than the one before it.
		parts := make([]*[]byte, n)
		before := 0
		for i, c := range chunks[:n] {
			part := slices.Clone((*c)[before:])
			parts[i], before = &part, len(*c)
		}
		if refused := w.joined(parts, ended || n < len(chunks)); refused != nil {
			return refused
		}
		var sum []byte
		for i, part := range parts {
			sum = append(sum, *part...)
			*chunks[i] = slices.Clone(sum)
		}
		chunks = chunks[n:]
	}
	return nil
}
