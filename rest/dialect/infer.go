package dialect

import (
	"io"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sluice-gateway/sluice/wire"
)

// Infer is a request to …/infer on its way into a ModelInferRequest.
type Infer struct {
	// Model and Version are those of the path.
	Model, Version string
	// JSON is how many bytes of the body are JSON, the rest being binary
	// tensors; -1 if all of it is.
	JSON int64
	// Wanted says, once Receive has returned, what the answer shall look like.
	Wanted Wanted
}

// Receive reads the body and makes the message. The errors are an [*Error], what
// body failed with, and the budget's.
func (r *Infer) Receive(body io.Reader, in *wire.Intake) error {
	n := r.JSON
	if n < 0 {
		n = unlimited
	}
	b, err := newBuilder(body, n, in)
	if err != nil {
		return err
	}
	defer b.close()
	d := &inferring{builder: b, request: r}
	d.input.name.in, d.input.datatype.in, d.input.params.in, d.output.name.in = in, in, in, in
	if err := d.document(); err != nil {
		return err
	}
	if r.JSON >= 0 && b.offset() < r.JSON {
		return invalid("inference header size should be in range (0, %d), got: %d", b.offset(), r.JSON)
	}
	b.head.give()
	if err := d.raw(body); err != nil {
		return err
	}
	if n, err := io.ReadFull(body, b.buf[:1]); n > 0 {
		return invalid("unexpected additional input data for model '%s'", r.Model)
	} else if err != io.EOF {
		return err
	}
	return nil
}

// inferring is an Infer while it is read.
type inferring struct {
	*builder
	request *Infer
	seen    struct{ id, parameters, inputs, outputs bool }
	keys    map[string]struct{} // of the request's parameters
	input   input
	output  output
	blocks  []block
	binary  int64 // bytes of binary tensors
}

// block is what comes next of the raw contents: a binary tensor that lies behind
// the JSON, after the first so many buffers of data.
type block struct {
	after int
	size  int64
	name  string
}

func (d *inferring) document() error {
	head := text{in: d.in}
	if err := head.prologue(d.request.Model, d.request.Version); err != nil {
		return err
	}
	if err := d.head.write(head.b); err != nil {
		return err
	}
	c, err := d.root()
	if err != nil {
		return err
	}
	if c == '{' {
		err = d.object(&d.key, d.member)
	} else {
		err = d.skip() // in which Triton finds no member
	}
	if err != nil {
		return err
	}
	if err := d.finish(); err != nil {
		return err
	}
	if !d.seen.inputs {
		return within("Unable to parse 'inputs'", missing("inputs"))
	}
	return nil
}

// first tells whether a member is there for the first time: later ones do not count.
func first(seen *bool) bool {
	if *seen {
		return false
	}
	*seen = true
	return true
}

func (d *inferring) member(key []byte) error {
	switch {
	case string(key) == "id" && first(&d.seen.id):
		d.value.reset()
		if err := d.string(&d.value); err != nil {
			return within("Unable to parse 'id'", err)
		}
		return d.head.field(reqID, d.value.b)
	case string(key) == "parameters" && first(&d.seen.parameters):
		if d.peek() != '{' {
			return within("failed to get request params.", d.other(noMembers))
		}
		d.keys = make(map[string]struct{})
		return d.object(&d.key, d.parameter)
	case string(key) == "inputs" && first(&d.seen.inputs):
		if d.peek() != '[' {
			return within("Unable to parse 'inputs'", d.other(notArray))
		}
		return d.array(d.readInput)
	case string(key) == "outputs" && first(&d.seen.outputs):
		if d.peek() != '[' {
			return within("Unable to parse 'outputs'", d.other(notArray))
		}
		return d.array(d.readOutput)
	default:
		return d.skip()
	}
}

// keyCost is what remembering a parameter's key takes in memory, in bytes, with
// room for how a map grows.
const keyCost = 128

