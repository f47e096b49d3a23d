package approval

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/wire"
)

// CheckShown refuses an infer whose data one server reads in another way than the
// next: typed contents beside raw ones, or another number of raw ones than there
// are inputs. What is shown of it would not be what the model gets. The error is an
// [access.Error].
func CheckShown(m *wire.Message) error {
	view, err := m.InferRequest()
	if err != nil || view.NumRaw() == 0 {
		return err
	}
	twice := view.NumRaw() != view.NumInputs()
	for t := range view.Inputs() {
		twice = twice || t.HasContents()
	}
	if twice {
		return &access.Error{
			Kind: access.Malformed, Reason: access.ReasonMalformed,
			Message: "the request needs approval, and its data can be read in two ways; send either contents with each input, or one raw_input_contents for each",
		}
	}
	return nil
}

// maxDims is how many dimensions a shape may have to be shown.
const maxDims = 16

// ShowInfer is what an approver sees of an infer: its parameters, its inputs with
// the beginning of their texts, and the outputs that are asked for. Texts go
// through mask; without one none is shown.
func ShowInfer(m *wire.Message, mask Mask) *Summary {
	s := newSummary(mask)
	s.Bytes = m.Len()
	view, err := m.InferRequest()
	if err != nil {
		return &s.Summary // policy has read it, so it can't be
	}
	if view.HasParameters() {
		s.parameters(m, "", view.Parameters())
	}
	s.inputs(m, view)
	if view.NumOutputs() > 0 {
		for o := range view.Outputs() {
			name := nameOf(o.Name())
			s.add(Part{Kind: PartOutput, Name: name})
			s.parameters(m, name+".", o.Parameters())
		}
	}
	if view.Foreign() {
		s.add(Part{Kind: PartUnknown})
	}
	return &s.Summary
}

// nameOf is a name that a caller chose; one that is too long to be shown is longer
// than that also as it is cut here.
func nameOf(s wire.Span) string { return textOf(s, maxShown+1) }

// textOf is the beginning of a text that a caller chose.
func textOf(s wire.Span, most int) string {
	if s.Len() > most {
		s = s.Sub(0, most)
	}
	return s.String()
}

// parameterTypes are the types' names, as the protocol has them.
var parameterTypes = map[wire.ParameterKind]string{
	wire.NoParameter: "nothing", wire.BoolParameter: "bool", wire.Int64Parameter: "int64",
	wire.StringParameter: "string", wire.DoubleParameter: "double", wire.Uint64Parameter: "uint64",
}

func (s *summary) parameters(m *wire.Message, prefix string, all wire.Parameters) {
	for k, v := range all.All() {
		if len(s.Parts) == maxParts {
			s.More++
			continue
		}
		p := Part{Kind: PartParameter, Name: prefix + nameOf(k), Type: parameterTypes[v.Kind]}
		if text, ok := v.Text(); ok {
			if text.Len() > maxMasked {
				p.Bytes, p.SHA256 = text.Len(), spanHash(m, text)
			}
			s.value(p, textOf(text, maxMasked+1), maxText)
			continue
		}
		p.Text = plainText(v)
		s.add(p)
	}
}

// plainText is a parameter that is no text, as people write it.
func plainText(p wire.Parameter) string {
	if v, ok := p.Bool(); ok {
		return strconv.FormatBool(v)
	}
	if v, ok := p.Int64(); ok {
		return strconv.FormatInt(v, 10)
	}
	if v, ok := p.Uint64(); ok {
		return strconv.FormatUint(v, 10)
	}
	if v, ok := p.Double(); ok {
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return ""
}

// inputs shows each input with its data: the n-th raw content is the n-th
// input's, since none that needs approval is in shared memory.
func (s *summary) inputs(m *wire.Message, view wire.InferRequest) {
	if view.NumInputs() == 0 {
		return
	}
	var raw []wire.Span
	if view.NumRaw() > 0 {
		for r := range view.Raw() {
			if raw = append(raw, r); len(raw) == maxParts {
				break
			}
		}
	}
	n := 0
	for t := range view.Inputs() {
		if len(s.Parts) == maxParts {
			s.More++
			continue
		}
		name, datatype := nameOf(t.Name()), textOf(t.Datatype(), 16)
		p := Part{Kind: PartInput, Name: name, Type: datatype, Shape: t.AppendShape(nil)}
		text, known := "", false
		switch {
		case t.HasContents():
			if text, known = typed(t.Contents()); known {
				p.Bytes, p.SHA256 = typedHash(m, t.Contents())
			}
		case n < len(raw):
			p.Bytes, p.SHA256 = raw[n].Len(), spanHash(m, raw[n])
			text, known = elements(raw[n])
			n++
		}
		if datatype == "BYTES" && known {
			s.value(p, text, maxText)
		} else {
			s.add(p)
		}
		s.parameters(m, name+".", t.Parameters())
	}
}

// spanHash hashes a value where it is.
func spanHash(m *wire.Message, s wire.Span) string {
	d := hasher(m)
	d.write(s)
	return hex.EncodeToString(d.Sum(nil))
}

// hasher hashes values of m as they are.
func hasher(m *wire.Message) *tensors {
	d := &tensors{digester: &digester{Hash: sha256.New()}}
	for _, b := range m.Buffers() {
		d.parts = append(d.parts, b.ReadOnlyData())
	}
	return d
}

// typed is the beginning of the texts in typed contents.
func typed(c wire.Contents) (string, bool) {
	var out strings.Builder
	found := false
	for s := range c.Bytes() {
		if found {
			out.WriteString("\n")
		}
		found = true
		out.WriteString(textOf(s, maxMasked+1-min(out.Len(), maxMasked)))
		if out.Len() > maxMasked {
			break
		}
	}
	return out.String(), found
}

// typedHash is the size and the hash of all texts in typed contents, as those of
// their raw form: what is long is only begun to be shown.
func typedHash(m *wire.Message, c wire.Contents) (size int, sum string) {
	d := hasher(m)
	var n [4]byte
	for s := range c.Bytes() {
		binary.LittleEndian.PutUint32(n[:], uint32(s.Len()))
		_, _ = d.Write(n[:])
		d.write(s)
		size += len(n) + s.Len()
	}
	return size, hex.EncodeToString(d.Sum(nil))
}

// elements is the beginning of the texts in the raw form of a BYTES tensor; false
// where it has not that form.
func elements(raw wire.Span) (string, bool) {
	head := raw.Sub(0, min(raw.Len(), 2*maxMasked)).Bytes()
	var out strings.Builder
	for first := true; len(head) > 0 && out.Len() <= maxMasked; first = false {
		if len(head) < 4 {
			return out.String(), !first
		}
		n := int(binary.LittleEndian.Uint32(head))
		head = head[4:]
		if n > raw.Len() {
			return out.String(), !first
		}
		if !first {
			out.WriteString("\n")
		}
		out.Write(head[:min(n, len(head))])
		head = head[min(n, len(head)):]
	}
	return out.String(), true
}
