package generate_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends/generate"
	"github.com/sluice-gateway/sluice/backends/generate/generatetest"
	pb "github.com/sluice-gateway/sluice/gen/inference"
)

// says is a server that says these chunks, and then ends well or with err.
func says(err error, chunks ...generate.Chunk) *server {
	return &server{GenerateFunc: func(_ context.Context, _ *generate.Request, emit func(generate.Chunk) error) error {
		for _, c := range chunks {
			if err := emit(c); err != nil {
				return err
			}
		}
		return err
	}}
}

var everything = inputs{
	"text_input": "hi", "return_finish_reason": true, "return_cumulative_logprob": true, "return_logprobs": true,
	"return_num_input_tokens": true, "return_num_output_tokens": true,
}

func and(in inputs, pairs ...any) inputs {
	all := inputs{}
	for k, v := range in {
		all[k] = v
	}
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i].(string)] = pairs[i+1]
	}
	return all
}

// TestAStreamOfTwoSequences: each answer has an element for each sequence, and
// the end waits for the numbers that the server tells last.
func TestAStreamOfTwoSequences(t *testing.T) {
	lp := func(token string, v float64) []generate.TokenLogprobs {
		return []generate.TokenLogprobs{{{ID: 5, Token: token, Value: v}}}
	}
	s := says(nil,
		generate.Chunk{Index: 0, Text: "a", Logprobs: lp("a", -0.5), Usage: generate.Usage{Input: 3, Output: 1}},
		generate.Chunk{Index: 1, Text: "b", Logprobs: lp("b", -1), Usage: generate.Usage{Input: 3, Output: 2}},
		generate.Chunk{Index: 1, Text: "", Usage: generate.Usage{Input: 3, Output: 3}},
		generate.Chunk{Index: 1, Text: "c", Finish: "length", Logprobs: lp("c", -1)},
		generate.Chunk{Index: 0, Text: "d", Finish: "stop", Logprobs: lp("d", -0.25)},
		generate.Chunk{Usage: generate.Usage{Input: 3, Output: 6}},
	)
	answers, err := generatetest.Stream(t.Context(), t, open(t, s), generatetest.Ask("m", "7", and(everything, "stream", true, "sampling_parameters", `{"n":2,"logprobs":0}`)))
	if err != nil || len(answers) != 4 {
		t.Fatalf("%d answers, %v", len(answers), err)
	}
	one := func(token string) string { return `[{"5": {"logprob": ` + token + `}}]` }
	want := []struct {
		text, finish []string
		output       []uint32
		cumulative   []float32
		logprobs     []string
	}{
		{[]string{"a", ""}, []string{"None", "None"}, []uint32{1, 0}, []float32{-0.5, 0}, []string{one(`-0.5, "rank": null, "decoded_token": "a"`), "null"}},
		{[]string{"", "b"}, []string{"None", "None"}, []uint32{0, 1}, []float32{-0.5, -1}, []string{"null", one(`-1, "rank": null, "decoded_token": "b"`)}},
		{[]string{"", "c"}, []string{"None", "length"}, []uint32{0, 2}, []float32{-0.5, -2}, []string{"null", one(`-1, "rank": null, "decoded_token": "c"`)}},
		{[]string{"d", ""}, []string{"stop", "length"}, []uint32{2, 0}, []float32{-0.75, -2}, []string{one(`-0.25, "rank": null, "decoded_token": "d"`), "null"}},
	}
	for i, a := range answers {
		w := want[i]
		if !slices.Equal(a.Texts["text_output"], w.text) || !slices.Equal(a.Texts["finish_reason"], w.finish) || !slices.Equal(a.Counts["num_output_tokens"], w.output) ||
			!slices.Equal(a.Floats["cumulative_logprob"], w.cumulative) || !slices.Equal(a.Texts["logprobs"], w.logprobs) || !slices.Equal(a.Counts["num_input_tokens"], []uint32{3}) {
			t.Errorf("answer %d is %+v, want %+v", i, a, w)
		}
		if a.Final != (i == 3) || a.ID != "7" {
			t.Errorf("answer %d: final is %v, id %q", i, a.Final, a.ID)
		}
		if !reflect.DeepEqual(a.Shapes, map[string][]int64{
			"text_output": {2}, "finish_reason": {2}, "cumulative_logprob": {2}, "logprobs": {2}, "num_input_tokens": {1}, "num_output_tokens": {2},
		}) {
			t.Errorf("answer %d has shapes %v", i, a.Shapes)
		}
	}
}

