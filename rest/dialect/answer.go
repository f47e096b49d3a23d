package dialect

import (
	"io"
	"slices"

	"github.com/sluice-gateway/sluice/wire"
)

// Answer is a ModelInferResponse as …/infer answers it. It is valid for as long
// as the message is.
type Answer struct {
	m       *wire.Message
	view    wire.InferResponse
	outputs []outputTensor
	binary  int64
}

// outputTensor is one output of an answer.
type outputTensor struct {
	tensor         wire.Tensor
	name           []byte
	kind           datatype
	dims           []int64
	raw            raw
	binary, shared bool
}

// NewAnswer looks through a ModelInferResponse and checks all that could be
// wrong with it, so that nothing is once the first of it has been written. The
// errors are an [*Error] and what the scan of the message says.
func NewAnswer(m *wire.Message, w *Wanted) (*Answer, error) {
	view, err := m.InferResponse()
	if err != nil {
		return nil, err
	}
	return newAnswer(m, view, w)
}

func newAnswer(m *wire.Message, view wire.InferResponse, w *Wanted) (*Answer, error) {
	a := &Answer{m: m, view: view}
	for t := range view.Outputs() {
		o := outputTensor{tensor: t, name: t.Name().Bytes(), kind: datatypes[string(t.Datatype().Bytes())], dims: t.AppendShape(nil), raw: raw{m: m}}
		o.binary, o.shared = w.form(o.name)
		a.outputs = append(a.outputs, o)
	}
	n := 0
	for span := range view.Raw() {
		if n < len(a.outputs) {
			a.outputs[n].raw.span = span
		}
		n++
	}
	for i := range a.outputs {
		o := &a.outputs[i]
		if i >= n && !o.shared && o.tensor.HasContents() {
			return nil, wrong("the server's answer holds output '%s' in a form that this endpoint can't read", o.name)
		}
		if err := o.check(); err != nil {
			return nil, err
		}
		if o.binary {
			a.binary += int64(o.raw.span.Len())
		}
	}
	return a, nil
}

// check finds what would make an output's JSON impossible.
func (o *outputTensor) check() error {
	if o.binary || o.shared {
		return nil
	}
	if name := o.kind.noJSON(); name != "" {
		return invalid("sending %s data via JSON is not supported. Please use the binary data format for output", name)
	}
	count, size := count(o.dims), int64(o.raw.span.Len())
	switch {
	case o.kind == typeInvalid:
		return invalid("Invalid data type for output tensor")
	case o.kind == typeBytes:
		if !o.hasElements(count) {
			return wrong("output tensor shape does not match size of output for '%s'", o.name)
		}
	case count < 0 || size%int64(widths[o.kind]) != 0 || size/int64(widths[o.kind]) != count:
		return wrong("Failed to write 'data' field: output tensor shape does not match size of output for '%s'", o.name)
	}
	return nil
}

// hasElements tells whether a BYTES tensor's data is just so many whole elements.
func (o *outputTensor) hasElements(count int64) bool {
	var w bytesWalk
	for chunk := range o.raw.chunks {
		for len(chunk) > 0 {
			_, chunk = w.step(chunk)
		}
	}
	return w.whole() && w.count == count
}

// count is how many elements a shape has; -1 for what is none.
func count(dims []int64) int64 {
	s := shape{count: 1}
	for _, d := range dims {
		if d < 0 || s.add(uint64(d)) != nil {
			return -1
		}
	}
	return s.count
}

// Binary is how many bytes of binary tensors follow the JSON. Only where there
// are some does Triton call the answer application/octet-stream.
func (a *Answer) Binary() int64 { return a.binary }

// JSON writes the answer's JSON. The error is the page's.
func (a *Answer) JSON(p *Page) error {
	p.byte('{')
	if id := a.view.ID(); id.Len() > 0 {
		p.raw(`"id":`)
		p.quote(id.Bytes())
		p.byte(',')
	}
	p.raw(`"model_name":`)
	p.quote(a.view.ModelName().Bytes())
	p.raw(`,"model_version":`)
	p.quote(a.view.ModelVersion().Bytes())
	if params := sortedParams(a.view); len(params) > 0 {
		p.raw(`,"parameters":`)
		separator := byte('{')
		for _, e := range params {
			p.byte(separator)
			separator = ','
			p.quoteString(e.key)
			p.byte(':')
			p.parameter(e.value)
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
	p.quote(o.tensor.Datatype().Bytes())
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
		p.int(int64(o.raw.span.Len()))
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

// responseParam is one parameter of a response.
type responseParam struct {
	key   string
	value wire.Parameter
}

// sortedParams lists a response's parameters by key, since a map on the wire is
// in no order. Of a key that is repeated the last entry counts, as for protobuf.
func sortedParams(view wire.InferResponse) (params []responseParam) {
	for key, value := range view.Parameters().All() {
		params = append(params, responseParam{key.String(), value})
	}
	slices.Reverse(params)
	slices.SortStableFunc(params, func(a, b responseParam) int {
		switch {
		case a.key < b.key:
			return -1
		case a.key > b.key:
			return 1
		default:
			return 0
		}
	})
	return slices.CompactFunc(params, func(a, b responseParam) bool { return a.key == b.key })
}

func (p *Page) parameter(v wire.Parameter) {
	switch v.Kind {
	case wire.BoolParameter:
		b, _ := v.Bool()
		p.bool(b)
	case wire.Int64Parameter:
		i, _ := v.Int64()
		p.int(i)
	case wire.Uint64Parameter:
		u, _ := v.Uint64()
		p.uint(u)
	case wire.DoubleParameter:
		f, _ := v.Double()
		p.float(f)
	case wire.StringParameter:
		t, _ := v.Text()
		p.quote(t.Bytes())
	default:
		p.raw("null")
	}
}
