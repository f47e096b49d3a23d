package guard

import (
	"iter"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/wire"
)

// texts are the elements of a BYTES input. Text in shared memory, of another
// encoding or not UTF-8 can't be looked at.
func (r *reading) texts(i *input) ([]string, error) {
	return i.text.get(func() ([]string, error) { return r.findTexts(i) })
}

func (r *reading) findTexts(i *input) ([]string, error) {
	name := access.Quote(i.name)
	switch {
	case i.shared:
		return nil, fail("input %s is in shared memory, where it can't be looked at; send it in the request", name)
	case i.datatype != wire.Bytes.String():
		return nil, fail("input %s is of datatype %s, which has no text", name, access.Quote(i.datatype))
	case i.hasRaw && i.tensor.HasContents():
		return nil, fail("input %s has both contents and raw_input_contents", name)
	case !i.hasRaw && !i.tensor.HasContents():
		return nil, fail("input %s has no data", name)
	case !i.tensor.Contents().OnlyFor(i.datatype):
		return nil, fail("input %s has contents of another datatype than its own", name)
	}
	if err := r.declared(i, "", "str", "np", "pd"); err != nil {
		return nil, err
	}
	var all []string
	for span, err := range i.elements() {
		if err != nil {
			return nil, fail("the data of input %s is no list of strings", name)
		}
		if err := r.take(span.Len() + 1); err != nil {
			return nil, err
		}
		text := span.String()
		if !utf8.ValidString(text) {
			return nil, fail("the text of input %s is not UTF-8", name)
		}
		all = append(all, text)
	}
	return all, nil
}

// elements yields what a BYTES input holds, raw or typed.
func (i *input) elements() iter.Seq2[wire.Span, error] {
	return func(yield func(wire.Span, error) bool) {
		if !i.hasRaw {
			for s := range i.tensor.Contents().Bytes() {
				if !yield(s, nil) {
					return
				}
			}
			return
		}
		it := i.raw.Elements()
		for it.Next() {
			if !yield(it.Element(), nil) {
				return
			}
		}
		if it.Err() != nil {
			yield(wire.Span{}, it.Err())
		}
	}
}

// declared refuses content types but those that are known to change nothing.
// MLServer would decode others before the model reads them, as base64, or numbers
// as text: what guards see would not be what the model reads.
func (r *reading) declared(i *input, known ...string) error {
	for _, p := range []wire.Parameters{i.tensor.Parameters(), r.r.Infer.Parameters()} {
		v, there := p.Get(contentTypeKey)
		if !there {
			continue
		}
		text, ok := v.Text()
		if !ok || !slices.ContainsFunc(known, text.Is) {
			return fail("parameter %s says that input %s is not what it seems; leave it out", contentTypeKey, access.Quote(i.name))
		}
	}
	return nil
}

// text is what text() gives: the elements of an input, a line each; empty where
// the request has no such input.
func (r *reading) text(name string) (string, error) {
	all, err := r.textList(name)
	return strings.Join(all, "\n"), err
}

// textList is what texts() gives.
func (r *reading) textList(name string) ([]string, error) {
	i, err := r.find(name)
	if err != nil || i == nil {
		return nil, err
	}
	return r.texts(i)
}

// json is what json() gives: an input's one element as a value, an empty map where
// the request has no such input.
func (r *reading) json(name string) (any, error) {
	i, err := r.find(name)
	if err != nil {
		return nil, err
	}
	if i == nil {
		return map[string]any{}, nil
	}
	return i.value.get(func() (any, error) {
		all, err := r.texts(i)
		if err != nil {
			return nil, err
		}
		if len(all) != 1 {
			return nil, fail("input %s has %d elements; JSON is read of one", access.Quote(name), len(all))
		}
		v, err := parseJSON(all[0])
		if err != nil {
			return nil, fail("input %s is not JSON that can be read in one way: %v", access.Quote(name), err)
		}
		return v, nil
	})
}
