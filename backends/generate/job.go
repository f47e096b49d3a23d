package generate

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/gen/inference"
)

// emptyFinalKey is the one parameter with Triton's prefix that a request may
// have. Every request here ends with an answer that has data or an error and is
// marked as the final one, so that there is no empty one to ask for.
const emptyFinalKey = "triton_enable_empty_final_response"

// job is one request as it was decoded, and what is to be answered.
type job struct {
	Request
	id, model string
	// prompt comes before the text of each sequence, where asked for.
	prompt string
	// sampling is what the parameters said.
	sampling *Sampling
	// embed is set where vectors are asked for.
	embed *EmbedRequest
	// release gives back what was charged for the request, nil if nothing was.
	release func()
	// outputs are those to answer with, in the order of the description.
	outputs []tensor
}

// decode checks a request. It asks nobody: that the model exists, and that a
// model which the parameters choose may be used, is asked when it runs.
func (j *job) decode(b *Backend, req *inference.ModelInferRequest) *access.Error {
	j.Model, j.N = j.model, 1
	for key := range req.GetParameters() {
		if strings.HasPrefix(key, "triton_") && key != emptyFinalKey {
			return malformed("parameter keys starting with 'triton_' are reserved for Triton usage. Only the following keys starting with 'triton_' are allowed: %s", emptyFinalKey)
		}
	}
	if v := req.GetModelVersion(); v != "" && v != Version {
		return unknownVersion(j.model, v)
	}
	in, err := readInputs(req, b.inputs())
	if err == nil {
		err = j.ask(b, in)
	}
	if err == nil && j.embed == nil {
		err = j.sample(b.opts.Schema, req, in)
	}
	if err == nil {
		err = j.choose(b.outputs(), req, in)
	}
	return err
}

func (j *job) free() {
	if j.release != nil {
		j.release()
	}
}

func unknownVersion(model, version string) *access.Error {
	return &access.Error{
		Kind: access.NotFound, Reason: access.ReasonNoBackend,
		Message: fmt.Sprintf("Request for unknown model: %s version %.20s is not found", shown(model), version),
	}
}

func unknownModel(model string) *access.Error {
	return &access.Error{
		Kind: access.NotFound, Reason: access.ReasonNoBackend,
		Message: fmt.Sprintf("Request for unknown model: %s is not found", shown(model)),
	}
}

// ask reads what the request is about: a prompt, a conversation, or texts to embed.
func (j *job) ask(b *Backend, in map[string]input) *access.Error {
	if _, there := in[inImage]; there {
		return unsupported("this model's server takes no input 'image'; send images inside 'messages', as data: URLs")
	}
	for name, v := range in {
		for _, text := range v.texts {
			if !utf8.Valid(text) {
				return malformed("input '%s' is not UTF-8", name)
			}
		}
	}
	text, messages, embed := in[inText].texts, in[inMessages].texts, in[inEmbedding].texts
	switch {
	case len(text) > 0 && len(messages) > 0:
		return malformed("inputs 'text_input' and 'messages' exclude each other")
	case len(embed) > 0:
		return j.askVectors(b, string(embed[0]))
	case b.opts.Embeds && len(text) > 0:
		j.embed = &EmbedRequest{Model: j.model}
		for _, t := range text {
			j.embed.Texts = append(j.embed.Texts, string(t))
		}
	case len(text) > 0:
		j.Prompt = string(text[0])
	case len(messages) > 0:
		var err *access.Error
		j.Messages, err = checkMessages(messages[0], b.opts.Images)
		return err
	default:
		return malformed("expected input 'text_input' for model %s, but there is none", shown(j.model))
	}
	return nil
}

