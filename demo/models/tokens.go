package models

import (
	"context"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/gen/inference"
)

// tokens speaks the tensor interface of Triton's vLLM backend. It answers
// every prompt with the same text, cut into chunks; delay is the pause before
// each. One text per request: "n" is accepted and is always 1.
func tokens(delay time.Duration) *model {
	const str, boolean, u32 = inference.DataType_TYPE_STRING, inference.DataType_TYPE_BOOL, inference.DataType_TYPE_UINT32
	config := decouple(newConfig("tokens", 0,
		[]*inference.ModelInput{
			input("text_input", str, 1),
			optional(input("stream", boolean, 1)),
			optional(input("sampling_parameters", str, 1)),
			optional(input("exclude_input_in_output", boolean, 1)),
			optional(input("return_finish_reason", boolean, 1)),
			optional(input("return_num_input_tokens", boolean, 1)),
			optional(input("return_num_output_tokens", boolean, 1)),
		},
		[]*inference.ModelOutput{
			output("text_output", str, -1),
			output("finish_reason", str, -1),
			output("num_input_tokens", u32, 1),
			output("num_output_tokens", u32, -1),
		}))
	config.Backend = "vllm"
	return &model{
		config: config,
		run: func(ctx context.Context, c *call, send sendFunc) error {
			g, err := newGeneration(c)
			if err != nil {
				return err
			}
			return g.run(ctx, delay, send)
		},
	}
}

// generation is one request of the model.
type generation struct {
	call     *call
	prompt   string
	chunks   []string
	stream   bool
	prefixed bool // the prompt comes before the text
	reason   string
}

// newGeneration reads what is asked for. By default the prompt comes before the
// text, except in a stream, where it never may.
func newGeneration(c *call) (*generation, error) {
	g := &generation{call: c, chunks: cut(demoText), stream: c.flag("stream"), reason: "stop"}
	if t := c.inputs["text_input"]; t != nil && len(t.data) > 0 {
		g.prompt = string(elements(t.data)[0])
	}
	excluded := c.inputs["exclude_input_in_output"] != nil
	g.prefixed = !g.stream && !excluded || excluded && !c.flag("exclude_input_in_output")
	if g.stream && g.prefixed {
		return nil, failed("When streaming, `exclude_input_in_output` = False is not allowed.")
	}
	limit, err := maxTokens(c)
	if err != nil {
		return nil, err
	}
	if limit < len(g.chunks) {
		g.chunks, g.reason = g.chunks[:limit], "length"
	}
	return g, nil
}

// failed is an error of generation, in the backend's words.
func failed(text string) error { return status.Error(codes.Internal, "Error generating stream: "+text) }

// flag reads a BOOL input of one element; one that is missing is false.
func (c *call) flag(name string) bool {
	t := c.inputs[name]
	return t != nil && len(t.data) > 0 && t.data[0] != 0
}

// run sends the chunks one by one, or in one answer at the end. The last
// answer says that it is: this backend's end never comes without data.
func (g *generation) run(ctx context.Context, delay time.Duration, send sendFunc) error {
	for i, chunk := range g.chunks {
		if err := sleep(ctx, delay); err != nil {
			return err
		}
		if !g.stream {
			continue
		}
		reason, last := "None", i == len(g.chunks)-1
		if last {
			reason = g.reason
		}
		if err := send(g.answer(chunk, reason, 1), last); err != nil {
			return err
		}
	}
	if g.stream {
		return nil
	}
	whole := strings.Join(g.chunks, "")
	if g.prefixed {
		whole = g.prompt + whole
	}
	return send(g.answer(whole, g.reason, len(g.chunks)), true)
}

// answer holds what the request asked to have returned. The numbers of tokens
// are those of the chunks; a prompt's tokens are its words.
func (g *generation) answer(chunk, reason string, n int) []tensor {
	outputs := []tensor{text("text_output", chunk)}
	if g.call.flag("return_finish_reason") {
		outputs = append(outputs, text("finish_reason", reason))
	}
	if g.call.flag("return_num_input_tokens") {
		outputs = append(outputs, count("num_input_tokens", len(strings.Fields(g.prompt))))
	}
	if g.call.flag("return_num_output_tokens") {
		outputs = append(outputs, count("num_output_tokens", n))
	}
	return outputs
}

// count returns a tensor of one number.
func count(name string, n int) tensor {
	return tensor{name: name, datatype: "UINT32", shape: []int64{1}, data: appendInt32(nil, int32(n))} //nolint:gosec // small
}
