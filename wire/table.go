package wire

import "google.golang.org/protobuf/encoding/protowire"

// kind is how a field's value is encoded and what happens to repeats of it.
type kind uint8

const (
	unknown   kind = iota
	text           // proto3 string: UTF-8, last one wins
	varint         // bool, int64, uint64: last one wins
	fixed64        // double: last one wins
	varints        // repeated, packed or not
	fixed32s       // repeated float, packed or not
	fixed64s       // repeated double, packed or not
	blobs          // repeated bytes
	submsg         // message: repeats merge
	submsgs        // repeated message
	paramsMap      // map<string, InferParameter>: the last entry of a key wins
)

// maxFields is one more than the highest field number that a table knows.
const maxFields = 9

// field is what the tables know of one field of a message.
type field struct {
	name string
	kind kind
	sub  *table
	// once is the bit that all fields share of which one message may hold but
	// one: a singular field has its own, the members of a oneof have one together.
	once uint16
}

// table is what must be known of a message to read it as protobuf does. A test
// holds the tables to the compiled descriptors.
type table struct {
	name   string
	fields [maxFields]field
	// entry marks a map entry: protobuf drops unknown fields there.
	entry bool
}

// find returns the field for a tag, or nil where protobuf takes the tag for an
// unknown field: another number, or a wire type that this field doesn't have.
func (t *table) find(num protowire.Number, typ protowire.Type) *field {
	if num >= maxFields {
		return nil
	}
	f := &t.fields[num]
	if wireTypes[f.kind]&(1<<typ) == 0 {
		return nil
	}
	return f
}

// wireTypes are the wire types in which a kind is understood, as bits.
var wireTypes = [...]uint8{
	text:      1 << protowire.BytesType,
	varint:    1 << protowire.VarintType,
	fixed64:   1 << protowire.Fixed64Type,
	varints:   1<<protowire.VarintType | 1<<protowire.BytesType,
	fixed32s:  1<<protowire.Fixed32Type | 1<<protowire.BytesType,
	fixed64s:  1<<protowire.Fixed64Type | 1<<protowire.BytesType,
	blobs:     1 << protowire.BytesType,
	submsg:    1 << protowire.BytesType,
	submsgs:   1 << protowire.BytesType,
	paramsMap: 1 << protowire.BytesType,
}

// Field numbers that the views read.
const (
	fieldModelName    = 1 // of ModelInferRequest and ModelInferResponse
	fieldModelVersion = 2
	fieldID           = 3
	fieldParameters   = 4 // and of tensors
	fieldInputs       = 5
	fieldRequested    = 6
	fieldRawInputs    = 7
	fieldOutputs      = 5
	fieldRawOutputs   = 6

	fieldName             = 1 // of tensors and of requested outputs
	fieldDatatype         = 2
	fieldShape            = 3
	fieldContents         = 5
	fieldOutputParameters = 2 // of requested outputs

	fieldKey   = 1 // of map entries
	fieldValue = 2

	fieldErrorMessage  = 1 // of ModelStreamInferResponse
	fieldInferResponse = 2
)

var parameterTable = table{name: "InferParameter", fields: [maxFields]field{
	1: {name: "bool_param", kind: varint, once: 1},
	2: {name: "int64_param", kind: varint, once: 1},
	3: {name: "string_param", kind: text, once: 1},
	4: {name: "double_param", kind: fixed64, once: 1},
	5: {name: "uint64_param", kind: varint, once: 1},
}}

var entryTable = table{name: "ParametersEntry", entry: true, fields: [maxFields]field{
	fieldKey:   {name: "key", kind: text, once: 1},
	fieldValue: {name: "value", kind: submsg, sub: &parameterTable, once: 2},
}}

var contentsTable = table{name: "InferTensorContents", fields: [maxFields]field{
	1: {name: "bool_contents", kind: varints},
	2: {name: "int_contents", kind: varints},
	3: {name: "int64_contents", kind: varints},
	4: {name: "uint_contents", kind: varints},
	5: {name: "uint64_contents", kind: varints},
	6: {name: "fp32_contents", kind: fixed32s},
	7: {name: "fp64_contents", kind: fixed64s},
	8: {name: "bytes_contents", kind: blobs},
}}

// tensorTable is InferInputTensor and InferOutputTensor, which are alike.
var tensorTable = table{name: "InferTensor", fields: [maxFields]field{
	fieldName:       {name: "name", kind: text, once: 1},
	fieldDatatype:   {name: "datatype", kind: text, once: 2},
	fieldShape:      {name: "shape", kind: varints},
	fieldParameters: {name: "parameters", kind: paramsMap, sub: &entryTable},
	fieldContents:   {name: "contents", kind: submsg, sub: &contentsTable, once: 4},
}}

var requestedTable = table{name: "InferRequestedOutputTensor", fields: [maxFields]field{
	fieldName:             {name: "name", kind: text, once: 1},
	fieldOutputParameters: {name: "parameters", kind: paramsMap, sub: &entryTable},
}}

var requestTable = table{name: "ModelInferRequest", fields: [maxFields]field{
	fieldModelName:    {name: "model_name", kind: text, once: 1},
	fieldModelVersion: {name: "model_version", kind: text, once: 2},
	fieldID:           {name: "id", kind: text, once: 4},
	fieldParameters:   {name: "parameters", kind: paramsMap, sub: &entryTable},
	fieldInputs:       {name: "inputs", kind: submsgs, sub: &tensorTable},
	fieldRequested:    {name: "outputs", kind: submsgs, sub: &requestedTable},
	fieldRawInputs:    {name: "raw_input_contents", kind: blobs},
}}

var responseTable = table{name: "ModelInferResponse", fields: [maxFields]field{
	fieldModelName:    {name: "model_name", kind: text, once: 1},
	fieldModelVersion: {name: "model_version", kind: text, once: 2},
	fieldID:           {name: "id", kind: text, once: 4},
	fieldParameters:   {name: "parameters", kind: paramsMap, sub: &entryTable},
	fieldOutputs:      {name: "outputs", kind: submsgs, sub: &tensorTable},
	fieldRawOutputs:   {name: "raw_output_contents", kind: blobs},
}}

var streamTable = table{name: "ModelStreamInferResponse", fields: [maxFields]field{
	fieldErrorMessage:  {name: "error_message", kind: text, once: 1},
	fieldInferResponse: {name: "infer_response", kind: submsg, sub: &responseTable, once: 2},
}}
