package masking_test

import (
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/masking"
)

func stringParam(s string) *pb.InferParameter {
	return &pb.InferParameter{ParameterChoice: &pb.InferParameter_StringParam{StringParam: s}}
}

func boolParam(b bool) *pb.InferParameter {
	return &pb.InferParameter{ParameterChoice: &pb.InferParameter_BoolParam{BoolParam: b}}
}

// asked is a request for outputs of these names.
func asked(names ...string) *pb.ModelInferRequest {
	r := &pb.ModelInferRequest{ModelName: "m"}
	for _, name := range names {
		r.Outputs = append(r.Outputs, &pb.ModelInferRequest_InferRequestedOutputTensor{Name: name})
	}
	return r
}

// with gives the last requested output a parameter.
func with(r *pb.ModelInferRequest, key string, p *pb.InferParameter) *pb.ModelInferRequest {
	r.Outputs[len(r.Outputs)-1].Parameters = map[string]*pb.InferParameter{key: p}
	return r
}

// flagged is a request with BOOL inputs, as raw data.
func flagged(names string, values ...byte) *pb.ModelInferRequest {
	r := &pb.ModelInferRequest{ModelName: "m"}
	for _, name := range strings.Fields(names) {
		r.Inputs = append(r.Inputs, &pb.ModelInferRequest_InferInputTensor{Name: name, Datatype: "BOOL", Shape: []int64{1}})
	}
	for _, v := range values {
		r.RawInputContents = append(r.RawInputContents, []byte{v})
	}
	return r
}

func typedFlag(name string, value bool) *pb.ModelInferRequest {
	return &pb.ModelInferRequest{Inputs: []*pb.ModelInferRequest_InferInputTensor{{
		Name: name, Datatype: "BOOL", Shape: []int64{1}, Contents: &pb.InferTensorContents{BoolContents: []bool{value}},
	}}}
}

func sharedFlag(name string) *pb.ModelInferRequest {
	return &pb.ModelInferRequest{Inputs: []*pb.ModelInferRequest_InferInputTensor{{
		Name: name, Datatype: "BOOL", Shape: []int64{1}, Parameters: map[string]*pb.InferParameter{"shared_memory_region": stringParam("r")},
	}}}
}

func paramFlag(key string, p *pb.InferParameter) *pb.ModelInferRequest {
	return &pb.ModelInferRequest{Parameters: map[string]*pb.InferParameter{key: p}}
}

