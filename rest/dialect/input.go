package dialect

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// input is one member of "inputs" while it is read.
type input struct {
	name, datatype, params text
	kind                   datatype
	shape                  shape
	seen                   struct{ name, datatype, shape, parameters, data bool }

	data struct {
		began   bool  // a raw form has begun
		count   int64 // elements in it
		notList bool
		kept    *sink // the text, where it came before the datatype
		at      int64 // where that text was
	}
	place  memory
	binary struct {
		set  bool
		size uint64
	}
}

// memory is where in shared memory a tensor lies.
type memory struct {
	set          bool
	region       text
	offset, size uint64
	hasOffset    bool
	hasSize      bool
}

const contentRule = "Input must set only one of the following fields: 'data', 'binary_data_size' in 'parameters', 'shared_memory_region' in 'parameters'. But"

// inputCost is what is kept of an input until the message is made, in bytes.
const inputCost = 64

func (d *inferring) readInput() error {
	in := &d.input
	*in = input{name: in.name, datatype: in.datatype, params: in.params, shape: in.shape, place: memory{region: in.place.region}}
	in.place.region.in = d.in
	in.name.reset()
	in.datatype.reset()
	if err := d.in.Charge(inputCost); err != nil {
		return err
	}
	if d.peek() != '{' {
		if err := d.skip(); err != nil {
			return err
		}
		return in.contents()
	}
	err := d.object(&d.key, d.inputMember)
	if err == nil {
		err = d.endInput()
	}
	if in.data.kept != nil {
		in.data.kept.discard()
	}
	return err
}

func (d *inferring) inputMember(key []byte) error {
	in := &d.input
	switch {
	case string(key) == "name" && first(&in.seen.name):
		return within("Unable to parse 'name'", d.string(&in.name))
	case string(key) == "datatype" && first(&in.seen.datatype):
		err := d.string(&in.datatype)
		in.kind = datatypes[string(in.datatype.b)]
		return within("Unable to parse 'datatype'", err)
	case string(key) == "shape" && first(&in.seen.shape):
		return within("Unable to parse 'shape'", d.shape(&in.shape))
	case string(key) == "parameters" && first(&in.seen.parameters):
		return d.tensorParameters(&in.place, func(key []byte) error {
			if string(key) != "binary_data_size" || !first(&in.binary.set) {
				return d.skip()
			}
			var err error
			in.binary.size, err = d.unsigned(notUint)
			return within("Unable to parse 'binary_data_size'", err)
		})
	case string(key) == "data" && first(&in.seen.data):
		return d.readData()
	default:
		return d.skip()
	}
}

// tensorParameters reads a tensor's parameters: those of shared memory, and
// others as other says. Triton looks at no more of them, so no more go on: what
// a backend's gRPC side makes of them is nothing that a caller of REST can ask for.
func (d *inferring) tensorParameters(m *memory, other func(key []byte) error) error {
	if d.peek() != '{' {
		return d.skip() // in which Triton finds no member
	}
	return d.object(&d.key, func(key []byte) (err error) {
		switch {
		case string(key) == "shared_memory_region" && first(&m.set):
			m.region.reset()
			return within("Unable to parse 'shared_memory_region'", d.string(&m.region))
		case string(key) == "shared_memory_offset" && first(&m.hasOffset):
			m.offset, err = d.unsigned(notUint)
			return within("Unable to parse 'shared_memory_offset'", err)
		case string(key) == "shared_memory_byte_size" && first(&m.hasSize):
			m.size, err = d.unsigned(notUint)
			return within("Unable to parse 'shared_memory_byte_size'", err)
		default:
			return other(key)
		}
	})
}

// readData reads an input's data into raw form, or keeps its text where the
// datatype comes after it.
func (d *inferring) readData() (err error) {
	in := &d.input
	if !in.seen.datatype {
		in.data.kept = &sink{in: d.in}
		in.data.at, err = d.capture(in.data.kept)
		return err
	}
	return d.convert()
}

// convert reads data into raw form. What can't be is refused at the input's end.
func (d *inferring) convert() error {
	in := &d.input
	if d.peek() != '[' {
		in.data.notList = true
		return d.skip()
	}
	if in.kind == typeInvalid || in.kind.noJSON() != "" {
		return d.skip()
	}
	if err := d.data.begin(); err != nil {
		return err
	}
	in.data.began = true
	e := elements{builder: d.builder, kind: in.kind, most: -1}
	if in.seen.shape {
		e.most = in.shape.count
	}
	if e.most == 0 {
		return d.skip() // Triton does not look at it
	}
	err := e.list()
	in.data.count = e.count
	return e.within(err)
}

// contents checks that an input's data is in one place.
func (in *input) contents() error {
	text, n := contentRule, 0
	for _, c := range []struct {
		set  bool
		name string
	}{{in.seen.data, " 'data'"}, {in.binary.set, " 'binary_data_size'"}, {in.place.set, " 'shared_memory_region'"}} {
		if c.set {
			if n++; n == 1 {
				text += " set"
			}
			text += c.name
		}
	}
	switch n {
	case 1:
		return nil
	case 0:
		return invalid("%s no field is set", text)
	default:
		return invalid("%s", text)
	}
}

