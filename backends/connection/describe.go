package connection

import (
	"github.com/sluice-gateway/sluice/gen/inference"
)

// datatypes has the names that model configurations have for datatypes.
var datatypes = map[string]inference.DataType{
	"BOOL": inference.DataType_TYPE_BOOL, "BYTES": inference.DataType_TYPE_STRING,
	"UINT8": inference.DataType_TYPE_UINT8, "UINT16": inference.DataType_TYPE_UINT16, "UINT32": inference.DataType_TYPE_UINT32, "UINT64": inference.DataType_TYPE_UINT64,
	"INT8": inference.DataType_TYPE_INT8, "INT16": inference.DataType_TYPE_INT16, "INT32": inference.DataType_TYPE_INT32, "INT64": inference.DataType_TYPE_INT64,
	"FP16": inference.DataType_TYPE_FP16, "FP32": inference.DataType_TYPE_FP32, "FP64": inference.DataType_TYPE_FP64, "BF16": inference.DataType_TYPE_BF16,
}

// sourceKey is the parameter of a configuration that tells what it was made of.
const sourceKey = "sluice_made_of"

// Config is what can be said of a model's configuration for a server that has
// none: its name, platform and tensors, out of its metadata. Shapes are whole,
// for max_batch_size is 0. A parameter says that nobody has written it.
func Config(m *inference.ModelMetadataResponse, decoupled bool) *inference.ModelConfig {
	c := &inference.ModelConfig{
		Name: m.GetName(), Platform: m.GetPlatform(),
		Parameters:             map[string]*inference.ModelParameter{sourceKey: {StringValue: "ModelMetadata"}},
		ModelTransactionPolicy: &inference.ModelTransactionPolicy{Decoupled: decoupled},
	}
	for _, t := range m.GetInputs() {
		c.Input = append(c.Input, &inference.ModelInput{Name: t.GetName(), DataType: datatypes[t.GetDatatype()], Dims: t.GetShape()})
	}
	for _, t := range m.GetOutputs() {
		c.Output = append(c.Output, &inference.ModelOutput{Name: t.GetName(), DataType: datatypes[t.GetDatatype()], Dims: t.GetShape()})
	}
	return c
}
