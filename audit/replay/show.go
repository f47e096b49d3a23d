package replay

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/sluice-gateway/sluice/audit/payload"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// Bounds of what is shown of a tensor.
const (
	maxShown     = 16   // elements
	maxShownText = 2000 // bytes of one text
)

// Plain makes a text harmless to a terminal: who wrote a prompt or an answer must
// not move the auditor's cursor. Line ends and tabs stay.
func Plain(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r == utf8.RuneError, unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r):
			return '�'
		}
		return r
	}, text)
}

// tensor is one tensor as it is shown and compared.
type tensor struct {
	name, datatype string
	shape          []int64
	texts          []string
	numbers        []float64
	note           string // why there is nothing to show
}

// tensorMessage is an input or an output.
type tensorMessage interface {
	GetName() string
	GetDatatype() string
	GetShape() []int64
	GetParameters() map[string]*pb.InferParameter
	GetContents() *pb.InferTensorContents
}

// sharedMemory is the parameter of a tensor whose data is not in the message.
const sharedMemory = "shared_memory_region"

// tensors reads a message's tensors. Of inputs, those in shared memory have no raw
// data.
func tensors[T tensorMessage](all []T, raws [][]byte, inputs bool) (out []tensor) {
	for _, one := range all {
		t := tensor{name: one.GetName(), datatype: one.GetDatatype(), shape: one.GetShape()}
		_, shared := one.GetParameters()[sharedMemory]
		if shared {
			t.note = "in shared memory"
		}
		if len(raws) > 0 && !(inputs && shared) {
			t.raw(raws[0])
			raws = raws[1:]
		}
		t.typed(one.GetContents())
		out = append(out, t)
	}
	return out
}

// raw reads raw data.
func (t *tensor) raw(data []byte) {
	typ := wire.ParseDatatype(t.datatype)
	if typ == wire.Bytes {
		for len(data) >= 4 {
			n := uint64(binary.LittleEndian.Uint32(data))
			if n > uint64(len(data)-4) {
				break
			}
			t.texts, data = append(t.texts, string(data[4:4+n])), data[4+n:]
		}
		return
	}
	size := typ.Size()
	for ; size > 0 && len(data) >= size; data = data[size:] {
		t.numbers = append(t.numbers, number(typ, data[:size]))
	}
}

func number(typ wire.Datatype, raw []byte) float64 {
	switch {
	case typ.IsFloat():
		return typ.Float(raw)
	case typ == wire.Bool:
		return float64(raw[0])
	case typ == wire.Uint64:
		return float64(uint64(typ.Integer(raw)))
	}
	return float64(typ.Integer(raw))
}

// typed reads typed contents.
func (t *tensor) typed(c *pb.InferTensorContents) {
	for _, b := range c.GetBytesContents() {
		t.texts = append(t.texts, string(b))
	}
	for _, v := range c.GetBoolContents() {
		t.numbers = append(t.numbers, map[bool]float64{true: 1}[v])
	}
	t.numbers = appendAll(t.numbers, c.GetIntContents())
	t.numbers = appendAll(t.numbers, c.GetInt64Contents())
	t.numbers = appendAll(t.numbers, c.GetUintContents())
	t.numbers = appendAll(t.numbers, c.GetUint64Contents())
	t.numbers = appendAll(t.numbers, c.GetFp32Contents())
	t.numbers = appendAll(t.numbers, c.GetFp64Contents())
}

func appendAll[N int32 | int64 | uint32 | uint64 | float32 | float64](to []float64, all []N) []float64 {
	for _, v := range all {
		to = append(to, float64(v))
	}
	return to
}

// String shows a tensor in a line, or its texts in lines of their own.
func (t *tensor) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s%v", Plain(t.name), Plain(t.datatype), t.shape)
	switch {
	case t.note != "":
		b.WriteString(" (" + t.note + ")")
	case len(t.texts) > 0:
		for _, text := range t.texts[:min(len(t.texts), maxShown)] {
			b.WriteString("\n      " + strconv.Quote(Plain(cut(text))))
		}
		more(&b, len(t.texts), "\n      ")
	case len(t.numbers) > 0:
		b.WriteString(" =")
		for _, v := range t.numbers[:min(len(t.numbers), maxShown)] {
			b.WriteString(" " + strconv.FormatFloat(v, 'g', 6, 64))
		}
		more(&b, len(t.numbers), " ")
	}
	return b.String()
}

func more(b *strings.Builder, n int, before string) {
	if n > maxShown {
		fmt.Fprintf(b, "%s… %d more", before, n-maxShown)
	}
}

func cut(text string) string {
	if len(text) <= maxShownText {
		return text
	}
	return strings.ToValidUTF8(text[:maxShownText], "") + "…"
}

// lines shows a frame, but for the texts of a stream, which are played.
func lines(f *payload.Frame) (out []string) {
	switch {
	case f.Cut:
		return []string{fmt.Sprintf("(%d bytes, not kept for their size)", f.Size)}
	case f.Kind == payload.Failure:
		return []string{Plain(string(f.Message))}
	case f.Kind == payload.Request:
		m := new(pb.ModelInferRequest)
		if proto.Unmarshal(f.Message, m) != nil {
			return []string{"(can't be read)"}
		}
		for _, t := range tensors(m.Inputs, m.RawInputContents, true) {
			out = append(out, t.String())
		}
		return append(out, parameters(m.Parameters)...)
	case f.Kind == payload.Answer:
		m := new(pb.ModelInferResponse)
		if proto.Unmarshal(f.Message, m) != nil {
			return []string{"(can't be read)"}
		}
		return answerLines(m)
	case f.Kind == payload.Stream:
		m := new(pb.ModelStreamInferResponse)
		if proto.Unmarshal(f.Message, m) != nil {
			return []string{"(can't be read)"}
		}
		if m.ErrorMessage != "" {
			out = append(out, "error: "+Plain(m.ErrorMessage))
		}
		return append(out, answerLines(m.GetInferResponse())...)
	}
	return other(f)
}

func answerLines(m *pb.ModelInferResponse) (out []string) {
	for _, t := range tensors(m.GetOutputs(), m.GetRawOutputContents(), false) {
		out = append(out, t.String())
	}
	return append(out, parameters(m.GetParameters())...)
}

func parameters(all map[string]*pb.InferParameter) (out []string) {
	m := &pb.ModelInferRequest{Parameters: all}
	if len(all) == 0 {
		return nil
	}
	b, err := protojson.Marshal(m)
	if err != nil {
		return nil
	}
	return []string{Plain(string(b))}
}

// other shows the message of an RPC that is no inference.
func other(f *payload.Frame) []string {
	typ, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(f.TypeName()))
	if err != nil {
		return []string{fmt.Sprintf("(%d bytes)", f.Size)}
	}
	m := typ.New().Interface()
	if proto.Unmarshal(f.Message, m) != nil {
		return []string{"(can't be read)"}
	}
	b, err := protojson.Marshal(m)
	if err != nil {
		return []string{fmt.Sprintf("(%d bytes)", f.Size)}
	}
	return []string{cut(Plain(string(b)))}
}
