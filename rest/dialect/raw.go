package dialect

import (
	"encoding/binary"
	"io"

	"google.golang.org/protobuf/encoding/protowire"

	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// ReceiveRaw makes the message of a request whose body is nothing but the data of
// the model's only input (Inference-Header-Content-Length: 0). What that input
// is, config says; the answer is binary. The errors are those of Receive.
func (r *Infer) ReceiveRaw(body io.Reader, config *pb.ModelConfig, in *wire.Intake) error {
	r.Wanted.binary = true
	data := sink{in: in}
	defer data.discard()
	if err := data.readFrom(body, in.Max()); err != nil {
		return err
	}
	if n := len(config.GetInput()); n != 1 {
		return invalid("[request id: <id_unknown>] Raw request must only have 1 input (found 1) to be deduced but got %d inputs in '%s' model configuration", n, r.Model)
	}
	input := config.GetInput()[0]
	dims, refused := rawShape(input, int64(data.size), r.Model)
	if refused != nil {
		return refused
	}
	if config.GetMaxBatchSize() > 0 {
		dims = append([]int64{1}, dims...)
	}
	head := text{in: in}
	err := head.prologue(r.Model, r.Version)
	if err == nil {
		tensor := text{in: in}
		_ = tensor.field(tensorName, []byte(input.GetName()))
		_ = tensor.field(tensorDatatype, []byte(datatypeName(input.GetDataType())))
		_ = tensor.shape(dims)
		err = head.field(reqInputs, tensor.b)
	}
	if err != nil {
		return err
	}
	return head.beforeRaw(&data, input.GetDataType() == pb.DataType_TYPE_STRING)
}

// beforeRaw appends the message's head and the data as its raw contents, which of
// BYTES are one element.
func (t *text) beforeRaw(data *sink, element bool) error {
	size := data.size
	var prefix []byte
	if element {
		prefix = binary.LittleEndian.AppendUint32(nil, uint32(size))
	}
	b := protowire.AppendTag(t.b, reqRaw, protowire.BytesType)
	b = append(protowire.AppendVarint(b, uint64(len(prefix)+size)), prefix...)
	head := sink{in: t.in}
	defer head.discard()
	if err := head.write(b); err != nil {
		return err
	}
	head.give()
	data.give()
	return nil
}

// prologue appends the model and its version.
func (t *text) prologue(model, version string) error {
	err := t.field(reqModelName, []byte(model))
	if err == nil && version != "" {
		err = t.field(reqModelVersion, []byte(version))
	}
	return err
}

// readFrom reads all of r, at most limit bytes.
func (s *sink) readFrom(r io.Reader, limit int) error {
	for {
		room, err := s.room(1)
		if err != nil {
			return err
		}
		n, err := r.Read(room)
		s.wrote(n)
		if s.size > limit {
			return invalid("Raw input has a byte_size (%d bytes) that exceeds the maximum allowed value of %d bytes.", s.size, limit)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// rawShape deduces the shape of a raw input of so many bytes, as Triton does.
func rawShape(input *pb.ModelInput, size int64, model string) ([]int64, *Error) {
	kind := datatypes[datatypeName(input.GetDataType())]
	dims := append([]int64(nil), input.GetDims()...)
	if kind == typeBytes {
		if len(dims) != 1 || dims[0] != 1 {
			return nil, invalid("[request id: <id_unknown>] For BYTE datatype raw input '%s', the model must have input shape [1]", input.GetName())
		}
		return dims, nil
	}
	element, variable := int64(widths[kind]), -1
	for i, d := range dims {
		switch {
		case d >= 0:
			element *= d
		case variable >= 0:
			return nil, invalid("[request id: <id_unknown>] The shape of the raw input '%s' can not be deduced because there are more than one variable-sized dimension", input.GetName())
		default:
			variable = i
		}
	}
	expected := element
	if variable >= 0 && element > 0 {
		dims[variable] = size / element
		expected = dims[variable] * element
	}
	if expected != size {
		return nil, invalid("[request id: <id_unknown>] input byte size mismatch for input 'raw_input' for model '%s'. Expected %d, got %d", model, expected, size)
	}
	return dims, nil
}

// datatypeName is what a tensor's datatype is called that a configuration has.
func datatypeName(t pb.DataType) string {
	if t == pb.DataType_TYPE_STRING {
		return "BYTES"
	}
	return t.String()[len("TYPE_"):]
}
