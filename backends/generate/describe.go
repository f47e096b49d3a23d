package generate

import (
	"github.com/sluice-gateway/sluice/gen/inference"
)

// The names of the tensors.
const (
	inText             = "text_input"
	inMessages         = "messages"
	inImage            = "image"
	inStream           = "stream"
	inSampling         = "sampling_parameters"
	inExclude          = "exclude_input_in_output"
	inFinishReason     = "return_finish_reason"
	inCumulative       = "return_cumulative_logprob"
	inLogprobs         = "return_logprobs"
	inNumInputTokens   = "return_num_input_tokens"
	inNumOutputTokens  = "return_num_output_tokens"
	inEmbedding        = "embedding_request"
	outText            = "text_output"
	outFinishReason    = "finish_reason"
	outCumulative      = "cumulative_logprob"
	outLogprobs        = "logprobs"
	outNumInputTokens  = "num_input_tokens"
	outNumOutputTokens = "num_output_tokens"
	outEmbedding       = "embedding"
)

// generateInputs and generateOutputs are those of Triton's vLLM backend, with
// "messages" and "embedding" added.
var (
	generateInputs = []tensor{
		{inText, typeBytes, 1, true},
		{inMessages, typeBytes, 1, true},
		{inImage, typeBytes, -1, true},
		{inStream, typeBool, 1, true},
		{inSampling, typeBytes, 1, true},
		{inExclude, typeBool, 1, true},
		{inFinishReason, typeBool, 1, true},
		{inCumulative, typeBool, 1, true},
		{inLogprobs, typeBool, 1, true},
		{inNumInputTokens, typeBool, 1, true},
		{inNumOutputTokens, typeBool, 1, true},
		{inEmbedding, typeBytes, 1, true},
	}
	generateOutputs = []tensor{
		{outText, typeBytes, -1, false},
		{outFinishReason, typeBytes, -1, false},
		{outCumulative, typeFloat, -1, false},
		{outLogprobs, typeBytes, -1, false},
		{outNumInputTokens, typeUint32, 1, false},
		{outNumOutputTokens, typeUint32, -1, false},
		{outEmbedding, typeFloat, -1, false},
	}
	// A model that embeds takes any number of texts at a time.
	embedInputs = []tensor{
		{inText, typeBytes, -1, true},
		{inEmbedding, typeBytes, 1, true},
		{inNumInputTokens, typeBool, 1, true},
		{inNumOutputTokens, typeBool, 1, true},
	}
	embedOutputs = []tensor{
		{outEmbedding, typeFloat, -1, false},
		{outText, typeBytes, -1, false},
		{outNumInputTokens, typeUint32, 1, false},
		{outNumOutputTokens, typeUint32, -1, false},
	}
)

// Version is the one version that each model has.
const Version = "1"

// platform is the backend that models show in their configuration, so that
// clients and rules take them for what they are.
const platform = "vllm"

func (b *Backend) inputs() []tensor {
	if b.opts.Embeds {
		return embedInputs
	}
	return generateInputs
}

func (b *Backend) outputs() []tensor {
	if b.opts.Embeds {
		return embedOutputs
	}
	return generateOutputs
}

// shape is what a description says; an embedding has two dimensions.
func (t tensor) shape() []int64 {
	if t.name == outEmbedding {
		return []int64{-1, -1}
	}
	return []int64{t.dim}
}

// metadata describes a model as ModelMetadata does.
func (b *Backend) metadata(model string) *inference.ModelMetadataResponse {
	resp := &inference.ModelMetadataResponse{Name: model, Versions: []string{Version}, Platform: platform}
	for _, t := range b.inputs() {
		resp.Inputs = append(resp.Inputs, &inference.ModelMetadataResponse_TensorMetadata{Name: t.name, Datatype: t.datatype, Shape: t.shape()})
	}
	for _, t := range b.outputs() {
		resp.Outputs = append(resp.Outputs, &inference.ModelMetadataResponse_TensorMetadata{Name: t.name, Datatype: t.datatype, Shape: t.shape()})
	}
	return resp
}

var dataTypes = map[string]inference.DataType{
	typeBytes: inference.DataType_TYPE_STRING, typeBool: inference.DataType_TYPE_BOOL,
	typeUint32: inference.DataType_TYPE_UINT32, typeFloat: inference.DataType_TYPE_FP32,
}

// config is a model's configuration as Triton would complete it. A model that
// embeds answers each request once, so it is not decoupled.
func (b *Backend) config(model string) *inference.ModelConfig {
	c := &inference.ModelConfig{
		Name: model, Backend: platform,
		VersionPolicy:          &inference.ModelVersionPolicy{PolicyChoice: &inference.ModelVersionPolicy_Latest_{Latest: &inference.ModelVersionPolicy_Latest{NumVersions: 1}}},
		ModelTransactionPolicy: &inference.ModelTransactionPolicy{Decoupled: !b.opts.Embeds},
		InstanceGroup:          []*inference.ModelInstanceGroup{{Name: model, Kind: inference.ModelInstanceGroup_KIND_MODEL, Count: 1}},
	}
	for _, t := range b.inputs() {
		c.Input = append(c.Input, &inference.ModelInput{Name: t.name, DataType: dataTypes[t.datatype], Dims: t.shape(), Optional: t.optional})
	}
	for _, t := range b.outputs() {
		c.Output = append(c.Output, &inference.ModelOutput{Name: t.name, DataType: dataTypes[t.datatype], Dims: t.shape()})
	}
	return c
}