// sample reads how to generate: in a stream the prompt never comes before the
// text, otherwise it does unless it is excluded.
func (j *job) sample(schema Schema, req *inference.ModelInferRequest, in map[string]input) *access.Error {
	flag := func(name string) bool { v := in[name].flags; return len(v) > 0 && v[0] }
	j.Stream = flag(inStream)
	_, said := in[inExclude]
	prepend := !flag(inExclude) && (said || !j.Stream && j.Messages == nil)
	switch {
	case prepend && j.Stream:
		return malformed("Error generating stream: When streaming, `exclude_input_in_output` = False is not allowed.")
	case prepend && j.Messages != nil:
		return malformed("a conversation has no text to come before the output; `exclude_input_in_output` = False goes with 'text_input' alone")
	case prepend:
		j.prompt = j.Prompt
	}
	var err *access.Error
	if v, there := in[inSampling]; there {
		j.sampling, err = schema.Check(string(v.texts[0]))
	} else {
		j.sampling, err = schema.CheckRequest(req.GetParameters())
	}
	if err != nil {
		return err
	}
	j.N = j.sampling.N
	j.Parameters = j.sampling.Values
	j.Tokens = flag(inNumInputTokens) || flag(inNumOutputTokens)
	j.Logprob = flag(inCumulative)
	return nil
}

// wants has, for outputs that come only when they are asked for, the input that
// asks.
var wants = map[string]string{
	outFinishReason: inFinishReason, outCumulative: inCumulative, outLogprobs: inLogprobs,
	outNumInputTokens: inNumInputTokens, outNumOutputTokens: inNumOutputTokens,
}

// choose finds which outputs to answer with. To name some keeps the others away.
func (j *job) choose(known []tensor, req *inference.ModelInferRequest, in map[string]input) *access.Error {
	named := make(map[string]bool)
	for _, o := range req.GetOutputs() {
		if find(known, o.GetName()) == nil {
			return malformed("unexpected inference output %s for model %s", shown(o.GetName()), shown(j.model))
		}
		for key := range o.GetParameters() {
			if key == "classification" || strings.HasPrefix(key, "shared_memory_") {
				return unsupported("this model's server cannot give output '%s' with parameter %s", o.GetName(), access.Quote(key))
			}
		}
		named[o.GetName()] = true
	}
	for _, t := range known {
		if asks := wants[t.name]; asks != "" && (len(in[asks].flags) == 0 || !in[asks].flags[0]) {
			continue
		}
		if (t.name == outEmbedding) && j.embed == nil || len(named) > 0 && !named[t.name] {
			continue
		}
		if j.embed != nil && t.name == outText && len(in[inEmbedding].texts) == 0 && !named[outText] {
			continue // vectors as text only where a client of Triton's asks
		}
		j.outputs = append(j.outputs, t)
	}
	return nil
}

// settle asks whether the job's model is there, and whether the one that its
// parameters choose may be used. The caller's right comes first: a refusal does
// not tell whether the model exists.
func (b *Backend) settle(ctx context.Context, j *job) error {
	if j.sampling != nil && j.sampling.Model != "" {
		if b.opts.Authorize == nil {
			return &access.Error{
				Kind: access.PermissionDenied, Reason: access.ReasonNoRole,
				Message: fmt.Sprintf("sampling parameter %q chooses another model, which this gateway does not allow; name the model itself in model_name", j.sampling.Key),
			}
		}
		if err := b.opts.Authorize(ctx, j.sampling.Model); err != nil {
			return err
		}
	}
	if _, err := b.catalog.find(ctx, j.model); err != nil {
		return err
	}
	if j.sampling != nil && j.sampling.Model != "" {
		adapter, err := b.catalog.find(ctx, j.sampling.Model)
		if err != nil {
			return err
		}
		if adapter.Parent != "" && adapter.Parent != j.model {
			return malformed("LoRA %s is not one of model %s", shown(adapter.Name), shown(j.model))
		}
		j.Model = adapter.Name
	}
	if j.embed == nil && j.Messages == nil && len(b.opts.Defaults) > 0 {
		values := maps.Clone(b.opts.Defaults)
		maps.Copy(values, j.Parameters)
		j.Parameters = values
	}
	return nil
}
