package server_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/bench/masking/corpus"
	"github.com/sluice-gateway/sluice/gen/inference"
)

// check compares the answers to one request with the masked whole texts, and
// looks in them for what was seeded.
func (one *soakRequest) check(all []*inference.ModelStreamInferResponse, want []string, sum *soakSum) error {
	got, err := one.join(all, want)
	if err != nil {
		return err
	}
	for i, d := range one.docs {
		if got[i] != want[i] {
			return fmt.Errorf("element %d is\n%q\nin a stream, and whole\n%q\nof\n%q", i, got[i], want[i], d.Text)
		}
		sum.texts.Add(1)
		sum.bytes.Add(int64(len(d.Text)))
		if err := soakLeaks(d, got[i], strings.HasSuffix(one.model, ".partial"), sum); err != nil {
			return err
		}
	}
	return nil
}

// join gives each element's masked text, and holds every answer to the form that
// the server gave it.
func (one *soakRequest) join(all []*inference.ModelStreamInferResponse, want []string) ([]string, error) {
	got := make([]string, len(one.docs))
	failed := false
	for _, a := range all {
		m := a.GetInferResponse()
		if m.GetId() != one.id {
			continue
		}
		failed = failed || a.GetErrorMessage() != ""
		texts, err := soakTexts(m)
		if err != nil {
			return nil, err
		}
		if texts == nil {
			continue
		}
		if err := one.form(m, texts); err != nil {
			return nil, err
		}
		for i, text := range texts {
			if !one.cumulative() {
				got[i] += text
				continue
			}
			if !strings.HasPrefix(text, got[i]) || !strings.HasPrefix(want[i], text) {
				return nil, fmt.Errorf("element %d, cumulative: %q after %q, of %q", i, text, got[i], want[i])
			}
			got[i] = text
		}
	}
	if failed != one.failed {
		return nil, fmt.Errorf("an error came: %t, want %t", failed, one.failed)
	}
	return got, nil
}

// form holds an answer to the shape and layout that the server uses.
func (one *soakRequest) form(m *inference.ModelInferResponse, texts []string) error {
	at := slices.IndexFunc(m.GetOutputs(), func(o *inference.ModelInferResponse_InferOutputTensor) bool { return o.GetName() == "text_output" })
	switch {
	case len(texts) != len(one.docs):
		return fmt.Errorf("%d elements of %d", len(texts), len(one.docs))
	case !slices.Equal(m.GetOutputs()[at].GetShape(), one.shape):
		return fmt.Errorf("shape %v, want %v", m.GetOutputs()[at].GetShape(), one.shape)
	case one.raw != (len(m.GetRawOutputContents()) > 0):
		return errors.New("contents moved between raw and typed")
	case at == 1 && one.raw && string(m.GetRawOutputContents()[0]) != "\x01\x02\x03\x04",
		at == 1 && !one.raw && !slices.Equal(m.GetOutputs()[0].GetContents().GetIntContents(), []int32{0x04030201}):
		return errors.New("the tensor of numbers changed")
	}
	return nil
}

// soakPiece is how long a piece of a value may not be to be left.
const soakPiece = 6

// soakLeaks looks for values and pieces of them. A piece that also stands
// elsewhere in the text, outside of all values, may be left there.
func soakLeaks(d corpus.Doc, masked string, partial bool, sum *soakSum) error {
	rest := soakRest(d, partial)
	for _, s := range d.Truth {
		value := d.Text[s.Start:s.End]
		if !soakSeeded(s, value) {
			continue
		}
		sum.values.Add(1)
		for i := 0; i+soakPiece <= len(value); i++ {
			piece := value[i : i+soakPiece]
			if strings.Contains(rest, piece) {
				continue
			}
			sum.pieces.Add(1)
			if strings.Contains(masked, piece) {
				sum.leaked.Add(1)
				return fmt.Errorf("%q of the %s %q (%s) is left in %q", piece, s.Kind, value, s.Odd, masked)
			}
		}
	}
	return nil
}

// soakSeeded tells values that nothing may be left of. Nine digits in a row are a
// social security number only to whoever reads what stands around them.
func soakSeeded(s corpus.Span, value string) bool {
	return slices.Contains(soakKinds, s.Kind) && (s.Kind != "SSN" || utf8.RuneCountInString(value) > 9)
}

// soakRest is a text without what was seeded in it, but for the last four
// characters that partial leaves in front of what follows.
func soakRest(d corpus.Doc, partial bool) string {
	var b strings.Builder
	at := 0
	for _, s := range d.Truth {
		if soakSeeded(s, d.Text[s.Start:s.End]) {
			b.WriteString(d.Text[at:s.Start] + "\x00")
			if partial {
				b.WriteString(d.Text[s.End-4 : s.End])
			}
			at = s.End
		}
	}
	b.WriteString(d.Text[at:])
	for _, entity := range allEntities() {
		b.WriteString("[" + entity + "]")
	}
	return b.String()
}
