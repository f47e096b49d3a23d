package dialect

import (
	"encoding/binary"
	"math"
	"strings"
)

// datatype is a tensor's datatype.
type datatype uint8

const (
	typeInvalid datatype = iota
	typeBool
	typeUint8
	typeUint16
	typeUint32
	typeUint64
	typeInt8
	typeInt16
	typeInt32
	typeInt64
	typeFP16
	typeFP32
	typeFP64
	typeBytes
	typeBF16
)

var datatypes = map[string]datatype{
	"BOOL": typeBool, "UINT8": typeUint8, "UINT16": typeUint16, "UINT32": typeUint32, "UINT64": typeUint64,
	"INT8": typeInt8, "INT16": typeInt16, "INT32": typeInt32, "INT64": typeInt64,
	"FP16": typeFP16, "FP32": typeFP32, "FP64": typeFP64, "BYTES": typeBytes, "BF16": typeBF16,
}

// widths are the elements' sizes in bytes; 0 where they differ.
var widths = [...]int{
	typeInvalid: 0, typeBool: 1, typeUint8: 1, typeUint16: 2, typeUint32: 4, typeUint64: 8, typeInt8: 1, typeInt16: 2, typeInt32: 4, typeInt64: 8,
	typeFP16: 2, typeFP32: 4, typeFP64: 8, typeBytes: 0, typeBF16: 2,
}

// names of the datatypes that JSON has no form for.
func (d datatype) noJSON() string {
	switch d {
	case typeFP16:
		return "FP16"
	case typeBF16:
		return "BF16"
	default:
		return ""
	}
}

// elements reads the data of one tensor from JSON into raw form.
type elements struct {
	*builder
	kind  datatype
	count int64
	most  int64 // elements that the shape has room for; -1 where that is not known yet
}

// within says what was being read, in Triton's words.
func (e *elements) within(err error) error {
	if e.kind == typeBytes {
		return within("Unable to parse JSON bytes array", err)
	}
	return within("Unable to parse 'data'", err)
}

// tooMany tells whether there is no room for one more.
func (e *elements) tooMany() bool { return e.most >= 0 && e.count >= e.most && e.kind != typeBytes }

// list reads an array, flat or nested to any form, whose bracket is next.
func (e *elements) list() error {
	return e.array(func() error {
		if e.peek() == '[' {
			return e.list()
		}
		return e.element()
	})
}

// element reads one element. One too many is an error as soon as it is seen, so
// that data without end does not fill its caller's budget first.
func (e *elements) element() error {
	if e.tooMany() {
		return e.other(wrongShape)
	}
	e.count++
	switch e.kind {
	case typeFP32, typeFP64:
		return e.float()
	case typeBool:
		v, err := e.boolean()
		if err != nil {
			return err
		}
		if v {
			return e.integer(1)
		}
		return e.integer(0)
	case typeBytes:
		return e.bytes()
	case typeInt8, typeInt16, typeInt32, typeInt64:
		return e.signed()
	default:
		v, err := e.unsigned(notUint)
		if err != nil {
			return err
		}
		return e.integer(v)
	}
}

func (e *elements) float() error {
	if !e.isNumber() {
		return e.other(notNumber)
	}
	n, err := e.number()
	if err != nil {
		return err
	}
	if e.kind == typeFP64 {
		return e.data.put64(math.Float64bits(n.float))
	}
	return e.data.put32(math.Float32bits(float32(n.float)))
}

func (e *elements) signed() error {
	if !e.isNumber() {
		return e.other(notInt)
	}
	n, err := e.number()
	if err != nil {
		return err
	}
	v, ok := n.int64()
	if !ok {
		return notInt
	}
	return e.integer(uint64(v))
}

// integer writes the low bytes of v: Triton checks no range.
func (e *elements) integer(v uint64) error {
	width := widths[e.kind]
	room, err := e.data.room(8)
	if err != nil {
		return err
	}
	binary.LittleEndian.PutUint64(room, v)
	e.data.wrote(width)
	return nil
}

// bytes reads a string as an element of a BYTES tensor: its length, then itself.
// The length's place stays where it is, whatever buffers the text goes on in.
func (e *elements) bytes() error {
	if e.peek() != '"' {
		return e.other(notString)
	}
	room, err := e.data.room(4)
	if err != nil {
		return err
	}
	e.data.wrote(4)
	before := e.data.size
	if err := e.text(&e.data); err != nil {
		return err
	}
	binary.LittleEndian.PutUint32(room, uint32(e.data.size-before))
	return nil
}

// shape is a tensor's shape as it is read.
type shape struct {
	dims  []int64
	count int64 // of elements; -1 where there are more than an int64 holds
}

// maxDims bounds how many dimensions a tensor has; no model comes near.
const maxDims = 1024

func (s *shape) reset() { s.dims, s.count = s.dims[:0], 1 }

func (s *shape) add(d uint64) *Error {
	if len(s.dims) == maxDims {
		return invalid("a shape has more than %d dimensions", maxDims)
	}
	s.dims = append(s.dims, int64(d))
	switch {
	case s.count < 0:
	case d != 0 && uint64(s.count) > math.MaxInt64/d:
		s.count = -1
	default:
		s.count *= int64(d)
	}
	return nil
}

// shape reads a shape.
func (l *lexer) shape(s *shape) error {
	s.reset()
	if l.peek() != '[' {
		return l.other(notArray)
	}
	return l.array(func() error {
		d, err := l.unsigned(notUint)
		if err != nil {
			return err
		}
		if refused := s.add(d); refused != nil {
			return refused
		}
		return nil
	})
}

// isReserved tells whether a request's parameter is Triton's own.
func isReserved(key []byte) bool { return strings.HasPrefix(string(key), "triton_") }