// TestNumbersThatAreToldLast: each chunk is taken for a token, and the end has the
// rest, so that their sum is the server's.
func TestNumbersThatAreToldLast(t *testing.T) {
	s := says(nil, generate.Chunk{Text: "a"}, generate.Chunk{Text: "b"}, generate.Chunk{Finish: "stop"}, generate.Chunk{Usage: generate.Usage{Input: 9, Output: 5}})
	answers, err := generatetest.Stream(t.Context(), t, open(t, s), generatetest.Ask("m", "", and(everything, "stream", true)))
	if err != nil || len(answers) != 3 {
		t.Fatalf("%d answers, %v", len(answers), err)
	}
	var sum uint32
	for _, a := range answers {
		sum += a.Counts["num_output_tokens"][0]
	}
	last := answers[2]
	if sum != 5 || last.Counts["num_input_tokens"][0] != 9 || last.Text() != "" || !last.Final || last.Texts["finish_reason"][0] != "stop" {
		t.Errorf("the sum is %d, the last answer %+v", sum, last)
	}
}

func TestTheWholeAtOnce(t *testing.T) {
	s := says(nil, generate.Chunk{Text: " wor"}, generate.Chunk{Text: "ld", Finish: "stop", Usage: generate.Usage{Input: 1, Output: 2}})
	for name, c := range map[string]struct {
		in   inputs
		want string
	}{
		"with its prompt":      {inputs{"text_input": "hi"}, "hi world"},
		"asked for the prompt": {inputs{"text_input": "hi", "exclude_input_in_output": false}, "hi world"},
		"without":              {inputs{"text_input": "hi", "exclude_input_in_output": true}, " world"},
		"a conversation":       {inputs{"messages": `[{"role":"user","content":"a"}]`}, " world"},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t, s)
			streamed, err := generatetest.Stream(t.Context(), t, b, generatetest.Ask("m", "1", c.in))
			if err != nil || len(streamed) != 1 || streamed[0].Text() != c.want || !streamed[0].Final {
				t.Errorf("over a stream: %+v, %v", streamed, err)
			}
			a, err := generatetest.Infer(t.Context(), t, b, generatetest.Ask("m", "1", c.in))
			if err != nil || a.Text() != c.want || a.HasFinal || a.ID != "1" {
				t.Errorf("alone: %+v, %v", a, err)
			}
		})
	}
}