// endInput checks an input that was read, in Triton's order, and writes it. Only
// now is known what all of its members are, in whichever order they came.
func (d *inferring) endInput() error {
	in := &d.input
	if err := in.contents(); err != nil {
		return err
	}
	switch {
	case !in.seen.name:
		return within("Unable to parse 'name'", missing("name"))
	case !in.seen.datatype:
		return within("Unable to parse 'datatype'", missing("datatype"))
	case !in.seen.shape:
		return within("Unable to parse 'shape'", missing("shape"))
	}
	var err error
	switch {
	case in.binary.set:
		err = d.endBinary()
	case in.seen.data:
		err = d.endData()
	}
	if err != nil {
		return err
	}
	return d.writeInput()
}

// endBinary notes where a binary tensor belongs among the raw contents.
func (d *inferring) endBinary() error {
	in := &d.input
	if in.binary.size > 0 && d.request.JSON < 0 {
		return invalid("unexpected size for input '%s', expecting %d additional bytes for model '%s'", in.name.b, in.binary.size, d.request.Model)
	}
	if in.binary.size > uint64(d.in.Max())-uint64(d.binary) {
		return invalid("input '%s' has a byte_size (%d bytes) that exceeds the maximum allowed value of %d bytes.", in.name.b, in.binary.size, d.in.Max())
	}
	d.binary += int64(in.binary.size)
	d.data.cut()
	if err := d.in.Charge(len(in.name.b)); err != nil {
		return err
	}
	d.blocks = append(d.blocks, block{after: len(d.data.full), size: int64(in.binary.size), name: string(in.name.b)})
	return nil
}

// endData closes the raw contents of a tensor that came as JSON.
func (d *inferring) endData() error {
	in := &d.input
	if in.shape.count < 0 {
		return invalid("invalid shape for input '%s': the total element count exceeds the maximum size of %d", in.name.b, int64(1<<63-1))
	}
	if in.data.kept != nil {
		if err := d.convertKept(); err != nil {
			return err
		}
	}
	switch {
	case in.shape.count == 0: // Triton does not look at the data
		if in.data.began {
			d.data.drop()
		}
		if err := d.data.begin(); err != nil {
			return err
		}
	case in.data.notList:
		return within("Unable to parse 'data'", notArray)
	case in.kind == typeInvalid:
		return invalid("invalid datatype for input %s", in.name.b)
	case in.kind.noJSON() != "":
		return invalid("receiving %s data via JSON is not supported. Please use the binary data format for input %s", in.kind.noJSON(), in.name.b)
	case in.kind != typeBytes && in.data.count != in.shape.count:
		return within("Unable to parse 'data'", wrongShape)
	}
	d.data.end(reqRaw)
	return nil
}

// convertKept reads the data that came before its datatype.
func (d *inferring) convertKept() error {
	kept := d.input.data.kept
	kept.cut()
	again, err := newLexer(&pieces{bufs: kept.full}, unlimited, d.in)
	if err != nil {
		return err
	}
	again.base, again.depth = d.input.data.at, d.depth
	document := d.lexer
	d.lexer = again
	err = d.convert()
	d.lexer = document
	again.close(d.in)
	return err
}

// writeInput writes the input itself.
func (d *inferring) writeInput() error {
	in := &d.input
	e := &d.entry
	e.reset()
	if err := e.field(tensorName, in.name.b); err != nil {
		return err
	}
	if err := e.field(tensorDatatype, in.datatype.b); err != nil {
		return err
	}
	if err := e.shape(in.shape.dims); err != nil {
		return err
	}
	if err := in.place.appendTo(e, &in.params, tensorParameters); err != nil {
		return err
	}
	return d.head.field(reqInputs, e.b)
}

// shape appends a shape as packed numbers.
func (t *text) shape(dims []int64) error {
	n := 0
	for _, d := range dims {
		n += protowire.SizeVarint(uint64(d))
	}
	if n == 0 {
		return nil
	}
	var b [2 * headRoom]byte
	if err := t.add(protowire.AppendVarint(protowire.AppendTag(b[:0], tensorShape, protowire.BytesType), uint64(n))...); err != nil {
		return err
	}
	for _, d := range dims {
		if err := t.add(protowire.AppendVarint(b[:0], uint64(d))...); err != nil {
			return err
		}
	}
	return nil
}

// appendTo appends the parameters that say where in shared memory a tensor lies.
func (m *memory) appendTo(t, scratch *text, num protowire.Number) error {
	if !m.set {
		return nil
	}
	for _, p := range []struct {
		key string
		set bool
		param
	}{
		{"shared_memory_region", true, param{kind: paramString, text: m.region.b}},
		{"shared_memory_byte_size", m.hasSize, param{kind: paramInt64, bits: m.size}},
		{"shared_memory_offset", m.hasOffset, param{kind: paramInt64, bits: m.offset}},
	} {
		if !p.set {
			continue
		}
		scratch.reset()
		if err := p.appendTo(scratch, []byte(p.key)); err != nil {
			return err
		}
		if err := t.field(num, scratch.b); err != nil {
			return err
		}
	}
	return nil
}
