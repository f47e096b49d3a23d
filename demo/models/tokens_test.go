package models_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/demo/models"
	"github.com/sluice-gateway/sluice/gen/inference"
)

// secrets are what the text holds to be masked.
var secrets = []string{"jane.doe@example.com", "4111 1111 1111 1111", "536-90-4399"}

// prompt builds a request for "tokens"; sampling is "" where there is none.
func prompt(streamed bool, sampling string, more ...tensor) *inference.ModelInferRequest {
	flag := []byte{0}
	if streamed {
		flag[0] = 1
	}
	inputs := []tensor{{"text_input", "BYTES", []int64{1}, bytesData("Who called?")}, {"stream", "BOOL", []int64{1}, flag}}
	if sampling != "" {
		inputs = append(inputs, tensor{"sampling_parameters", "BYTES", []int64{1}, bytesData(sampling)})
	}
	return request("tokens", "t", append(inputs, more...)...)
}

// chunks returns the text of each answer.
func chunks(t *testing.T, answers []*inference.ModelStreamInferResponse) []string {
	t.Helper()
	var all []string
	for i, a := range answers {
		if a.GetErrorMessage() != "" {
			t.Fatalf("answer %d: %s", i, a.GetErrorMessage())
		}
		r := a.GetInferResponse()
		if last, ok := final(r); !ok || last != (i == len(answers)-1) {
			t.Errorf("answer %d of %d: final %v, %v", i, len(answers), last, ok)
		}
		one := texts(r.GetRawOutputContents()[0])
		if len(one) != 1 || r.GetOutputs()[0].GetName() != "text_output" {
			t.Fatalf("answer %d: %v", i, r)
		}
		all = append(all, one[0])
	}
	return all
}

func TestTokensCutTheSecrets(t *testing.T) {
	answers, err := stream(t.Context(), t, client(t), prompt(true, ""))
	if err != nil {
		t.Fatal(err)
	}
	all := chunks(t, answers)
	if len(all) < 40 {
		t.Errorf("%d chunks, want 40 or more", len(all))
	}
	whole := strings.Join(all, "")
	for _, secret := range secrets {
		begin := strings.Index(whole, secret)
		if begin < 0 {
			t.Errorf("%q is not in the text", secret)
			continue
		}
		borders, at := 0, 0
		for _, chunk := range all {
			if at += len(chunk); at > begin && at < begin+len(secret) {
				borders++
			}
			if strings.Contains(chunk, secret) {
				t.Errorf("%q is in one chunk", secret)
			}
		}
		if borders < 2 {
			t.Errorf("%q is cut by %d borders, want several", secret, borders)
		}
	}
}

func TestTokens(t *testing.T) {
	yes := func(name string) tensor { return tensor{name, "BOOL", []int64{1}, []byte{1}} }
	no := func(name string) tensor { return tensor{name, "BOOL", []int64{1}, []byte{0}} }
	params := func(key string, p *inference.InferParameter) *inference.ModelInferRequest {
		r := prompt(true, "")
		r.Parameters[key] = p
		return r
	}
	for _, tc := range []struct {
		name    string
		request *inference.ModelInferRequest
		answers int    // -1 for all there are
		prefix  string // of the text
	}{
		{"streamed", prompt(true, ""), -1, "Thank you"},
		{"three tokens", prompt(true, `{"max_tokens": 3, "temperature": "0"}`), 3, "Thank you fo"},
		{"as text", prompt(true, `{"max_tokens": " 2 "}`), 2, "Thank y"},
		{"as a fraction", prompt(true, `{"max_tokens": 1.9}`), 1, "Than"},
		{"as true", prompt(true, `{"max_tokens": true}`), 1, "Than"},
		{"none said", prompt(true, `{"max_tokens": null}`), -1, "Thank you"},
		{"more than there are", prompt(true, `{"max_tokens": 1e300}`), -1, "Thank you"},
		{"from the request", params("max_tokens", intParam(2)), 2, "Thank y"},
		{"from the request, as text", params("max_tokens", stringParam("2")), 2, "Thank y"},
		{"the request's own are none", params("priority", intParam(1)), -1, "Thank you"},
		{"streamed, prompt excluded", prompt(true, "", yes("exclude_input_in_output")), -1, "Thank you"},
		{"whole, after the prompt", prompt(false, ""), 1, "Who called?Thank you for calling."},
		{"whole, prompt excluded", prompt(false, "", yes("exclude_input_in_output")), 1, "Thank you for calling."},
		{"whole, prompt not excluded", prompt(false, `{"max_tokens":1}`, no("exclude_input_in_output")), 1, "Who called?Than"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			answers, err := stream(t.Context(), t, client(t), tc.request)
			if err != nil {
				t.Fatal(err)
			}
			all := chunks(t, answers)
			if tc.answers < 0 && len(all) < 40 || tc.answers >= 0 && len(all) != tc.answers {
				t.Errorf("%d answers, want %d", len(all), tc.answers)
			}
			if whole := strings.Join(all, ""); !strings.HasPrefix(whole, tc.prefix) {
				t.Errorf("text %.40q, want it to begin with %q", whole, tc.prefix)
			}
		})
	}
}

