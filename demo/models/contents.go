package models

import (
	"encoding/binary"
	"math"

	"github.com/sluice-gateway/sluice/gen/inference"
)

// field is one field of typed contents that holds something.
type field struct {
	datatype string // of the tensors that it may be the data of
	raw      func() []byte
}

// filled lists the fields of c that hold something, in Triton's order. The
// narrow integers share a field, so that declared decides what that one is.
func filled(c *inference.InferTensorContents, declared string) []field {
	var all []field
	add := func(n int, datatype string, raw func() []byte) {
		if n > 0 {
			all = append(all, field{datatype, raw})
		}
	}
	add(len(c.GetBoolContents()), "BOOL", func() []byte { return pack(c.GetBoolContents(), appendBool) })
	signed := narrow(declared, "INT8", "INT16", "INT32")
	add(len(c.GetIntContents()), signed, func() []byte { return narrowed(c.GetIntContents(), elementSizes[signed]) })
	add(len(c.GetInt64Contents()), "INT64", func() []byte {
		return pack(c.GetInt64Contents(), func(b []byte, v int64) []byte {
			return binary.LittleEndian.AppendUint64(b, uint64(v)) //nolint:gosec // the bits are the number's
		})
	})
	unsigned := narrow(declared, "UINT8", "UINT16", "UINT32")
	add(len(c.GetUintContents()), unsigned, func() []byte { return narrowed(c.GetUintContents(), elementSizes[unsigned]) })
	add(len(c.GetUint64Contents()), "UINT64", func() []byte { return pack(c.GetUint64Contents(), binary.LittleEndian.AppendUint64) })
	add(len(c.GetFp32Contents()), "FP32", func() []byte {
		return pack(c.GetFp32Contents(), func(b []byte, v float32) []byte {
			return binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		})
	})
	add(len(c.GetFp64Contents()), "FP64", func() []byte {
		return pack(c.GetFp64Contents(), func(b []byte, v float64) []byte {
			return binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
		})
	})
	add(len(c.GetBytesContents()), bytesType, func() []byte { return pack(c.GetBytesContents(), appendElement[[]byte]) })
	return all
}

// narrow returns declared where it is one of the narrow types, else the widest,
// which is what the field is for.
func narrow(declared, byte1, byte2, widest string) string {
	if declared == byte1 || declared == byte2 {
		return declared
	}
	return widest
}

// pack puts the values one behind the other.
func pack[T any](values []T, one func([]byte, T) []byte) []byte {
	var data []byte
	for _, v := range values {
		data = one(data, v)
	}
	return data
}

// appendBool appends the byte that a BOOL is.
func appendBool(data []byte, v bool) []byte {
	if v {
		return append(data, 1)
	}
	return append(data, 0)
}

// narrowed keeps the low bytes of each value, without a look at its range.
func narrowed[T int32 | uint32](values []T, size int64) []byte {
	return pack(values, func(data []byte, v T) []byte {
		var wide [4]byte
		binary.LittleEndian.PutUint32(wide[:], uint32(v)) //nolint:gosec // the bits are the number's
		return append(data, wide[:size]...)
	})
}
