package connection

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// Raw makes an answer to ModelInfer one with raw contents, as Triton answers
// whatever it was asked in: tritonclient reads no typed ones but BYTES
// (protocol/kserve-v2.md, section 1). An answer that is raw stays as it is; one
// that is no ModelInferResponse is an error of [backends.NotKServe].
func Raw(m *wire.Message) error {
	view, err := m.InferResponse()
	if err != nil {
		return backends.NotKServe(err)
	}
	if !isTyped(view) {
		return nil
	}
	var resp inference.ModelInferResponse
	if err := m.Unmarshal(&resp); err != nil {
		return backends.NotKServe(err)
	}
	if err := MakeRaw(&resp); err != nil {
		return err
	}
	made, err := wire.FromProto(&resp)
	if err != nil {
		return err
	}
	m.Reset()
	return m.Take(made)
}

func isTyped(view wire.InferResponse) bool {
	for range view.Raw() {
		return false
	}
	for out := range view.Outputs() {
		if out.HasContents() {
			return true
		}
	}
	return false
}

// MakeRaw moves the typed contents of an answer's outputs to raw ones.
func MakeRaw(resp *inference.ModelInferResponse) error {
	if len(resp.GetRawOutputContents()) > 0 {
		return nil
	}
	for _, out := range resp.GetOutputs() {
		raw, err := rawContents(out.GetDatatype(), out.GetContents())
		if err != nil {
			return backends.NotKServe(fmt.Errorf("output %q: %w", out.GetName(), err))
		}
		if n := elements(out.GetShape()); n >= 0 && n != raw.elements {
			return backends.NotKServe(fmt.Errorf("output %q of shape %v has %d elements", out.GetName(), out.GetShape(), raw.elements))
		}
		resp.RawOutputContents = append(resp.RawOutputContents, raw.data)
		out.Contents = nil
	}
	return nil
}

// elements is how many elements a shape has; -1 if that is no number.
func elements(shape []int64) int {
	n := 1
	for _, dim := range shape {
		if dim < 0 || dim > 0 && n > math.MaxInt32/int(dim) {
			return -1
		}
		n *= int(dim)
	}
	return n
}

// raw is a tensor's data, and how many elements it has.
type raw struct {
	data     []byte
	elements int
}

// rawContents writes typed contents as the protocol has them raw: little endian,
// BOOL one byte, narrow integers as their low bytes, BYTES with lengths. FP16 has
// no typed form: MLServer and KServe put it into bytes_contents, raw already.
func rawContents(datatype string, c *inference.InferTensorContents) (raw, error) {
	switch datatype {
	case "BOOL":
		return numbers(c.GetBoolContents(), func(b []byte, v bool) []byte {
			if v {
				return append(b, 1)
			}
			return append(b, 0)
		}), nil
	case "INT8":
		return numbers(c.GetIntContents(), func(b []byte, v int32) []byte { return append(b, byte(v)) }), nil
	case "INT16":
		return numbers(c.GetIntContents(), func(b []byte, v int32) []byte { return binary.LittleEndian.AppendUint16(b, uint16(v)) }), nil
	case "INT32":
		return numbers(c.GetIntContents(), func(b []byte, v int32) []byte { return binary.LittleEndian.AppendUint32(b, uint32(v)) }), nil
	case "INT64":
		return numbers(c.GetInt64Contents(), func(b []byte, v int64) []byte { return binary.LittleEndian.AppendUint64(b, uint64(v)) }), nil
	case "UINT8":
		return numbers(c.GetUintContents(), func(b []byte, v uint32) []byte { return append(b, byte(v)) }), nil
	case "UINT16":
		return numbers(c.GetUintContents(), func(b []byte, v uint32) []byte { return binary.LittleEndian.AppendUint16(b, uint16(v)) }), nil
	case "UINT32":
		return numbers(c.GetUintContents(), binary.LittleEndian.AppendUint32), nil
	case "UINT64":
		return numbers(c.GetUint64Contents(), binary.LittleEndian.AppendUint64), nil
	case "FP32":
		return numbers(c.GetFp32Contents(), func(b []byte, v float32) []byte { return binary.LittleEndian.AppendUint32(b, math.Float32bits(v)) }), nil
	case "FP64":
		return numbers(c.GetFp64Contents(), func(b []byte, v float64) []byte { return binary.LittleEndian.AppendUint64(b, math.Float64bits(v)) }), nil
	case "FP16", "BF16":
		r := numbers(c.GetBytesContents(), func(b, v []byte) []byte { return append(b, v...) })
		r.elements = len(r.data) / 2
		return r, nil
	case "BYTES":
		return numbers(c.GetBytesContents(), func(b, v []byte) []byte {
			return append(binary.LittleEndian.AppendUint32(b, uint32(len(v))), v...)
		}), nil
	}
	return raw{}, fmt.Errorf("datatype %q", datatype)
}

func numbers[T any](values []T, write func([]byte, T) []byte) raw {
	data := make([]byte, 0, len(values)*4)
	for _, v := range values {
		data = write(data, v)
	}
	return raw{data, len(values)}
}
