package approval

import (
	"math"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/wire"
)

// regionKey is the parameter of an input that lies in shared memory.
const regionKey = "shared_memory_region"

// tensors hashes an infer request in place: large tensors are read from the
// buffers that they were received in.
type tensors struct {
	*digester
	parts [][]byte // the message's buffers
	part  int      // the one being read, and where in the message it begins
	start int
	// plain tells that the view has shown all of the message so far.
	plain bool
}

func newTensors(m *wire.Message) *tensors {
	d := &tensors{digester: newDigester("sluice content of an infer 1"), plain: true}
	for _, b := range m.Buffers() {
		d.parts = append(d.parts, b.ReadOnlyData())
	}
	return d
}

// span hashes a value behind its length.
func (d *tensors) span(s wire.Span) {
	d.number(uint64(s.Len()))
	d.write(s)
}

// write hashes a value's bytes, where they are.
func (d *tensors) write(s wire.Span) {
	at, end := s.Range()
	if at < d.start {
		d.part, d.start = 0, 0
	}
	for at < end {
		for at >= d.start+len(d.parts[d.part]) {
			d.start += len(d.parts[d.part])
			d.part++
		}
		b := d.parts[d.part][at-d.start:]
		b = b[:min(len(b), end-at)]
		_, _ = d.Write(b)
		at += len(b)
	}
}

// request hashes the whole request but its id.
func (d *tensors) request(r wire.InferRequest) *access.Error {
	d.span(r.ModelName())
	d.span(r.ModelVersion())
	if r.HasParameters() {
		d.parameters(r.Parameters())
	} else {
		d.number(0)
	}
	d.number(uint64(r.NumInputs()))
	if r.NumInputs() > 0 {
		for t := range r.Inputs() {
			if refused := d.input(t); refused != nil {
				return refused
			}
		}
	}
	d.number(uint64(r.NumOutputs()))
	if r.NumOutputs() > 0 {
		for o := range r.Outputs() {
			d.span(o.Name())
			d.parameters(o.Parameters())
		}
	}
	d.number(uint64(r.NumRaw()))
	if r.NumRaw() > 0 {
		for raw := range r.Raw() {
			d.span(raw)
		}
	}
	return nil
}

func (d *tensors) input(t wire.Tensor) *access.Error {
	if t.Parameters().Has(regionKey) {
		return needs(access.ReasonNeedsApproval, "the request needs approval, and an input of it lies in shared memory, where it could be changed after it was approved; send the input's data in the request")
	}
	datatype := t.Datatype()
	d.span(t.Name())
	d.span(datatype)
	shape := t.AppendShape(nil)
	d.number(uint64(len(shape)))
	for _, n := range shape {
		d.number(uint64(n))
	}
	d.parameters(t.Parameters())
	d.flag(t.HasContents())
	if t.HasContents() {
		d.contents(t.Contents(), datatype.String())
	}
	return nil
}

// contents hashes typed data. Elements stand in the field of their datatype;
// where anything else is set, the view does not show it.
func (d *tensors) contents(c wire.Contents, datatype string) {
	if !c.OnlyFor(datatype) {
		d.plain = false
		return
	}
	n := uint64(0)
	for s := range c.Bytes() {
		d.span(s)
		n++
	}
	for v := range c.Numbers(datatype) {
		d.number(narrow(datatype, v))
		n++
	}
	d.number(n)
}

// narrow is a number as protobuf reads it into the field of its datatype,
// however it was encoded.
func narrow(datatype string, v uint64) uint64 {
	switch datatype {
	case "BOOL":
		if v != 0 {
			return 1
		}
	case "INT8", "INT16", "INT32":
		return uint64(int64(int32(v)))
	case "UINT8", "UINT16", "UINT32":
		return uint64(uint32(v))
	}
	return v
}

// named is a parameter with its name.
type named struct {
	name  string
	value wire.Parameter
}

// parameters hashes a map by its keys' order, each value with its type.
func (d *tensors) parameters(p wire.Parameters) {
	var all []named
	for k, v := range p.All() {
		all = append(all, named{k.String(), v})
	}
	slices.SortFunc(all, func(a, b named) int { return strings.Compare(a.name, b.name) })
	d.number(uint64(len(all)))
	for _, e := range all {
		d.text(e.name)
		d.number(uint64(e.value.Kind))
		d.parameter(e.value)
	}
}

func (d *tensors) parameter(p wire.Parameter) {
	switch p.Kind {
	case wire.BoolParameter:
		v, _ := p.Bool()
		d.flag(v)
	case wire.Int64Parameter:
		v, _ := p.Int64()
		d.number(uint64(v))
	case wire.Uint64Parameter:
		v, _ := p.Uint64()
		d.number(v)
	case wire.DoubleParameter:
		v, _ := p.Double()
		d.number(math.Float64bits(v))
	case wire.StringParameter:
		v, _ := p.Text()
		d.span(v)
	}
}

// bits are a number's, whatever its type: that is known from the field.
func bits(v any) uint64 {
	switch v := v.(type) {
	case int32:
		return uint64(int64(v))
	case int64:
		return uint64(v)
	case uint32:
		return uint64(v)
	case uint64:
		return v
	case float32:
		return uint64(math.Float32bits(v))
	case float64:
		return math.Float64bits(v)
	}
	return 0 // protobuf has no further scalars
}
