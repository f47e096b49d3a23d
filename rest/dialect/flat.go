package dialect

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sluice-gateway/sluice/wire"
)

// Fields of the answers that are read (proto/inference/grpc_service.proto).
const (
	streamError    = 1
	streamResponse = 2

	respModelName    = 1
	respModelVersion = 2
	respID           = 3
	respParameters   = 4
	respOutputs      = 5
	respRaw          = 6

	tensorContents = 5
)

// flat returns the message's bytes if they lie in one buffer, as those of a
// token do: then one pass finds what many looks into the message would, at a
// fraction of the cost.
func flat(m *wire.Message) ([]byte, bool) {
	switch bufs := m.Buffers(); len(bufs) {
	case 0:
		return nil, true
	case 1:
		return bufs[0].ReadOnlyData(), true
	default:
		return nil, false
	}
}

// fields calls field for each field of b, in order, with the value of a varint
// or the bytes of a length-delimited one; fields of other types, which no answer
// has, are passed over.
func fields(b []byte, field func(num protowire.Number, typ protowire.Type, v uint64, p []byte) bool) bool {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return false
		}
		b = b[n:]
		var v uint64
		var p []byte
		switch typ {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			p, n = protowire.ConsumeBytes(b)
		case protowire.Fixed64Type:
			v, n = protowire.ConsumeFixed64(b)
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 || !field(num, typ, v, p) {
			return false
		}
		b = b[n:]
	}
	return true
}

// readStream reads a ModelStreamInferResponse, as protobuf would merge it.
func (r *response) readStream(b []byte) bool {
	return fields(b, func(num protowire.Number, typ protowire.Type, _ uint64, p []byte) bool {
		switch {
		case typ != protowire.BytesType:
		case num == streamError:
			r.failure = p
		case num == streamResponse:
			return r.read(p)
		}
		return true
	})
}

// read reads a ModelInferResponse into r, after what r has already.
func (r *response) read(b []byte) bool {
	return fields(b, func(num protowire.Number, typ protowire.Type, _ uint64, p []byte) bool {
		if typ != protowire.BytesType {
			return true
		}
		switch num {
		case respModelName:
			r.model = p
		case respModelVersion:
			r.version = p
		case respID:
			r.id = p
		case respParameters:
			return r.readParam(p)
		case respOutputs:
			return r.readOutput(p)
		case respRaw:
			r.raws = append(r.raws, raw{flat: p})
		}
		return true
	})
}

func (r *response) readOutput(b []byte) bool {
	o := r.next()
	return fields(b, func(num protowire.Number, typ protowire.Type, v uint64, p []byte) bool {
		switch {
		case num == tensorShape && typ == protowire.VarintType:
			o.dims = append(o.dims, int64(v))
		case typ != protowire.BytesType:
		case num == tensorName:
			o.name = p
		case num == tensorDatatype:
			o.datatype = p
		case num == tensorContents:
			o.contents = true
		case num == tensorShape:
			for len(p) > 0 {
				d, n := protowire.ConsumeVarint(p)
				if n < 0 {
					return false
				}
				o.dims = append(o.dims, int64(d))
				p = p[n:]
			}
		}
		return true
	})
}

func (r *response) readParam(b []byte) bool {
	var p responseParam
	ok := fields(b, func(num protowire.Number, typ protowire.Type, _ uint64, value []byte) bool {
		switch {
		case typ != protowire.BytesType:
		case num == entryKey:
			p.key = value
		case num == entryValue:
			return p.read(value)
		}
		return true
	})
	r.params = append(r.params, p)
	return ok
}

// read reads an InferParameter: the last member of the oneof counts.
func (p *responseParam) read(b []byte) bool {
	return fields(b, func(num protowire.Number, typ protowire.Type, v uint64, text []byte) bool {
		switch kind := wire.ParameterKind(num); {
		case kind == wire.StringParameter && typ == protowire.BytesType:
			p.kind, p.text = kind, text
		case kind == wire.DoubleParameter && typ == protowire.Fixed64Type,
			typ == protowire.VarintType && (kind == wire.BoolParameter || kind == wire.Int64Parameter || kind == wire.Uint64Parameter):
			p.kind, p.bits = kind, v
		}
		return true
	})
}
