package models

import (
	"encoding/binary"
	"strings"

	"github.com/sluice-gateway/sluice/gen/inference"
)

// tensor is one input or output in the protocol's raw form: little endian, row
// by row, BYTES elements each behind their length in four bytes.
type tensor struct {
	name     string
	datatype string
	shape    []int64
	data     []byte
}

// elementSizes are the datatypes of fixed size, in bytes.
var elementSizes = map[string]int64{
	"BOOL": 1, "UINT8": 1, "UINT16": 2, "UINT32": 4, "UINT64": 8, "INT8": 1, "INT16": 2, "INT32": 4, "INT64": 8,
	"FP16": 2, "BF16": 2, "FP32": 4, "FP64": 8,
}

// bytesType is the datatype of strings, which configurations call TYPE_STRING.
const bytesType = "BYTES"

// datatype returns the protocol's word for a configuration's type.
func datatype(t inference.DataType) string {
	if t == inference.DataType_TYPE_STRING {
		return bytesType
	}
	return strings.TrimPrefix(t.String(), "TYPE_")
}

// known returns datatype itself, or what Triton calls one that it does not
// know.
func known(datatype string) string {
	if _, ok := elementSizes[datatype]; ok || datatype == bytesType {
		return datatype
	}
	return "<invalid>"
}

// elements cuts raw BYTES data, which has been validated, into its elements.
// They share data's memory.
func elements(data []byte) [][]byte {
	var all [][]byte
	for len(data) >= 4 {
		n := binary.LittleEndian.Uint32(data)
		all = append(all, data[4:4+n])
		data = data[4+n:]
	}
	return all
}

// appendElement appends one BYTES element to data.
func appendElement[T string | []byte](data []byte, element T) []byte {
	data = binary.LittleEndian.AppendUint32(data, uint32(len(element))) //nolint:gosec // a message holds less than 2 GiB
	return append(data, element...)
}

// text returns a BYTES tensor of one element.
func text(name, value string) tensor {
	return tensor{name: name, datatype: bytesType, shape: []int64{1}, data: appendElement(nil, value)}
}

// int32s reads raw INT32 data, which has been validated.
func int32s(data []byte) []int32 {
	all := make([]int32, len(data)/4)
	for i := range all {
		all[i] = int32(binary.LittleEndian.Uint32(data[4*i:])) //nolint:gosec // the bits are the number's
	}
	return all
}

// appendInt32 appends one INT32 to raw data.
func appendInt32(data []byte, v int32) []byte {
	return binary.LittleEndian.AppendUint32(data, uint32(v)) //nolint:gosec // the bits are the number's
}