// remember tells whether a parameter's key is there for the first time: in the
// message the last entry of a key would count, and here the first has to.
func (b *builder) remember(keys map[string]struct{}, key []byte) (bool, error) {
	if _, known := keys[string(key)]; known {
		return false, nil
	}
	if err := b.in.Charge(keyCost + len(key)); err != nil {
		return false, err
	}
	keys[string(key)] = struct{}{}
	return true, nil
}

// parameter reads one of the request's parameters.
func (d *inferring) parameter(key []byte) error {
	isNew, err := d.remember(d.keys, key)
	if err != nil {
		return err
	}
	if !isNew {
		return d.skip()
	}
	p, err := d.requestParam(key)
	if err != nil || p.kind == 0 {
		return err
	}
	d.entry.reset()
	if err := p.appendTo(&d.entry, key); err != nil {
		return err
	}
	return d.head.field(reqParameters, d.entry.b)
}

// requestParam reads a parameter's value in the type that gRPC has for it; the
// zero param is one that does not go on. A sequence's id is a uint64 to Triton,
// which takes an int64_param's bits for it.
func (d *inferring) requestParam(key []byte) (param, error) {
	switch name := string(key); name {
	case "sequence_id":
		if d.isNumber() {
			v, err := d.unsigned(notString)
			return param{kind: paramInt64, bits: v}, within("Unable to parse 'sequence_id'", err)
		}
		d.value.reset()
		err := d.string(&d.value)
		return param{kind: paramString, text: d.value.b}, within("Unable to parse 'sequence_id'", err)
	case "sequence_start", "sequence_end":
		v, err := d.boolean()
		return boolParam(v), within("Unable to parse '"+name+"'", err)
	case "priority":
		v, err := d.unsigned(notUint)
		return param{kind: paramUint64, bits: v}, within("Unable to parse 'priority'", err)
	case "timeout":
		v, err := d.unsigned(notUint)
		return param{kind: paramInt64, bits: v}, within("Unable to parse 'timeout'", err)
	case "binary_data_output":
		v, err := d.boolean()
		d.request.Wanted.binary = v
		return param{}, within("Unable to parse 'binary_data_output'", err)
	}
	if isReserved(key) {
		return param{}, reservedKey
	}
	return d.scalar(key)
}

// raw gives the raw contents to the message: those that were JSON, and between
// them the binary tensors that are read now.
func (d *inferring) raw(body io.Reader) error {
	if len(d.blocks) == 0 {
		d.data.give()
		return nil
	}
	d.data.cut()
	if err := d.in.Fits(int(min(d.binary, wire.MaxMessage))); err != nil {
		return err
	}
	given := 0
	for _, block := range d.blocks {
		d.data.giveSome(block.after - given)
		given = block.after
		left, err := readRaw(body, d.in, block.size)
		if err != nil {
			return err
		}
		if left > 0 {
			return invalid("unexpected size for input '%s', expecting %d additional bytes for model '%s'", block.name, left, d.request.Model)
		}
	}
	d.data.give()
	return nil
}

// readStep is how much is charged and read at a time: the largest of the buffers
// in gRPC's pool.
const readStep = 1 << 20

// readRaw appends a raw_input_contents of n bytes, read from body into the
// buffers that the message consists of. It returns how many bytes were not there.
func readRaw(body io.Reader, in *wire.Intake, n int64) (left int64, err error) {
	var head [headRoom]byte
	h := protowire.AppendVarint(protowire.AppendTag(head[:0], reqRaw, protowire.BytesType), uint64(n))
	for left = n; left > 0 || h != nil; {
		size := int(min(left+int64(len(h)), readStep))
		if err := in.Charge(size); err != nil {
			return left, err
		}
		buf := in.Pool().Get(size)
		from := copy(*buf, h)
		h = nil
		got, err := io.ReadFull(body, (*buf)[from:])
		appendBuffer(in, buf)
		left -= int64(got)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return left, nil
		}
		if err != nil {
			return left, err
		}
	}
	return 0, nil
}
