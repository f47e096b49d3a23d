package dialect

import (
	"io"
	"math"

	"github.com/sluice-gateway/sluice/wire"
)

// Answer is a ModelInferResponse as …/infer answers it. It is valid for as long
// as the message is.
type Answer struct {
	response
	binary int64
}

// NewAnswer looks through a ModelInferResponse and checks all that could be
// wrong with it, so that nothing is once the first of it has been written. The
// errors are an [*Error] and what the scan of the message says.
func NewAnswer(m *wire.Message, w *Wanted) (*Answer, error) {
	a := new(Answer)
	if err := a.scanInfer(m); err != nil {
		return nil, err
	}
	if err := a.arrange(w); err != nil {
		return nil, err
	}
	for i := range a.outputs {
		if a.outputs[i].binary {
			a.binary += int64(a.outputs[i].raw.len())
		}
	}
	return a, nil
}

// Binary is how many bytes of binary tensors follow the JSON. Only where there
// are some does Triton call the answer application/octet-stream.
func (a *Answer) Binary() int64 { return a.binary }

// JSON writes the answer's JSON. The error is the page's.
func (a *Answer) JSON(p *Page) error {
	p.byte('{')
	if len(a.id) > 0 {
		p.raw(`"id":`)
		p.quote(a.id)
		p.byte(',')
	}
	p.raw(`"model_name":`)
	p.quote(a.model)
	p.raw(`,"model_version":`)
	p.quote(a.version)
	if len(a.params) > 0 {
		p.raw(`,"parameters":`)
		separator := byte('{')
		for _, e := range a.params {
			p.byte(separator)
			separator = ','
			p.quote(e.key)
			p.byte(':')
			p.parameter(e)
		}
		p.byte('}')
	}
	p.raw(`,"outputs":[`)
	for i := range a.outputs {
		if i > 0 {
			p.byte(',')
		}
		p.output(&a.outputs[i])
	}
	p.raw(`]}`)
	return p.err
}

func (p *Page) output(o *outputTensor) {
	p.raw(`{"name":`)
	p.quote(o.name)
	p.raw(`,"datatype":`)
	p.quote(o.datatype)
	p.raw(`,"shape":[`)
	for i, d := range o.dims {
		if i > 0 {
			p.byte(',')
		}
		p.int(d)
	}
	p.byte(']')
	switch {
	case o.shared:
	case o.binary:
		p.raw(`,"parameters":{"binary_data_size":`)
		p.int(int64(o.raw.len()))
		p.byte('}')
	default:
		p.raw(`,"data":`)
		p.data(o)
	}
	p.byte('}')
}

// WriteBinary writes the binary tensors, in the order of the outputs, from the
// message's own buffers.
func (a *Answer) WriteBinary(w io.Writer) (err error) {
	for i := range a.outputs {
		o := &a.outputs[i]
		if !o.binary {
			continue
		}
		for chunk := range o.raw.chunks {
			if _, err = w.Write(chunk); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *Page) parameter(v responseParam) {
	switch v.kind {
	case wire.BoolParameter:
		p.bool(v.bits != 0)
	case wire.Int64Parameter:
		p.int(int64(v.bits))
	case wire.Uint64Parameter:
		p.uint(v.bits)
	case wire.DoubleParameter:
		p.float(math.Float64frombits(v.bits))
	case wire.StringParameter:
		p.quote(v.text)
	default:
		p.raw("null")
	}
}
