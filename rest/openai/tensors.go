package openai

import (
	"encoding/binary"
	"fmt"

	pb "github.com/sluice-gateway/sluice/gen/inference"
)

// The tensors of the interface (protocol/triton-vllm-tensors.md, section 1);
// messages and embedding are Sluice's own, of servers with OpenAI's routes.
const (
	inText          = "text_input"
	inMessages      = "messages"
	inStream        = "stream"
	inSampling      = "sampling_parameters"
	inExclude       = "exclude_input_in_output"
	inFinishReason  = "return_finish_reason"
	inLogprobs      = "return_logprobs"
	inInputTokens   = "return_num_input_tokens"
	inOutputTokens  = "return_num_output_tokens"
	inEmbedding     = "embedding_request"
	outText         = "text_output"
	outFinish       = "finish_reason"
	outLogprobs     = "logprobs"
	outInputTokens  = "num_input_tokens"
	outOutputTokens = "num_output_tokens"
	outEmbedding    = "embedding"
)

// IsLanguageModel tells whether a model speaks the tensor interface of text.
func IsLanguageModel(c *pb.ModelConfig) bool {
	return findInput(c, inText) != nil && hasOutput(c, outText)
}

func findInput(c *pb.ModelConfig, name string) *pb.ModelInput {
	for _, in := range c.GetInput() {
		if in.GetName() == name {
			return in
		}
	}
	return nil
}

func hasOutput(c *pb.ModelConfig, name string) bool {
	for _, out := range c.GetOutput() {
		if out.GetName() == name {
			return true
		}
	}
	return false
}

// call is a ModelInferRequest while it is made, for a model that takes some inputs
// and not others.
type call struct {
	config *pb.ModelConfig
	made   *pb.ModelInferRequest
}

// Message makes the request to a model; id comes back with each of its answers.
// The error is about what the request asks for and the model has not.
func (r *Request) Message(config *pb.ModelConfig, id string) (*pb.ModelInferRequest, *Error) {
	if !IsLanguageModel(config) {
		return nil, invalid("model", "this model is no language model: it lacks %s or %s; use /v2/models/…/infer", inText, outText)
	}
	c := &call{config: config, made: &pb.ModelInferRequest{ModelName: r.Model, Id: id}}
	if r.Route == Embeddings {
		return c.made, r.embed(c)
	}
	if err := r.ask(c); err != nil {
		return nil, err
	}
	if r.logprobs && !c.flag(inLogprobs, true) {
		return nil, unsupported("logprobs", "this model gives no log probabilities")
	}
	if len(r.sampling) > 0 && !c.text(inSampling, string(encode(r.sampling))) {
		return nil, unsupported("", "this model takes no sampling parameters")
	}
	if r.Stream {
		c.flag(inStream, true)
	}
	if !c.flag(inExclude, !r.echo) && r.echo {
		return nil, unsupported("echo", "this model can't be asked to echo the prompt")
	}
	for _, name := range []string{inFinishReason, inInputTokens, inOutputTokens} {
		c.flag(name, true)
	}
	return c.made, nil
}

// ask writes what the request is about.
func (r *Request) ask(c *call) *Error {
	if r.Route == Completions {
		c.text(inText, r.prompt)
		return nil
	}
	if c.text(inMessages, string(encode(r.messages))) {
		return nil
	}
	prompt, err := render(r.messages)
	if err != nil {
		return err
	}
	c.text(inText, prompt)
	return nil
}

// embed writes what is to be embedded: as the texts themselves where there are
// several, else as Triton's own front end for OpenAI's API writes it.
func (r *Request) embed(c *call) *Error {
	in := &r.input
	ours := hasOutput(c.config, outEmbedding)
	var about any = in.tokens
	if in.tokens == nil {
		about = in.texts[0]
	}
	request := map[string]any{"input": about}
	if in.dimensions > 0 {
		request["pooling_params"] = map[string]any{"dimensions": []int64{in.dimensions}}
	}
	switch several := len(in.texts) > 1; {
	case !several && c.text(inEmbedding, string(encode(request))):
	case in.tokens != nil || in.dimensions > 0:
		return unsupported("input", "this model embeds one text at a time where 'dimensions' or token ids are given, and only if it has an input "+inEmbedding)
	case !ours:
		return unsupported("input", "this model embeds no texts, or one at a time")
	case several && findInput(c.config, inText).GetDims()[0] != -1:
		return unsupported("input", "this model embeds one text at a time")
	default:
		c.text(inText, in.texts...)
	}
	c.flag(inInputTokens, true)
	if ours {
		c.made.Outputs = []*pb.ModelInferRequest_InferRequestedOutputTensor{{Name: outEmbedding}}
		if hasOutput(c.config, outInputTokens) && findInput(c.config, inInputTokens) != nil {
			c.made.Outputs = append(c.made.Outputs, &pb.ModelInferRequest_InferRequestedOutputTensor{Name: outInputTokens})
		}
	}
	return nil
}

// text adds an input of texts, if the model has it.
func (c *call) text(name string, texts ...string) bool {
	var raw []byte
	for _, s := range texts {
		raw = binary.LittleEndian.AppendUint32(raw, uint32(len(s))) //nolint:gosec // bodies are far below 4 GiB
		raw = append(raw, s...)
	}
	return c.add(name, "BYTES", len(texts), raw)
}

// flag adds an input of one truth value, if the model has it.
func (c *call) flag(name string, v bool) bool {
	raw := []byte{0}
	if v {
		raw[0] = 1
	}
	return c.add(name, "BOOL", 1, raw)
}

// add adds an input of so many elements, behind the dimension of a batch where the
// model has one.
func (c *call) add(name, datatype string, n int, raw []byte) bool {
	in := findInput(c.config, name)
	if in == nil {
		return false
	}
	var shape []int64
	if c.config.GetMaxBatchSize() > 0 {
		shape = append(shape, 1)
	}
	c.made.Inputs = append(c.made.Inputs, &pb.ModelInferRequest_InferInputTensor{Name: name, Datatype: datatype, Shape: append(shape, int64(n))})
	c.made.RawInputContents = append(c.made.RawInputContents, raw)
	return true
}

var errShort = fmt.Errorf("openai: a tensor of texts ends too early")

// elements takes the raw data of a tensor of texts apart.
func elements(raw []byte) (all [][]byte, err error) {
	for len(raw) > 0 {
		if len(raw) < 4 {
			return nil, errShort
		}
		n := uint64(binary.LittleEndian.Uint32(raw))
		if raw = raw[4:]; n > uint64(len(raw)) {
			return nil, errShort
		}
		all, raw = append(all, raw[:n]), raw[n:]
	}
	return all, nil
}
