package dialect

import (
	"bytes"
	"math"
	"slices"

	"github.com/sluice-gateway/sluice/wire"
)

// response is what a ModelInferResponse says, in the message's own memory.
type response struct {
	id, model, version []byte
	failure            []byte // error_message of a stream's answer
	params             []responseParam
	outputs            []outputTensor
	raws               []raw
}

// outputTensor is one output of an answer.
type outputTensor struct {
	name, datatype []byte
	kind           datatype
	dims           []int64
	contents       bool // typed ones
	raw            raw
	binary, shared bool
}

// responseParam is one parameter of a response.
type responseParam struct {
	key  []byte
	kind wire.ParameterKind
	bits uint64
	text []byte
}

// reset empties r and keeps its memory.
func (r *response) reset() {
	*r = response{params: r.params[:0], outputs: r.outputs[:0], raws: r.raws[:0]}
}

// next adds an output, in the memory that one of before had.
func (r *response) next() *outputTensor {
	n := len(r.outputs)
	if n == cap(r.outputs) {
		r.outputs = append(r.outputs, outputTensor{})
		return &r.outputs[n]
	}
	r.outputs = r.outputs[:n+1]
	r.outputs[n] = outputTensor{dims: r.outputs[n].dims[:0]}
	return &r.outputs[n]
}

// scanInfer reads m as a ModelInferResponse. The error is the scan's. What the
// fast way can't read goes the slow way, which says what is wrong with it.
func (r *response) scanInfer(m *wire.Message) error {
	r.reset()
	if b, ok := flat(m); ok && r.read(b) {
		return nil
	}
	r.reset()
	view, err := m.InferResponse()
	if err != nil {
		return err
	}
	r.look(m, view)
	return nil
}

// scanStream reads m as a ModelStreamInferResponse. The error is the scan's.
func (r *response) scanStream(m *wire.Message) error {
	r.reset()
	if b, ok := flat(m); ok && r.readStream(b) {
		return nil
	}
	r.reset()
	view, err := m.StreamResponse()
	if err != nil {
		return err
	}
	r.failure = view.ErrorMessage().Bytes()
	r.look(m, view.Response())
	return nil
}

// look reads a response that lies in several buffers.
func (r *response) look(m *wire.Message, view wire.InferResponse) {
	r.id, r.model, r.version = view.ID().Bytes(), view.ModelName().Bytes(), view.ModelVersion().Bytes()
	for key, value := range view.Parameters().All() {
		p := responseParam{key: key.Bytes(), kind: value.Kind}
		switch value.Kind {
		case wire.BoolParameter:
			v, _ := value.Bool()
			p.bits = boolParam(v).bits
		case wire.Int64Parameter:
			v, _ := value.Int64()
			p.bits = uint64(v)
		case wire.Uint64Parameter:
			p.bits, _ = value.Uint64()
		case wire.DoubleParameter:
			v, _ := value.Double()
			p.bits = math.Float64bits(v)
		case wire.StringParameter:
			text, _ := value.Text()
			p.text = text.Bytes()
		}
		r.params = append(r.params, p)
	}
	for t := range view.Outputs() {
		o := r.next()
		o.name, o.datatype, o.contents = t.Name().Bytes(), t.Datatype().Bytes(), t.HasContents()
		o.dims = t.AppendShape(o.dims)
	}
	for span := range view.Raw() {
		r.raws = append(r.raws, raw{m: m, span: span})
	}
}

// arrange gives each output its form and its data, sorts the parameters, and
// checks all that could be wrong, so that nothing is once the first of the answer
// has been written.
func (r *response) arrange(w *Wanted) error {
	r.sortParams()
	for i := range r.outputs {
		o := &r.outputs[i]
		o.kind = datatypes[string(o.datatype)]
		o.binary, o.shared = w.form(o.name)
		switch {
		case i < len(r.raws):
			o.raw = r.raws[i]
		case o.contents && !o.shared:
			return wrong("the server's answer holds output '%s' in a form that this endpoint can't read", o.name)
		}
		if err := o.check(); err != nil {
			return err
		}
	}
	return nil
}

// sortParams puts the parameters in the order of their keys, since a map on the
// wire is in none. Of a key that is repeated the last entry counts, as for protobuf.
func (r *response) sortParams() {
	if len(r.params) < 2 {
		return
	}
	slices.Reverse(r.params)
	slices.SortStableFunc(r.params, func(a, b responseParam) int { return bytes.Compare(a.key, b.key) })
	r.params = slices.CompactFunc(r.params, func(a, b responseParam) bool { return bytes.Equal(a.key, b.key) })
}

// param finds the parameter of a key.
func (r *response) param(key string) (responseParam, bool) {
	for _, p := range r.params {
		if string(p.key) == key {
			return p, true
		}
	}
	return responseParam{}, false
}

// check finds what would make an output's JSON impossible.
func (o *outputTensor) check() error {
	if o.binary || o.shared {
		return nil
	}
	if name := o.kind.noJSON(); name != "" {
		return invalid("sending %s data via JSON is not supported. Please use the binary data format for output", name)
	}
	count, size := count(o.dims), int64(o.raw.len())
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
	n := int64(1)
	for _, d := range dims {
		if d < 0 || d > 0 && n > math.MaxInt64/d {
			return -1
		}
		n *= d
	}
	return n
}
