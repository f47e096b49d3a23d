package generate_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends/generate"
	"github.com/sluice-gateway/sluice/backends/generate/generatetest"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// inputs are those of a request, as generatetest.Ask takes them.
type inputs = map[string]any

// seen runs one request and returns what the server got of it, and the answer.
func seen(t *testing.T, req *pb.ModelInferRequest, change ...func(*generate.Options)) (*generate.Request, *generatetest.Answer) {
	t.Helper()
	var got *generate.Request
	s := &server{GenerateFunc: func(ctx context.Context, r *generate.Request, emit func(generate.Chunk) error) error {
		got = r
		return (&server{}).Generate(ctx, r, emit)
	}}
	answers, err := generatetest.Stream(t.Context(), t, open(t, s, change...), req)
	if err != nil || len(answers) != 1 {
		t.Fatalf("%d answers, %v", len(answers), err)
	}
	return got, answers[0]
}

// TestWhatIsRefused: each refusal names what is wrong, has the request's id, is
// the final answer, and reaches no server.
func TestWhatIsRefused(t *testing.T) {
	ask := func(in inputs, change ...func(*pb.ModelInferRequest)) *pb.ModelInferRequest {
		r := generatetest.Ask("m", "7", in)
		for _, c := range change {
			c(r)
		}
		return r
	}
	text := inputs{"text_input": "hi"}
	input := func(f func(*pb.ModelInferRequest_InferInputTensor)) func(*pb.ModelInferRequest) {
		return func(r *pb.ModelInferRequest) { f(r.GetInputs()[0]) }
	}
	raw := func(b string) func(*pb.ModelInferRequest) {
		return func(r *pb.ModelInferRequest) { r.RawInputContents[0] = []byte(b) }
	}
	contents := func(c *pb.InferTensorContents) func(*pb.ModelInferRequest) {
		return func(r *pb.ModelInferRequest) { r.Inputs[0].Contents, r.RawInputContents = c, nil }
	}
	tests := map[string]struct {
		req  *pb.ModelInferRequest
		want string
	}{
		"nothing to go on from":    {ask(inputs{"stream": true}), "expected input 'text_input' for model 'm'"},
		"an unknown input":         {ask(inputs{"prompt": "hi"}), "unexpected inference input 'prompt' for model 'm'"},
		"an unknown output":        {ask(text, func(r *pb.ModelInferRequest) { r.Outputs = output("text") }), "unexpected inference output 'text' for model 'm'"},
		"an input twice":           {ask(text, func(r *pb.ModelInferRequest) { r.Inputs = append(r.Inputs, r.GetInputs()[0]) }), "input 'text_input' is there twice"},
		"another datatype":         {ask(text, input(func(i *pb.ModelInferRequest_InferInputTensor) { i.Datatype = "FP32" })), "inference input 'text_input' data-type is 'FP32', but model 'm' expects 'BYTES'"},
		"two prompts":              {ask(inputs{"text_input": []string{"a", "b"}}), "unexpected shape for input 'text_input' for model 'm'. Expected [1], got [2]"},
		"a batch":                  {ask(text, input(func(i *pb.ModelInferRequest_InferInputTensor) { i.Shape = []int64{1, 1} })), "Expected [1], got [1 1]"},
		"no dimension":             {ask(text, input(func(i *pb.ModelInferRequest_InferInputTensor) { i.Shape = nil })), "Expected [1], got []"},
		"no data":                  {ask(text, func(r *pb.ModelInferRequest) { r.RawInputContents = nil }), "unable to find data for input tensor 'text_input'"},
		"a length behind the end":  {ask(text, raw("\xff\xff\xff\xffhi")), "incomplete string data"},
		"half a length":            {ask(text, raw("\x00\x00")), "incomplete string data"},
		"a second element":         {ask(text, raw("\x00\x00\x00\x00\x00\x00\x00\x00")), "incomplete string data"},
		"no element":               {ask(text, raw("")), "incomplete string data"},
		"two flags":                {ask(inputs{"stream": true}, raw("\x01\x01")), "input byte size mismatch for input 'stream'. Expected 1, got 2"},
		"contents and raw":         {ask(text, input(func(i *pb.ModelInferRequest_InferInputTensor) { i.Contents = &pb.InferTensorContents{} })), "contents field must not be specified when using raw_input_contents"},
		"contents of another type": {ask(text, contents(&pb.InferTensorContents{IntContents: []int32{1}})), "must be 1 elements of 'BYTES'"},
		"contents of two types":    {ask(text, contents(&pb.InferTensorContents{BytesContents: [][]byte{nil}, BoolContents: []bool{true}})), "must be 1 elements of 'BYTES'"},
		"too many contents":        {ask(text, contents(&pb.InferTensorContents{BytesContents: [][]byte{nil, nil}})), "must be 1 elements of 'BYTES'"},
		"shared memory":            {ask(text, input(func(i *pb.ModelInferRequest_InferInputTensor) { i.Parameters = textParam("shared_memory_region", "r") })), "reads no shared memory"},
		"an output in shared memory": {ask(text, func(r *pb.ModelInferRequest) {
			r.Outputs = output("text_output")
			r.Outputs[0].Parameters = textParam("shared_memory_region", "r")
		}), "cannot give output 'text_output' with parameter \"shared_memory_region\""},
		"classification": {ask(text, func(r *pb.ModelInferRequest) {
			r.Outputs = output("text_output")
			r.Outputs[0].Parameters = textParam("classification", "1")
		}), "\"classification\""},
		"bytes that are no text":           {ask(inputs{"text_input": "\xff"}), "input 'text_input' is not UTF-8"},
		"parameters that are no text":      {ask(inputs{"text_input": "a", "sampling_parameters": "{\"user\":\"\xff\"}"}), "input 'sampling_parameters' is not UTF-8"},
		"a reserved parameter":             {ask(text, func(r *pb.ModelInferRequest) { r.Parameters = textParam("triton_x", "1") }), "parameter keys starting with 'triton_' are reserved for Triton usage"},
		"an unknown parameter":             {ask(text, func(r *pb.ModelInferRequest) { r.Parameters = textParam("top_kk", "1") }), "unknown sampling parameter \"top_kk\""},
		"another version":                  {ask(text, func(r *pb.ModelInferRequest) { r.ModelVersion = "2" }), "Request for unknown model: 'm' version 2 is not found"},
		"another model":                    {ask(text, func(r *pb.ModelInferRequest) { r.ModelName = "x" }), "Request for unknown model: 'x' is not found"},
		"the prompt before a stream":       {ask(inputs{"text_input": "a", "stream": true, "exclude_input_in_output": false}), "Error generating stream: When streaming, `exclude_input_in_output` = False is not allowed."},
		"a prompt and a conversation":      {ask(inputs{"text_input": "a", "messages": "[]"}), "exclude each other"},
		"a conversation before its answer": {ask(inputs{"messages": `[{"role":"user","content":"a"}]`, "exclude_input_in_output": false}), "a conversation has no text"},
		"an image":                         {ask(inputs{"text_input": "a", "image": []string{"aGk=", "aGk="}}), "takes no input 'image'"},
		"vectors of a server without":      {ask(inputs{"embedding_request": `{"input":"a"}`}), "embeds no text"},
		"vectors of nothing":               {ask(inputs{"embedding_request": `{"input":[]}`}), `"input" must be text or a list of token ids`},
		"vectors, and more":                {ask(inputs{"embedding_request": `{"input":"a","model":"x"}`}), "embedding_request must be"},
		"another model's adapter":          {ask(inputs{"text_input": "a", "sampling_parameters": `{"lora_name":"b"}`}), "LoRA 'b' is not one of model 'm'"},
		"an adapter that is not there":     {ask(inputs{"text_input": "a", "sampling_parameters": `{"lora_name":"x"}`}), "Request for unknown model: 'x' is not found"},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			got, a := seen(t, c.req, func(o *generate.Options) { o.Authorize = func(context.Context, string) error { return nil } })
			if !strings.Contains(a.Error, c.want) || a.ID != "7" || !a.Final || a.Reason == "" || len(a.Texts) > 0 {
				t.Errorf("got %+v, want %q", a, c.want)
			}
			if got != nil {
				t.Errorf("the server was asked: %+v", got)
			}
		})
	}
}