func TestUnaryIsForWhatIsNotStreamed(t *testing.T) {
	for name, c := range map[string]struct {
		in     inputs
		strict bool
	}{
		"a stream":  {inputs{"text_input": "a", "stream": true}, false},
		"as Triton": {inputs{"text_input": "a"}, true},
	} {
		_, err := generatetest.Infer(t.Context(), t, open(t, &server{}, func(o *generate.Options) { o.StrictDecoupled = c.strict }), generatetest.Ask("m", "", c.in))
		var e *access.Error
		if !errors.As(err, &e) || e.Kind != access.Unimplemented || e.Message != "ModelInfer RPC doesn't support models with decoupled transaction policy" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOutputsComeAsTheyAreAskedFor: the others only where an input asks, and those
// named alone.
func TestOutputsComeAsTheyAreAskedFor(t *testing.T) {
	for name, c := range map[string]struct {
		in    inputs
		named []string
		want  []string
	}{
		"none":         {inputs{"text_input": "a"}, nil, []string{"text_output"}},
		"one":          {inputs{"text_input": "a", "return_finish_reason": true, "return_logprobs": false}, nil, []string{"text_output", "finish_reason"}},
		"all":          {everything, nil, []string{"text_output", "finish_reason", "cumulative_logprob", "logprobs", "num_input_tokens", "num_output_tokens"}},
		"named":        {everything, []string{"num_output_tokens", "finish_reason"}, []string{"finish_reason", "num_output_tokens"}},
		"not asked":    {inputs{"text_input": "a"}, []string{"logprobs", "text_output"}, []string{"text_output"}},
		"no embedding": {inputs{"text_input": "a"}, []string{"embedding"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			req := generatetest.Ask("m", "", c.in)
			for _, n := range c.named {
				req.Outputs = append(req.Outputs, output(n)...)
			}
			resp := new(pb.ModelInferResponse)
			if err := open(t, &server{}).Invoke(t.Context(), pb.GRPCInferenceService_ModelInfer_FullMethodName, req, resp); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, o := range resp.GetOutputs() {
				got = append(got, o.GetName())
			}
			if !slices.Equal(got, c.want) || len(resp.GetRawOutputContents()) != len(got) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestAServerThatDoesNotKeepTheRules is an error of the request, after what it
// said well, and never a silent end.
func TestAServerThatDoesNotKeepTheRules(t *testing.T) {
	broke := errors.New("secret of the house")
	for name, c := range map[string]struct {
		server *server
		texts  []string
		want   string
	}{
		"no end":              {says(nil, generate.Chunk{Text: "a"}), []string{"a"}, "broke off"},
		"nothing":             {says(nil), nil, "broke off"},
		"one of two ends":     {says(nil, generate.Chunk{Text: "a", Finish: "stop"}), []string{"a"}, "broke off"},
		"a third":             {says(nil, generate.Chunk{Index: 2, Text: "a"}), nil, "cannot be read"},
		"a negative one":      {says(nil, generate.Chunk{Index: -1, Text: "a"}), nil, "cannot be read"},
		"after its end":       {says(nil, generate.Chunk{Text: "a", Finish: "stop"}, generate.Chunk{Text: "b"}), []string{"a"}, "cannot be read"},
		"an error":            {says(broke, generate.Chunk{Text: "a"}), []string{"a"}, "internal error"},
		"its own words":       {says(generate.Failure(500, "CUDA out of memory"), generate.Chunk{Text: "a"}), []string{"a"}, "CUDA out of memory"},
		"an error at the end": {says(generate.Failure(500, "late"), generate.Chunk{Text: "a", Finish: "stop"}, generate.Chunk{Index: 1, Text: "b", Finish: "stop"}), []string{"a"}, "late"},
		"a panic": {&server{GenerateFunc: func(context.Context, *generate.Request, func(generate.Chunk) error) error {
			panic("secret of the house")
		}}, nil, "internal error"},
	} {
		t.Run(name, func(t *testing.T) {
			answers, err := generatetest.Stream(t.Context(), t, open(t, c.server), generatetest.Ask("m", "7", inputs{"text_input": "x", "stream": true, "sampling_parameters": `{"n":2}`}))
			if err != nil || len(answers) != len(c.texts)+1 {
				t.Fatalf("%d answers, %v", len(answers), err)
			}
			for i, text := range c.texts {
				if answers[i].Error != "" || answers[i].Final || answers[i].Text() != text {
					t.Errorf("answer %d is %+v", i, answers[i])
				}
			}
			last := answers[len(c.texts)]
			if !strings.Contains(last.Error, c.want) || strings.Contains(last.Error, "secret") || !last.Final || last.ID != "7" {
				t.Errorf("the last answer is %+v, want %q", last, c.want)
			}
		})
	}
}

func TestATextWithoutEndIsNotGathered(t *testing.T) {
	s := &server{GenerateFunc: func(_ context.Context, _ *generate.Request, emit func(generate.Chunk) error) error {
		for {
			if err := emit(generate.Chunk{Text: strings.Repeat("x", 8<<20)}); err != nil {
				return err
			}
		}
	}}
	_, err := generatetest.Infer(t.Context(), t, open(t, s), generatetest.Ask("m", "", inputs{"text_input": "x"}))
	if err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("got %v", err)
	}
}

// TestLogprobsAreWrittenAsTritonsBackendDoes.
func TestLogprobsAreWrittenAsTritonsBackendDoes(t *testing.T) {
	tokens := []generate.TokenLogprobs{
		{{ID: 7, Token: `"a`, Value: -0.5}, {ID: 7, Token: `"a`, Value: -0.5}, {ID: -1, Token: "b\x00", Value: -0.25}},
		{{ID: -1, Token: "é", Value: -3}, {ID: -1, Token: "x", Value: -0.125}},
	}
	a, err := generatetest.Infer(t.Context(), t, open(t, says(nil, generate.Chunk{Text: "t", Finish: "stop", Logprobs: tokens})),
		generatetest.Ask("m", "", inputs{"text_input": "x", "return_logprobs": true, "sampling_parameters": `{"logprobs":1}`}))
	if err != nil {
		t.Fatal(err)
	}
	type lp = map[string]any
	want := []map[string]any{
		{"7": lp{"logprob": -0.5, "rank": 2.0, "decoded_token": `"a`}, "b\x00": lp{"logprob": -0.25, "rank": 1.0, "decoded_token": "b\x00"}},
		{"é": lp{"logprob": -3.0, "rank": nil, "decoded_token": "é"}, "x": lp{"logprob": -0.125, "rank": 1.0, "decoded_token": "x"}},
	}
	var got []map[string]any
	if err := json.Unmarshal([]byte(a.Texts["logprobs"][0]), &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %s, %v; want %v", a.Texts["logprobs"][0], err, want)
	}
}

func TestVectors(t *testing.T) {
	s := &loading{EmbedFunc: func(r *generate.EmbedRequest) (*generate.Embedding, error) {
		e := &generate.Embedding{Input: 4}
		for range max(1, len(r.Texts)) {
			e.Vectors = append(e.Vectors, []float32{0.5, float32(r.Dimensions), float32(len(r.Tokens))})
		}
		return e, nil
	}}
	embeds := func(o *generate.Options) { o.Embeds = true }
	for name, c := range map[string]struct {
		in     inputs
		change func(*generate.Options)
		floats []float32
		shape  []int64
		text   string
	}{
		"texts":           {inputs{"text_input": []string{"a", "b"}}, embeds, []float32{0.5, 0, 0, 0.5, 0, 0}, []int64{2, 3}, ""},
		"as Triton's":     {inputs{"embedding_request": `{"input":"a","pooling_params":{"dimensions":[3]}}`}, embeds, []float32{0.5, 3, 0}, []int64{1, 3}, "[0.5,3,0]"},
		"tokens":          {inputs{"embedding_request": `{"input":[1,2]}`}, func(*generate.Options) {}, []float32{0.5, 0, 2}, []int64{1, 3}, "[0.5,0,2]"},
		"counting tokens": {inputs{"embedding_request": `{"input":"a"}`, "return_num_input_tokens": true, "return_num_output_tokens": true}, embeds, []float32{0.5, 0, 0}, []int64{1, 3}, "[0.5,0,0]"},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := generatetest.Infer(t.Context(), t, open(t, s, c.change, func(o *generate.Options) { o.StrictDecoupled = o.Embeds }), generatetest.Ask("m", "1", c.in))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(a.Floats["embedding"], c.floats) || !slices.Equal(a.Shapes["embedding"], c.shape) || a.Text() != c.text {
				t.Errorf("got %+v", a)
			}
			if _, asked := c.in["return_num_input_tokens"]; asked && (a.Counts["num_input_tokens"][0] != 4 || a.Counts["num_output_tokens"][0] != 0) {
				t.Errorf("got %+v", a)
			}
		})
	}
}

func TestVectorsThatAreNotAsManyAsTheTexts(t *testing.T) {
	for name, e := range map[string]*generate.Embedding{
		"none": {}, "too few": {Vectors: [][]float32{{1}}}, "of two lengths": {Vectors: [][]float32{{1}, {1, 2}}}, "empty": {Vectors: [][]float32{{}, {}}},
		"not a number": {Vectors: [][]float32{{float32(math.NaN())}, {1}}},
	} {
		s := &loading{EmbedFunc: func(*generate.EmbedRequest) (*generate.Embedding, error) { return e, nil }}
		_, err := generatetest.Infer(t.Context(), t, open(t, s, func(o *generate.Options) { o.Embeds = true }), generatetest.Ask("m", "", inputs{"text_input": []string{"a", "b"}}))
		if err == nil || !strings.Contains(err.Error(), "cannot be read") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAnswersAreWhatProtobufWrites, but for the order of a message's fields,
// which is no difference.
func TestAnswersAreWhatProtobufWrites(t *testing.T) {
	want := &pb.ModelStreamInferResponse{InferResponse: &pb.ModelInferResponse{
		ModelName: "m", ModelVersion: "1", Id: "i",
		Parameters:        map[string]*pb.InferParameter{"triton_final_response": {ParameterChoice: &pb.InferParameter_BoolParam{BoolParam: true}}},
		Outputs:           []*pb.ModelInferResponse_InferOutputTensor{{Name: "text_output", Datatype: "BYTES", Shape: []int64{1}}},
		RawOutputContents: [][]byte{[]byte("\x04\x00\x00\x00word")},
	}}
	s, err := pb.NewGRPCInferenceServiceClient(open(t, &server{})).ModelStreamInfer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Send(generatetest.Ask("m", "i", inputs{"text_input": "a", "stream": true})), s.CloseSend()); err != nil {
		t.Fatal(err)
	}
	got, err := s.Recv()
	if err != nil || !proto.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	if _, err := s.Recv(); err == nil {
		t.Error("there is another answer")
	}
}
