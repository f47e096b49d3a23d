package wire

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Datatype is one of KServe v2's tensor datatypes; zero is one that is not known.
type Datatype uint8

// The datatypes. BYTES has elements of any length, all others of one.
const (
	UnknownType Datatype = iota
	Bool
	Int8
	Int16
	Int32
	Int64
	Uint8
	Uint16
	Uint32
	Uint64
	FP16
	BF16
	FP32
	FP64
	Bytes
)

var datatypeNames = [...]string{
	"", "BOOL", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64",
	"FP16", "BF16", "FP32", "FP64", "BYTES",
}

var datatypeSizes = [...]int{0, 1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 2, 4, 8, 0}

// ParseDatatype finds the datatype of that name: "FP32".
func ParseDatatype(name string) Datatype {
	for d := Bool; d <= Bytes; d++ {
		if datatypeNames[d] == name {
			return d
		}
	}
	return UnknownType
}

// Type is the tensor's datatype, found without copying its name.
func (t Tensor) Type() Datatype {
	name := t.Datatype()
	for d := Bool; d <= Bytes; d++ {
		if name.Is(datatypeNames[d]) {
			return d
		}
	}
	return UnknownType
}

// String is the datatype's name.
func (d Datatype) String() string { return datatypeNames[d] }

// Size is the length of an element in raw data, in bytes; 0 for BYTES.
func (d Datatype) Size() int { return datatypeSizes[d] }

// IsFloat tells whether elements are floating-point numbers.
func (d Datatype) IsFloat() bool { return d >= FP16 && d <= FP64 }

// IsInteger tells whether elements are integers; BOOL's are not.
func (d Datatype) IsInteger() bool { return d >= Int8 && d <= Uint64 }

// Float decodes the element that raw data begins with, of a float datatype.
func (d Datatype) Float(raw []byte) float64 {
	switch d {
	case FP16:
		return float64(FromFP16(binary.LittleEndian.Uint16(raw)))
	case BF16:
		return float64(FromBF16(binary.LittleEndian.Uint16(raw)))
	case FP32:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(raw)))
	default:
		return math.Float64frombits(binary.LittleEndian.Uint64(raw))
	}
}

// PutFloat encodes v, rounded to the nearest, as [Datatype.Float] reads it.
func (d Datatype) PutFloat(raw []byte, v float64) {
	switch d {
	case FP16:
		binary.LittleEndian.PutUint16(raw, ToFP16(v))
	case BF16:
		binary.LittleEndian.PutUint16(raw, ToBF16(v))
	case FP32:
		binary.LittleEndian.PutUint32(raw, math.Float32bits(float32(v)))
	default:
		binary.LittleEndian.PutUint64(raw, math.Float64bits(v))
	}
}

// Integer decodes the element that raw data begins with, of an integer
// datatype. A UINT64 over the greatest int64 keeps its bits.
func (d Datatype) Integer(raw []byte) int64 {
	switch d {
	case Int8:
		return int64(int8(raw[0]))
	case Uint8, Bool:
		return int64(raw[0])
	case Int16:
		return int64(int16(binary.LittleEndian.Uint16(raw)))
	case Uint16:
		return int64(binary.LittleEndian.Uint16(raw))
	case Int32:
		return int64(int32(binary.LittleEndian.Uint32(raw)))
	case Uint32:
		return int64(binary.LittleEndian.Uint32(raw))
	default:
		return int64(binary.LittleEndian.Uint64(raw))
	}
}

// PutInteger encodes the low bits of v, as [Datatype.Integer] reads them.
func (d Datatype) PutInteger(raw []byte, v int64) {
	for i := range d.Size() {
		raw[i] = byte(v >> (8 * i))
	}
}

// FromFP16 is the number that an IEEE 754 half is.
func FromFP16(h uint16) float32 {
	sign, exp, frac := uint32(h&0x8000)<<16, uint32(h>>10&0x1f), uint32(h&0x3ff)
	switch exp {
	case 0: // zero or subnormal: frac * 2^-24, which a float32 holds exactly
		v := float32(frac) / (1 << 24)
		return math.Float32frombits(math.Float32bits(v) | sign)
	case 0x1f:
		return math.Float32frombits(sign | 0x7f800000 | frac<<13)
	}
	return math.Float32frombits(sign | (exp+127-15)<<23 | frac<<13)
}

// ToFP16 is the half nearest to v, ties to even; what is too great is infinite.
func ToFP16(v float64) uint16 {
	sign := uint16(math.Float64bits(v) >> 48 & 0x8000)
	a := math.Abs(v)
	switch {
	case math.IsNaN(v):
		return sign | 0x7e00
	case a >= 65520: // half way between the greatest half and the next that would be
		return sign | 0x7c00
	case a < 1.0/(1<<14): // subnormal, or rounded up to the least normal
		return sign | uint16(math.RoundToEven(a*(1<<24)))
	}
	frac, exp := math.Frexp(a) // a = frac * 2^exp, frac in [0.5,1)
	m := uint32(math.RoundToEven(frac * (1 << 11)))
	return sign | uint16(uint32(exp+13)<<10+m) // m's top bit adds one to the exponent, a carry two
}

// FromBF16 is the number that a bfloat16 is.
func FromBF16(b uint16) float32 { return math.Float32frombits(uint32(b) << 16) }

// ToBF16 is the bfloat16 nearest to v, ties to even.
func ToBF16(v float64) uint16 {
	if math.IsNaN(v) {
		return 0x7fc0 | uint16(math.Float64bits(v)>>48&0x8000)
	}
	// A float64's exponent is wider than a bfloat16's: what is subnormal or
	// infinite there goes by way of float32, rounded to odd so that the second
	// rounding is right.
	bits := oddBits(v)
	return uint16((bits + 0x7fff + bits>>16&1) >> 16)
}

// oddBits is v as a float32, cut off, its last bit set if anything was lost.
func oddBits(v float64) uint32 {
	f := float32(v)
	bits := math.Float32bits(f)
	if float64(f) == v || math.IsInf(float64(f), 0) && math.IsInf(v, 0) {
		return bits
	}
	if math.Abs(float64(f)) > math.Abs(v) {
		bits-- // rounded away from zero
	}
	return bits | 1
}

// PutBits encodes an element as [Contents.Numbers] yields it.
func (d Datatype) PutBits(raw []byte, bits uint64) { d.PutInteger(raw, int64(bits)) }

// AppendContents appends raw data of a numeric datatype as the field of an
// InferTensorContents that holds it, packed. A datatype that has no typed form
// appends nothing.
func AppendContents(dst []byte, d Datatype, raw []byte) []byte {
	num, known := typedFields[d.String()]
	if !known || d == Bytes {
		return dst
	}
	var packed []byte
	for size := d.Size(); len(raw) >= size; raw = raw[size:] {
		if d.IsFloat() {
			packed = append(packed, raw[:size]...)
			continue
		}
		packed = protowire.AppendVarint(packed, d.varint(raw))
	}
	return protowire.AppendBytes(protowire.AppendTag(dst, num, protowire.BytesType), packed)
}

// varint is an element as protobuf writes it: negative numbers of any size as
// those of 64 bits.
func (d Datatype) varint(raw []byte) uint64 {
	if d == Bool {
		return uint64(min(raw[0], 1))
	}
	return uint64(d.Integer(raw))
}
