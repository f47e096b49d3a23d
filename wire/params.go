package wire

import (
	"encoding/binary"
	"iter"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// ParameterKind is which member of an InferParameter is set.
type ParameterKind uint8

// The kinds of parameters; they are the members' field numbers.
const (
	NoParameter     ParameterKind = iota // the oneof is not set
	BoolParameter                        // bool_param
	Int64Parameter                       // int64_param
	StringParameter                      // string_param
	DoubleParameter                      // double_param
	Uint64Parameter                      // uint64_param
)

// Parameter is one InferParameter: a value of one of five types, or of none.
type Parameter struct {
	Kind ParameterKind
	bits uint64
	text Span
}

// Bool returns the value if it is a bool_param.
func (p Parameter) Bool() (value, ok bool) { return p.bits != 0, p.Kind == BoolParameter }

// Int64 returns the value if it is an int64_param.
func (p Parameter) Int64() (int64, bool) { return int64(p.bits), p.Kind == Int64Parameter }

// Uint64 returns the value if it is a uint64_param.
func (p Parameter) Uint64() (uint64, bool) { return p.bits, p.Kind == Uint64Parameter }

// Double returns the value if it is a double_param.
func (p Parameter) Double() (float64, bool) {
	return math.Float64frombits(p.bits), p.Kind == DoubleParameter
}

// Text returns the value if it is a string_param.
func (p Parameter) Text() (Span, bool) { return p.text, p.Kind == StringParameter }

// Parameters is a map<string, InferParameter> of a message.
type Parameters struct {
	in  node
	num protowire.Number
}

// Get returns the parameter that protobuf would find under key: the last entry
// of that key, and whether there is one. It reads the message that the map is
// in once; with very many keys to ask for, [Parameters.All] is cheaper.
func (p Parameters) Get(key string) (value Parameter, found bool) {
	it := p.iterate()
	for r := (record{}); it.next(&r); {
		if !p.entry(&r) {
			continue
		}
		if (Span{p.in.m, p.in.m.entryKey(r.body)}).Is(key) {
			value, found = p.value(r.body), true
		}
	}
	return value, found
}

// Has tells whether there is a parameter under key.
func (p Parameters) Has(key string) bool {
	_, found := p.Get(key)
	return found
}

// All yields the map's entries in the order of the message. Where a key comes
// more than once, the last one is in force; a canonical message has no such key.
func (p Parameters) All() iter.Seq2[Span, Parameter] {
	return func(yield func(Span, Parameter) bool) {
		it := p.iterate()
		for r := (record{}); it.next(&r); {
			if p.entry(&r) && !yield(Span{p.in.m, p.in.m.entryKey(r.body)}, p.value(r.body)) {
				return
			}
		}
	}
}

func (p Parameters) iterate() fields {
	if p.in.m == nil {
		return fields{}
	}
	return p.in.fields()
}

func (p Parameters) entry(r *record) bool {
	return r.num == p.num && r.typ == protowire.BytesType
}

// value reads an entry's InferParameter: repeated values merge, and of the
// members of the oneof the last one that has its wire type counts.
func (p Parameters) value(entry span) (v Parameter) {
	it := node{m: p.in.m, at: entry, part: fieldValue}.fields()
	for r := (record{}); it.next(&r); {
		if parameterTable.find(r.num, r.typ) == nil {
			continue
		}
		v = Parameter{Kind: ParameterKind(r.num), bits: r.bits}
		switch v.Kind {
		case StringParameter:
			v.bits, v.text = 0, Span{p.in.m, r.body}
		case DoubleParameter:
			var b [8]byte
			c := p.in.m.cursorAt(int(r.body.off))
			for i := 0; i < 8; {
				i += copy(b[i:], c.chunk(8-i))
			}
			v.bits = binary.LittleEndian.Uint64(b[:])
		}
	}
	return v
}
