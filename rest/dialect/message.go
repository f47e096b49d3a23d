package dialect

import (
	"io"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sluice-gateway/sluice/wire"
)

// Fields of the messages that are written (proto/inference/grpc_service.proto).
const (
	reqModelName    = 1
	reqModelVersion = 2
	reqID           = 3
	reqParameters   = 4
	reqInputs       = 5
	reqOutputs      = 6
	reqRaw          = 7

	tensorName       = 1
	tensorDatatype   = 2
	tensorShape      = 3
	tensorParameters = 4

	outputName       = 1
	outputParameters = 2

	entryKey   = 1
	entryValue = 2

	paramBool   = 1
	paramInt64  = 2
	paramString = 3
	paramDouble = 4
	paramUint64 = 5
)

// builder makes a ModelInferRequest while a document is read: what stands
// before the raw contents goes to head, raw contents of JSON tensors to data.
type builder struct {
	*lexer
	in         *wire.Intake
	head, data sink

	key   text // of the member that is read
	value text // a string value
	entry text // a field's message, before its length is known
}

func newBuilder(src io.Reader, n int64, in *wire.Intake) (*builder, error) {
	l, err := newLexer(src, n, in)
	if err != nil {
		return nil, err
	}
	b := &builder{lexer: l, in: in, head: sink{in: in}, data: sink{in: in}}
	b.key.in, b.value.in, b.entry.in = in, in, in
	return b, nil
}

// close gives back what has not become part of the message.
func (b *builder) close() {
	b.head.discard()
	b.data.discard()
	b.lexer.close(b.in)
}

// field writes a length-delimited field.
func (s *sink) field(num protowire.Number, value []byte) error {
	var head [2 * headRoom]byte
	h := protowire.AppendVarint(protowire.AppendTag(head[:0], num, protowire.BytesType), uint64(len(value)))
	if err := s.write(h); err != nil {
		return err
	}
	return s.write(value)
}

// field appends a length-delimited field.
func (t *text) field(num protowire.Number, value []byte) error {
	var head [2 * headRoom]byte
	h := protowire.AppendVarint(protowire.AppendTag(head[:0], num, protowire.BytesType), uint64(len(value)))
	if err := t.add(h...); err != nil {
		return err
	}
	return t.add(value...)
}

// param is one InferParameter.
type param struct {
	kind protowire.Number
	bits uint64 // of a bool, an integer or a double
	text []byte
}

// appendTo appends the map entry of a parameter.
func (p param) appendTo(t *text, key []byte) error {
	var fixed [32]byte
	value := protowire.AppendTag(fixed[:0], p.kind, p.wireType())
	size := 0
	switch p.kind {
	case paramDouble:
		value = protowire.AppendFixed64(value, p.bits)
	case paramString:
		value = protowire.AppendVarint(value, uint64(len(p.text)))
		size = len(p.text)
	default:
		value = protowire.AppendVarint(value, p.bits)
	}
	if err := t.field(entryKey, key); err != nil {
		return err
	}
	var head [2 * headRoom]byte
	h := protowire.AppendTag(head[:0], entryValue, protowire.BytesType)
	if err := t.add(protowire.AppendVarint(h, uint64(len(value)+size))...); err != nil {
		return err
	}
	if err := t.add(value...); err != nil {
		return err
	}
	return t.add(p.text...)
}

func (p param) wireType() protowire.Type {
	switch p.kind {
	case paramDouble:
		return protowire.Fixed64Type
	case paramString:
		return protowire.BytesType
	default:
		return protowire.VarintType
	}
}

func boolParam(v bool) param { return param{kind: paramBool, bits: protowire.EncodeBool(v)} }

// scalar reads a value as the parameter that Triton takes it for.
func (b *builder) scalar(key []byte) (param, error) {
	switch c := b.peek(); c {
	case '"':
		b.value.reset()
		err := b.text(&b.value)
		return param{kind: paramString, text: b.value.b}, err
	case 't', 'f':
		_, err := b.literal()
		return boolParam(c == 't'), err
	case 'n', '{', '[':
		if err := b.skip(); err != nil {
			return param{}, err
		}
		return param{}, invalid("parameter '%s' has invalid type. It should be either 'int', 'bool', or 'string'.", key)
	}
	n, err := b.number()
	if v, ok := n.int64(); ok {
		return param{kind: paramInt64, bits: uint64(v)}, err
	}
	return param{kind: paramDouble, bits: math.Float64bits(n.float)}, err
}

// Typed values of the document. Each reads a value of any type, so that what
// follows it can be read, and is an [Error] where it is of another one.

func (l *lexer) boolean() (bool, error) {
	if c := l.peek(); c == 't' || c == 'f' {
		_, err := l.literal()
		return c == 't', err
	}
	return false, l.other(notBool)
}

func (l *lexer) unsigned(otherwise *Error) (uint64, error) {
	if !l.isNumber() {
		return 0, l.other(otherwise)
	}
	n, err := l.number()
	if err != nil {
		return 0, err
	}
	v, ok := n.uint64()
	if !ok {
		return 0, otherwise
	}
	return v, nil
}

func (l *lexer) string(to taker) error {
	if l.peek() == '"' {
		return l.text(to)
	}
	return l.other(notString)
}

// other skips a value and says what is wrong with it.
func (l *lexer) other(e *Error) error {
	if err := l.skip(); err != nil {
		return err
	}
	return e
}

// isNumber tells whether what comes can only be a number.
func (l *lexer) isNumber() bool {
	switch l.peek() {
	case '"', '{', '[', 't', 'f', 'n':
		return false
	default:
		return true
	}
}
