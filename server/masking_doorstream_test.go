package server_test

import (
	"encoding/json"
	"io"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/gen/inference"
)

type streamed = inference.ModelStreamInferResponse

// chunks are the answers to a request, a text each, and the empty final one.
func chunks(model, id string, texts ...string) (all []*streamed) {
	for _, text := range texts {
		all = append(all, marked(&streamed{InferResponse: doorAnswer(model, id, text)}, false))
	}
	return append(all, marked(&streamed{InferResponse: &inference.ModelInferResponse{ModelName: model, Id: id}}, true))
}

// marked says of an answer whether it is the last.
func marked(m *streamed, final bool) *streamed {
	if m.GetInferResponse().Parameters == nil {
		m.InferResponse.Parameters = map[string]*inference.InferParameter{}
	}
	m.InferResponse.Parameters["triton_final_response"] = soakBool(final)
	return m
}

// everyByte cuts a text into its bytes.
func everyByte(text string) (all []string) {
	for i := range len(text) {
		all = append(all, text[i:i+1])
	}
	return all
}

// asked is a request whose input says how the server is to answer it.
func asked(model, id, input string) *inference.ModelInferRequest {
	return &inference.ModelInferRequest{
		ModelName: model, Id: id,
		Inputs:           []*inference.ModelInferRequest_InferInputTensor{{Name: "text_input", Datatype: "BYTES", Shape: []int64{1}}},
		RawInputContents: [][]byte{soakBytes([]byte(input))},
	}
}

// whenAllAsked is the server's part: it answers nothing before n requests are
// there, on however many streams.
func whenAllAsked(n int, answers func(r *inference.ModelInferRequest, input string) []*streamed) backendstest.Step {
	var seen atomic.Int32
	all := make(chan struct{})
	return backendstest.Each(func(b []byte) (out [][]byte) {
		r := new(inference.ModelInferRequest)
		_ = proto.Unmarshal(b, r)
		if seen.Add(1) == int32(n) {
			close(all)
		}
		<-all
		for _, m := range answers(r, string(r.GetRawInputContents()[0][4:])) {
			one, _ := proto.Marshal(m)
			out = append(out, one)
		}
		return out
	})
}

// streamCase is an attack on how answers are attributed and put together.
type streamCase struct {
	name     string
	requests []*inference.ModelInferRequest
	answers  func(r *inference.ModelInferRequest, input string) []*streamed
	masked   int // how many values the client sees masked
	clear    string
	code     codes.Code
}

// halves answer with the value in two parts.
func halves(r *inference.ModelInferRequest, _ string) []*streamed {
	return chunks(r.GetModelName(), r.GetId(), "to jane.doe@", "example.com, over")
}

// bytewise answers with one text, cut into its bytes.
func bytewise(text string) func(*inference.ModelInferRequest, string) []*streamed {
	return func(r *inference.ModelInferRequest, _ string) []*streamed {
		return chunks(r.GetModelName(), r.GetId(), everyByte(text)...)
	}
}

var one = []*inference.ModelInferRequest{asked("talk", "1", "")}

