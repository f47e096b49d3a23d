package guard_test

import (
	"testing"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/policy/guard"
	"github.com/sluice-gateway/sluice/wire"
)

// BenchmarkDecide is what one guard costs a request, beside a model that no guard
// is about.
func BenchmarkDecide(b *testing.B) {
	for name, c := range map[string]string{
		"unguarded":   "",
		"always":      `{name: g, verbs: [infer], observe: true, deny: x}`,
		"parameters":  `{name: g, verbs: [infer], when: "has(parameters.max_tokens) && parameters.max_tokens > 100", deny: x}`,
		"text 1 KiB":  `{name: g, verbs: [infer], when: "text('text_input').contains('never there')", deny: x}`,
		"list 1 KiB":  `{name: g, verbs: [infer], deny_list: {text: {patterns: ["(?i)never there"]}}, deny: x}`,
		"max_tokens":  `{name: g, verbs: [infer], deny_list: {max_tokens: 100}, deny: x}`,
		"other model": `{name: g, verbs: [infer], models: [other], when: "size(text('text_input')) > 10", deny: x}`,
	} {
		b.Run(name, func(b *testing.B) {
			e := guard.NewEngine(compile(b, "guards: ["+c+"]"))
			m := request(b, &inference.ModelInferRequest{
				ModelName:  "m",
				Parameters: map[string]*inference.InferParameter{"max_tokens": number(50), "temperature": number(1)},
				Inputs:     []*inference.ModelInferRequest_InferInputTensor{{Name: "text_input", Datatype: "BYTES", Shape: []int64{1}}},
				RawInputContents: [][]byte{
					element(string(make([]byte, 1<<10))),
				},
			})
			view, err := m.InferRequest()
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				set := e.For(access.Infer, "m")
				if set == nil {
					continue
				}
				if v := set.Decide(&guard.Request{Verb: access.Infer, Model: "m", Infer: &view}); v.Refused != nil {
					b.Fatal(v.Refused)
				}
			}
		})
	}
}

func request(t testing.TB, m *inference.ModelInferRequest) *wire.Message {
	t.Helper()
	message, err := wire.FromProto(m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(message.Free)
	return message
}

func number(n int64) *inference.InferParameter {
	return &inference.InferParameter{ParameterChoice: &inference.InferParameter_Int64Param{Int64Param: n}}
}