func TestTokensFailures(t *testing.T) {
	const opaque = "Error generating stream: 'NoneType' object has no attribute 'lora_name'"
	for _, tc := range []struct{ name, sampling, text string }{
		{"unknown key", `{"max_token": 3}`, opaque},
		{"not a number", `{"max_tokens": "three"}`, opaque},
		{"no number at all", `{"max_tokens": []}`, opaque},
		{"none", `{"max_tokens": 0}`, opaque},
		{"adapter", `{"lora_name": "doll"}`, "LoRA feature is not enabled."},
		{"no JSON", `max_tokens`, "Failed to process the request(s) for model instance 'tokens_0', message: JSONDecodeError: the sampling parameters are no JSON object"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			answers, err := stream(t.Context(), t, client(t), prompt(true, tc.sampling))
			if err != nil || len(answers) != 1 || answers[0].GetErrorMessage() != tc.text {
				t.Errorf("%v, %v; want %q", answers, err, tc.text)
			}
		})
	}
	t.Run("a prompt in a stream", func(t *testing.T) {
		r := prompt(true, "", tensor{"exclude_input_in_output", "BOOL", []int64{1}, []byte{0}})
		answers, err := stream(t.Context(), t, client(t), r)
		const want = "Error generating stream: When streaming, `exclude_input_in_output` = False is not allowed."
		if err != nil || len(answers) != 1 || answers[0].GetErrorMessage() != want {
			t.Errorf("%v, %v; want %q", answers, err, want)
		}
	})
	t.Run("too many inputs", func(t *testing.T) {
		answers, err := stream(t.Context(), t, client(t), request("tokens", "t"))
		const want = "[request id: t] expected number of inputs between 1 and 7 but got 0 inputs for model 'tokens'. Got input(s) [], but missing required input(s) ['text_input']. Please provide all required input(s)."
		if err != nil || len(answers) != 1 || answers[0].GetErrorMessage() != want {
			t.Errorf("%v, %v; want %q", answers, err, want)
		}
	})
}

func TestTokensReturnWhatIsAskedFor(t *testing.T) {
	var more []tensor
	for _, name := range []string{"return_finish_reason", "return_num_input_tokens", "return_num_output_tokens"} {
		more = append(more, tensor{name, "BOOL", []int64{1}, []byte{1}})
	}
	for _, tc := range []struct{ name, sampling, reason string }{{"all of it", "", "stop"}, {"a part", `{"max_tokens":2}`, "length"}} {
		t.Run(tc.name, func(t *testing.T) {
			answers, err := stream(t.Context(), t, client(t), prompt(true, tc.sampling, more...))
			if err != nil {
				t.Fatal(err)
			}
			for i, a := range answers {
				raw := a.GetInferResponse().GetRawOutputContents()
				want := "None"
				if i == len(answers)-1 {
					want = tc.reason
				}
				if len(raw) != 4 || texts(raw[1])[0] != want || raw[2][0] != 2 || raw[3][0] != 1 {
					t.Fatalf("answer %d: %q, want finish_reason %s, 2 input tokens, 1 output token", i, raw, want)
				}
			}
		})
	}
}

func TestTokensPauseBetweenChunks(t *testing.T) {
	for _, tc := range []struct {
		name        string
		delay, want time.Duration
	}{{"default", 0, 20 * time.Millisecond}, {"none", -1, 0}, {"set", time.Second, time.Second}} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := inference.NewGRPCInferenceServiceClient(dial(t, models.Options{ChunkDelay: tc.delay}))
				start := time.Now()
				if _, err := stream(t.Context(), t, c, prompt(true, `{"max_tokens":10}`)); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took != 10*tc.want {
					t.Errorf("took %v, want %v", took, 10*tc.want)
				}
			})
		})
	}
}

func TestTokensHearOfCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := inference.NewGRPCInferenceServiceClient(dial(t, models.Options{}))
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Millisecond)
		defer cancel()
		answers, err := stream(ctx, t, c, prompt(true, ""))
		if status.Code(err) != codes.DeadlineExceeded || len(answers) != 4 {
			t.Errorf("%d answers, %v", len(answers), err)
		}
	})
}