func output(name string) []*pb.ModelInferRequest_InferRequestedOutputTensor {
	return []*pb.ModelInferRequest_InferRequestedOutputTensor{{Name: name}}
}

func textParam(key, value string) map[string]*pb.InferParameter {
	return map[string]*pb.InferParameter{key: {ParameterChoice: &pb.InferParameter_StringParam{StringParam: value}}}
}

// TestAModelThatAParameterChoosesIsAuthorised, before anybody is told whether it
// is there, and with the caller's context.
func TestAModelThatAParameterChoosesIsAuthorised(t *testing.T) {
	type key struct{}
	ctx := context.WithValue(t.Context(), key{}, "alice")
	no := &access.Error{Kind: access.PermissionDenied, Reason: access.ReasonNoRole, Message: "alice may not"}
	for name, c := range map[string]struct {
		lora      string
		authorize func(context.Context, string) error
		err, sent string
	}{
		"allowed":           {"a", func(context.Context, string) error { return nil }, "", "a"},
		"denied":            {"a", func(context.Context, string) error { return no }, "alice may not", ""},
		"denied, not there": {"x", func(context.Context, string) error { return no }, "alice may not", ""},
		"nobody to ask":     {"a", nil, `sampling parameter "lora_name" chooses another model`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var asked, sent string
			s := &server{GenerateFunc: func(ctx context.Context, r *generate.Request, emit func(generate.Chunk) error) error {
				sent = r.Model
				return (&server{}).Generate(ctx, r, emit)
			}}
			b := open(t, s, func(o *generate.Options) {
				if c.authorize != nil {
					o.Authorize = func(ctx context.Context, model string) error {
						asked, _ = ctx.Value(key{}).(string)
						asked += " " + model
						return c.authorize(ctx, model)
					}
				}
			})
			answers, err := generatetest.Stream(ctx, t, b, generatetest.Ask("m", "", inputs{"text_input": "a", "stream": true, "sampling_parameters": `{"lora_name":"` + c.lora + `"}`}))
			if err != nil || len(answers) != 1 || !strings.Contains(answers[0].Error, c.err) || c.err == "" && answers[0].Error != "" || sent != c.sent {
				t.Fatalf("got %+v, %v, sent to %q", answers, err, sent)
			}
			if c.err == "" && answers[0].Model != "m" {
				t.Errorf("the answer is from %q, want the model that was asked", answers[0].Model)
			}
			if c.authorize != nil && asked != "alice "+c.lora {
				t.Errorf("asked about %q", asked)
			}
		})
	}
}

