package masking

import (
	"bytes"
	"context"
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sluice-gateway/sluice/access"
)

// each masks the elements of a tensor, each by itself.
func (r *Recording) each(ctx context.Context, t *recorded, found Found) *access.Error {
	for i := range t.elems {
		if refused := r.alone(ctx, &t.elems[i], found); refused != nil {
			return refused
		}
	}
	return nil
}

// alone masks a text that is there whole.
func (r *Recording) alone(ctx context.Context, text *[]byte, found Found) *access.Error {
	return r.joined(ctx, []*[]byte{text}, true, found)
}

// joined masks a text that came in chunks, and leaves each chunk its part: a
// match stands where it begins. Of a text that was broken off, what could still
// have become a match is left out.
func (r *Recording) joined(ctx context.Context, chunks []*[]byte, ended bool, found Found) *access.Error {
	for _, pass := range r.passes {
		size := 0
		for _, c := range chunks {
			size += len(*c)
		}
		if size == 0 {
			return nil
		}
		text := make([]byte, 0, size)
		for _, c := range chunks {
			text = append(text, *c...)
		}
		edits, refused := r.find(ctx, pass, text, ended, found)
		if refused != nil {
			return refused
		}
		spread(text, edits, chunks)
	}
	return nil
}

// find returns what is to be replaced in a text.
func (r *Recording) find(ctx context.Context, pass *tensorPlan, text []byte, ended bool, found Found) ([]edit, *access.Error) {
	notes := []Finding{}
	k := newMasker(pass, 0, nil)
	k.notes = &notes
	refused := k.write(ctx, text)
	edits := slices.Clone(k.edits)
	if refused == nil && ended {
		refused = k.flush(ctx)
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
			return nil, r.cannot("it holds what rule " + access.Quote(n.Rule) + " blocks")
		}
		if found != nil && n.End <= len(text) {
			found(n.Entity, text[n.Start:n.End])
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
func (r *Recording) cumulative(ctx context.Context, chunks []*[]byte, ended bool, found Found) *access.Error {
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
		if refused := r.joined(ctx, parts, ended || n < len(chunks), found); refused != nil {
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

// strings masks all texts of a message but the elements of tensors and raw data.
func (r *Recording) strings(ctx context.Context, m protoreflect.Message, found Found) (refused *access.Error) {
	mask := func(text []byte) []byte {
		if refused == nil && len(text) > 0 {
			refused = r.alone(ctx, &text, found)
		}
		return text
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if elements[f.FullName()] {
			return true
		}
		switch {
		case f.IsMap():
			refused = r.entries(ctx, f, v.Map(), mask, found)
		case f.IsList():
			for i := range v.List().Len() {
				if f.Message() != nil {
					refused = r.strings(ctx, v.List().Get(i).Message(), found)
				} else {
					v.List().Set(i, scalar(f, v.List().Get(i), mask))
				}
				if refused != nil {
					return false
				}
			}
		case f.Message() != nil:
			refused = r.strings(ctx, v.Message(), found)
		default:
			m.Set(f, scalar(f, v, mask))
		}
		return refused == nil
	})
	return refused
}

// elements are fields that are masked as tensors are.
var elements = map[protoreflect.FullName]bool{
	"inference.ModelInferRequest.raw_input_contents":   true,
	"inference.ModelInferResponse.raw_output_contents": true,
	"inference.InferTensorContents.bytes_contents":     true,
}

// scalar is a value, masked if it is text.
func scalar(f protoreflect.FieldDescriptor, v protoreflect.Value, mask func([]byte) []byte) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(string(mask([]byte(v.String()))))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(mask(slices.Clone(v.Bytes())))
	}
	return v
}

// entries masks a map. Of two keys that look alike masked, one stays.
func (r *Recording) entries(ctx context.Context, f protoreflect.FieldDescriptor, m protoreflect.Map, mask func([]byte) []byte, found Found) (refused *access.Error) {
	var keys []protoreflect.MapKey
	m.Range(func(key protoreflect.MapKey, v protoreflect.Value) bool {
		keys = append(keys, key)
		if f.MapValue().Message() != nil {
			refused = r.strings(ctx, v.Message(), found)
		} else {
			m.Set(key, scalar(f.MapValue(), v, mask))
		}
		return refused == nil
	})
	if f.MapKey().Kind() != protoreflect.StringKind {
		return refused
	}
	for _, key := range keys {
		if masked := string(mask([]byte(key.String()))); masked != key.String() {
			v := m.Get(key)
			m.Clear(key)
			m.Set(protoreflect.ValueOfString(masked).MapKey(), v)
		}
	}
	return refused
}