func TestRequest(t *testing.T) {
	three := &pb.InferParameter{ParameterChoice: &pb.InferParameter_Int64Param{Int64Param: 3}}
	text := []masking.Rule{redacts(nil)}
	named := func(tensor string) []masking.Rule {
		return []masking.Rule{redacts(func(r *masking.Rule) { r.Tensors = []string{tensor} })}
	}
	numbers := []masking.Rule{numbersRule(action("zero"))}
	once := masking.Facts{}
	outputs := func(f masking.Facts, o map[string]string) masking.Facts {
		f.Outputs = o
		return f
	}
	tests := []struct {
		name  string
		rules []masking.Rule
		facts masking.Facts
		req   *pb.ModelInferRequest
		want  string // a word of the refusal; "" for none
	}{
		{"nothing asked for", text, once, asked(), ""},
		{"an output", text, once, asked("out"), ""},
		{"an output in shared memory", text, once, with(asked("a", "out"), "shared_memory_region", stringParam("r")), `output "out" is masked, so it can't be put into shared memory`},
		{"numbers in shared memory, not masked", text, outputs(once, map[string]string{"out": "FP32"}), with(asked("out"), "shared_memory_region", stringParam("r")), ""},
		{"text in shared memory, known", text, outputs(once, map[string]string{"out": "BYTES"}), with(asked("out"), "shared_memory_region", stringParam("r")), "shared memory"},
		{"named text in shared memory, said to be numbers", named("out"), outputs(once, map[string]string{"out": "FP32"}), with(asked("out"), "shared_memory_region", stringParam("r")), "shared memory"},
		{"masked numbers in shared memory", numbers, once, with(asked("x"), "shared_memory_region", stringParam("r")), "shared memory"},
		{"other numbers in shared memory", numbers, once, with(asked("y"), "shared_memory_region", stringParam("r")), ""},
		{"classification of masked numbers", numbers, once, with(asked("x"), "classification", three), "can't be classified"},
		{"classification of others", numbers, once, with(asked("y"), "classification", three), ""},
		{"classification of text", text, once, with(asked("x"), "classification", three), ""},

		{"log probabilities", text, decoupled, flagged("stream return_logprobs", 1, 1), "input return_logprobs=true"},
		{"no log probabilities", text, decoupled, flagged("stream return_logprobs", 1, 0), ""},
		{"cumulative ones", text, decoupled, flagged("return_cumulative_logprob", 1), "return_cumulative_logprob=true"},
		{"log probabilities, typed", text, decoupled, typedFlag("return_logprobs", true), "return_logprobs=true"},
		{"none, typed", text, decoupled, typedFlag("return_logprobs", false), ""},
		{"in shared memory, where nobody sees it", text, decoupled, sharedFlag("return_logprobs"), "return_logprobs=true"},
		{"more raw data than inputs", text, decoupled, flagged("return_logprobs", 0, 1), "return_logprobs=true"},
		{"less raw data than inputs", text, decoupled, flagged("a b return_logprobs", 0), "return_logprobs=true"},
		{"as a parameter", text, decoupled, paramFlag("return_logprobs", boolParam(true)), "parameter return_logprobs"},
		{"as a parameter that is no bool", text, decoupled, paramFlag("return_logprobs", stringParam("yes")), "parameter return_logprobs"},
		{"by a name that Triton cuts", text, decoupled, flagged("stream return_logprobs\x00x", 1, 1), "byte 0"},
		{"as a parameter that it cuts", text, decoupled, paramFlag("return_logprobs\x00x", boolParam(true)), "byte 0"},
		{"by the output's name, cut", text, decoupled, asked("text_output", "logprobs\x00x"), "byte 0"},
		{"not, as a parameter", text, decoupled, paramFlag("return_logprobs", boolParam(false)), ""},
		{"by the output's name", text, decoupled, asked("text_output", "logprobs"), `output "logprobs" holds the text in another form`},
		{"by the name of token ids", text, decoupled, asked("output_ids"), `output "output_ids" holds the text in another form`},
		{"where a rule names them", append(named("logprobs"), numbers...), once, flagged("return_logprobs", 1), ""},
		{"where text is only observed", []masking.Rule{redacts(func(r *masking.Rule) { r.Observe = true })}, decoupled, flagged("return_logprobs", 1), ""},
		{"where no text is masked", numbers, decoupled, flagged("return_logprobs", 1), ""},

		{"stream of vLLM", text, decoupled, asked("text_output", "finish_reason"), ""},
		{"stream of vLLM, all outputs", text, outputs(decoupled, map[string]string{"text_output": "BYTES", "logprobs": "BYTES", "num_output_tokens": "UINT32"}), asked(), ""},
		{"stream nobody knows", text, other, asked("out"), "key mode"},
		{"stream nobody knows, all outputs", text, outputs(other, map[string]string{"out": "BYTES"}), asked(), "key mode"},
		{"stream of numbers", text, outputs(other, map[string]string{"out": "FP32"}), asked("out"), ""},
		{"stream with a mode", []masking.Rule{redacts(withMode(masking.Delta))}, other, asked("out"), ""},
		{"stream of outputs that no rule is about", named("text"), outputs(other, map[string]string{"out": "BYTES"}), asked(), ""},
		{"modes that differ", []masking.Rule{redacts(withMode(masking.Delta)), redacts(func(r *masking.Rule) { r.Name, r.Mode = "b", masking.Cumulative })}, other, asked("out"), "mode"},
		{"formats that differ", []masking.Rule{asJSON(nil), redacts(func(r *masking.Rule) { r.Name, r.Format = "b", masking.Text })}, once, asked("out"), "read it as"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checkBuffers(t)
			m := message(t, tt.req, 10)
			defer m.Free()
			view, err := m.InferRequest()
			if err != nil {
				t.Fatal(err)
			}
			refused := plan(t, tt.rules...).Request(view, tt.facts)
			if tt.want == "" {
				if refused != nil {
					t.Errorf("refused: %s", refused.Message)
				}
				return
			}
			wantRefusal(t, refused, access.PermissionDenied, tt.want, `"m"`)
			if refused.Reason != access.ReasonMasking {
				t.Errorf("the reason is %s", refused.Reason)
			}
		})
	}
}