func TestWhatTheServerGets(t *testing.T) {
	defaults := func(o *generate.Options) { o.Defaults = map[string]any{"max_tokens": int64(16), "temperature": 1.0} }
	req := generatetest.Ask("m", "", inputs{"text_input": "héllo", "stream": true, "sampling_parameters": `{"temperature":"0"}`, "return_cumulative_logprob": true, "return_num_output_tokens": true})
	req.Parameters = textParam("unknown", "the tensor wins outright")
	got, _ := seen(t, req, defaults)
	if got == nil || got.Prompt != "héllo" || !got.Stream || !got.Tokens || !got.Logprob || got.Parameters["temperature"] != 0.0 || got.Parameters["max_tokens"] != int64(16) {
		t.Errorf("got %+v", got)
	}
	got, a := seen(t, generatetest.Ask("m", "", inputs{"messages": `[{"role":"user","content":"a"}]`}), defaults)
	if got == nil || string(got.Messages) != `[{"role":"user","content":"a"}]` || len(got.Parameters) != 0 || a.Text() != "word" {
		t.Errorf("a conversation: got %+v, %+v", got, a)
	}
}

func TestTheFormsOfARequest(t *testing.T) {
	typed := &pb.ModelInferRequest{ModelName: "m", ModelVersion: "1", Inputs: []*pb.ModelInferRequest_InferInputTensor{
		{Name: "text_input", Datatype: "BYTES", Shape: []int64{1}, Contents: &pb.InferTensorContents{BytesContents: [][]byte{[]byte("hi")}}},
		{Name: "exclude_input_in_output", Datatype: "BOOL", Shape: []int64{1}, Contents: &pb.InferTensorContents{BoolContents: []bool{true}}},
	}}
	for name, req := range map[string]*pb.ModelInferRequest{
		"raw":   generatetest.Ask("m", "", inputs{"text_input": "hi", "exclude_input_in_output": true}),
		"typed": typed,
	} {
		m, err := wire.FromProto(req)
		if err != nil {
			t.Fatal(err)
		}
		for how, from := range map[string]any{"proto": req, "bytes": m, "handed over": wire.HandOver{Message: m}} {
			if how == "handed over" {
				continue
			}
			answer(t, name+" "+how, from)
		}
		answer(t, name+" handed over", wire.HandOver{Message: m})
		if m.Len() != 0 {
			t.Errorf("%s: a message that was handed over still holds %d bytes", name, m.Len())
		}
		m.Free()
	}
}