var streamCases = []streamCase{
	{name: "a value cut in two", requests: one, answers: halves, masked: 1},
	{name: "an id that is in flight twice", requests: []*inference.ModelInferRequest{asked("talk", "1", ""), asked("talk", "1", ""), asked("talk", "1", "")}, answers: halves, masked: 3},
	{name: "no ids", requests: []*inference.ModelInferRequest{asked("talk", "", ""), asked("talk", "", "")}, answers: halves, masked: 2},
	{
		name:     "an id that a clear model's request has too",
		requests: []*inference.ModelInferRequest{asked("clear talk", "1", ""), asked("talk", "1", "")},
		answers: func(r *inference.ModelInferRequest, input string) []*streamed {
			if r.GetModelName() == "talk" {
				return halves(r, input)
			}
			return chunks(r.GetModelName(), r.GetId(), "clear ", "text")
		},
		masked: 1, clear: "clear ",
	},
	{name: "an answer for an id that nobody has", requests: one, answers: func(r *inference.ModelInferRequest, _ string) []*streamed {
		return chunks(r.GetModelName(), "2", "to "+piiMail)
	}, code: codes.Unavailable},
	{name: "an answer after the last one", requests: one, answers: func(r *inference.ModelInferRequest, _ string) []*streamed {
		return append(chunks("talk", "1", "x"), chunks("talk", "1", "to "+piiMail)...)
	}, code: codes.Unavailable},
	{name: "a model that answers once answers twice", requests: []*inference.ModelInferRequest{asked("whole", "1", "")}, answers: halves, code: codes.Unavailable},
	{name: "a decoupled model answers once", requests: one, answers: func(*inference.ModelInferRequest, string) []*streamed {
		return []*streamed{marked(&streamed{InferResponse: doorAnswer("talk", "1", "to "+piiMail)}, true)}
	}, masked: 1},
	{name: "an answer that says another model", requests: one, answers: func(*inference.ModelInferRequest, string) []*streamed {
		return chunks("clear talk", "1", "to jane.doe@", "example.com.")
	}, masked: 1},
	{name: "raw, then typed", requests: one, answers: func(*inference.ModelInferRequest, string) []*streamed {
		all := chunks("talk", "1", "to jane.doe@", "example.com.")
		r := all[1].GetInferResponse()
		r.RawOutputContents = nil
		r.Outputs[0].Contents = &inference.InferTensorContents{BytesContents: [][]byte{[]byte("example.com.")}}
		return all
	}, masked: 1},
	{name: "a datatype that changes", requests: one, answers: func(*inference.ModelInferRequest, string) []*streamed {
		all := chunks("talk", "1", "to jane.doe@", "example.com.", "to "+piiMail)
		all[1].GetInferResponse().Outputs[0].Datatype = "bytes"
		return all
	}, clear: "MASKING_REFUSES"},
	{name: "an error in the middle", requests: one, answers: func(*inference.ModelInferRequest, string) []*streamed {
		all := chunks("talk", "1", "to jane.doe@", "example.com.")
		wrong := marked(&streamed{ErrorMessage: "a hiccup of " + piiMail, InferResponse: &inference.ModelInferResponse{Id: "1"}}, false)
		return []*streamed{all[0], wrong, all[1], all[2]}
	}, masked: 2},
	{name: "halves of characters", requests: one, answers: bytewise("“" + piiMail + "” ü"), masked: 1},
	{name: "halves of escapes", requests: one, answers: bytewise(`{"to":"jane.doe\u0040example.com"}`), masked: 1},
	{name: "invisible characters at the borders", requests: one, answers: bytewise("jane.\u200bdoe@\u200dexam\ufeffple.com"), masked: 1},
	{name: "full-width letters", requests: one, answers: bytewise("ｊａｎｅ.ｄｏｅ＠ｅｘａｍｐｌｅ.ｃｏｍ"), masked: 1},
	{name: "empty answers between", requests: one, answers: func(r *inference.ModelInferRequest, _ string) []*streamed {
		return chunks("talk", "1", "to jane.doe@", "", "", "example.com.")
	}, masked: 1},
}

func TestNoStreamGetsPastMasking(t *testing.T) {
	d := newMaskingDoors(t)
	for _, c := range streamCases {
		t.Run(c.name, func(t *testing.T) {
			d.says(nil, whenAllAsked(len(c.requests), c.answers))
			var requests [][]byte
			for _, r := range c.requests {
				requests = append(requests, encoded(t, r))
			}
			answers, err := d.sendStream(d.as("bob"), requests...)
			seen := shown(t, answers, err)
			wantMasked(t, seen)
			if status.Code(err) != c.code || !strings.Contains(seen, c.clear) {
				t.Errorf("got %q, %v", seen, err)
			}
			if n := strings.Count(onlyTexts(answers), "[EMAIL]"); n != c.masked {
				t.Errorf("%d values are masked, want %d: %q", n, c.masked, seen)
			}
		})
	}
	d.wantNoLeak(piiMail)
}

// onlyTexts are all texts and errors, in the order they came.
func onlyTexts(answers []*streamed) string {
	var b strings.Builder
	for _, m := range answers {
		b.WriteString(m.GetErrorMessage())
		for _, raw := range m.GetInferResponse().GetRawOutputContents() {
			b.Write(raw)
		}
		for _, out := range m.GetInferResponse().GetOutputs() {
			for _, text := range out.GetContents().GetBytesContents() {
				b.Write(text)
			}
		}
	}
	return b.String()
}

var eventText = regexp.MustCompile(`"text_output":("(?:[^"\\]|\\.)*")`)

// TestNoEventGetsPastMasking: …/generate_stream shows the same as a stream of gRPC's.
func TestNoEventGetsPastMasking(t *testing.T) {
	d := newMaskingDoors(t)
	for _, c := range streamCases {
		if len(c.requests) != 1 || c.requests[0].GetModelName() != "talk" {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			d.says(nil, whenAllAsked(1, func(r *inference.ModelInferRequest, input string) []*streamed {
				all := c.answers(r, input)
				for _, m := range all { // the id of a request of this door's is its own
					if m.GetInferResponse().GetId() == "1" {
						m.InferResponse.Id = r.GetId()
					}
				}
				return all
			}))
			_, body, header := d.web("bob", "POST", "/v2/models/talk/generate_stream", `{"text_input":"hi"}`)
			joined := ""
			for _, m := range eventText.FindAllStringSubmatch(body, -1) {
				var text string
				if err := json.Unmarshal([]byte(m[1]), &text); err != nil {
					t.Error(err)
				}
				joined += text
			}
			wantMasked(t, body)
			wantMasked(t, joined)
			if c.masked == 1 && !strings.Contains(body, "can't read") && !strings.Contains(joined, "[EMAIL]") {
				t.Errorf("got %q: %s %v", joined, body, header)
			}
		})
	}
}

// TestTheCallersOwnWordsComeBack: the id by which a client knows its answers is
// not masked, whatever it looks like.
func TestTheCallersOwnWordsComeBack(t *testing.T) {
	d := newMaskingDoors(t)
	d.says(nil, whenAllAsked(1, halves))
	const id = "bob@home.example/7"
	answers, err := d.sendStream(d.as("bob"), encoded(t, asked("talk", id, "")))
	if err != nil || len(answers) == 0 {
		t.Fatal(answers, err)
	}
	for _, m := range answers {
		if m.GetInferResponse().GetId() != id {
			t.Errorf("got %v", m)
		}
	}
}

// TestAReloadInMidStream: a request that is under way keeps its rules, on a
// stream whose next request has others.
func TestAReloadInMidStream(t *testing.T) {
	for _, c := range []struct{ name, before, after, first, second string }{
		{"rules go", maskingDoorRules, "", "to [EMAIL]. ", "to " + piiMail + ". "},
		{"rules come", "", maskingDoorRules, "to " + piiMail + ". ", "to [EMAIL]. "},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newMaskingDoors(t)
			d.Write("policy.yaml", rolesOfTheDemo+c.before)
			d.Reload()
			release := make(chan struct{})
			began := make(chan struct{}, 2)
			d.says(nil, backendstest.Each(func(b []byte) (out [][]byte) {
				r := new(inference.ModelInferRequest)
				_ = proto.Unmarshal(b, r)
				began <- struct{}{}
				<-release
				for _, m := range chunks("talk", r.GetId(), "to jane.doe@", "example.com. ") {
					one, _ := proto.Marshal(m)
					out = append(out, one)
				}
				return out
			}))
			stream, err := d.ModelStreamInfer(d.as("bob"))
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.Send(asked("talk", "1", "")); err != nil {
				t.Fatal(err)
			}
			<-began
			d.Write("policy.yaml", rolesOfTheDemo+c.after)
			d.Reload()
			if err := stream.Send(asked("talk", "2", "")); err != nil {
				t.Fatal(err)
			}
			<-began // on another stream: followed requests share none with others
			close(release)
			if err := stream.CloseSend(); err != nil {
				t.Fatal(err)
			}
			texts := map[string]string{}
			for {
				m, err := stream.Recv()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				for _, raw := range m.GetInferResponse().GetRawOutputContents() {
					texts[m.GetInferResponse().GetId()] += string(raw[4:])
				}
			}
			if texts["1"] != c.first || texts["2"] != c.second {
				t.Errorf("got %q, want %q and %q", texts, c.first, c.second)
			}
		})
	}
}