// answer invokes ModelInfer with a request, and wants the one word.
func answer(t *testing.T, name string, from any) {
	t.Helper()
	resp := new(wire.Message)
	defer resp.Free()
	if err := open(t, &server{}).Invoke(t.Context(), pb.GRPCInferenceService_ModelInfer_FullMethodName, from, resp); err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	var got pb.ModelInferResponse
	if err := resp.Unmarshal(&got); err != nil {
		t.Fatal(err)
	}
	if a := generatetest.Decode(t, &got); a.Text() != "word" || a.HasFinal || a.Version != "1" {
		t.Errorf("%s: got %+v", name, a)
	}
}

// TestARequestIsReadAtACostLikeItsSize: small fields that decode to many times
// their bytes are refused before they are decoded.
func TestARequestIsReadAtACostLikeItsSize(t *testing.T) {
	many := generatetest.Ask("m", "", inputs{"text_input": "hi"})
	for range 100 {
		many.Inputs = append(many.Inputs, &pb.ModelInferRequest_InferInputTensor{})
	}
	outputs := generatetest.Ask("m", "", inputs{"text_input": "hi"})
	for range 100 {
		outputs.Outputs = append(outputs.Outputs, output("")...)
	}
	raws := generatetest.Ask("m", "", inputs{"text_input": "hi"})
	raws.RawInputContents = append(raws.RawInputContents, make([][]byte, 100)...)
	typed := generatetest.Ask("m", "", inputs{"text_input": "hi"})
	typed.RawInputContents = nil
	typed.Inputs[0].Contents = &pb.InferTensorContents{BytesContents: [][]byte{bytes.Repeat([]byte("x"), 2<<20)}}
	for name, req := range map[string]*pb.ModelInferRequest{"inputs": many, "outputs": outputs, "raw contents": raws, "typed contents": typed} {
		m, err := wire.FromProto(req)
		if err != nil {
			t.Fatal(err)
		}
		err = open(t, &server{}).Invoke(t.Context(), pb.GRPCInferenceService_ModelInfer_FullMethodName, m, new(wire.Message))
		var e *access.Error
		if !errors.As(err, &e) || e.Kind != access.Malformed {
			t.Errorf("%s: %v, want a refusal", name, err)
		}
		m.Free()
	}
}
