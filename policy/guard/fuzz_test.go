package guard_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/policy/guard"
	"github.com/sluice-gateway/sluice/wire"
)

// FuzzGuardRequest: whatever bytes a request is, guards answer without a panic,
// the same each time, in the message as it came and as it goes on; and what
// protobuf reads as the word that is denied is denied.
func FuzzGuardRequest(f *testing.F) {
	for _, m := range []*pb.ModelInferRequest{
		of("text_input", hidden), of("text_input", "x", "sampling_parameters", `{"max_tokens": 5}`), typed("text_input", hidden, "b"),
		param("max_tokens", number(101)), param("max_tokens", double(1)), declared(of("text_input", "x"), text("base64")),
		with(of("text_input", hidden), func(m *pb.ModelInferRequest) { m.Inputs = append(m.Inputs, shared(tensor("x", "FP32", 1, 2))) }),
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(append(b, b...)) // everything twice
	}
	p := compile(f, `guards: [
		{name: text, verbs: [infer], when: "text('text_input').contains('forbidden-word')", deny: no},
		{name: list, verbs: [infer], deny_list: {text: {tensors: [text_input], patterns: [forbidden-word]}, parameters: {names: ["lora*"], values: [evil]}, max_tokens: 100, max_batch: 5, max_bytes: 1MiB}, observe: true, deny: no},
		{name: inputs, verbs: [infer], observe: true, when: "inputs.exists(i, i.bytes > 10 && size(i.shape) > 1) || batch > 3 || 'o' in outputs || has(parameters.x) || json('sampling_parameters').max_tokens > 1", deny: no}]`)
	f.Fuzz(func(t *testing.T, b []byte) {
		m := wire.FromBytes(b)
		defer m.Free()
		view, err := m.InferRequest()
		if err != nil {
			return
		}
		ask := func(view wire.InferRequest) guard.Verdict {
			return p.For(access.Infer, "m").Decide(&guard.Request{Verb: access.Infer, Model: "m", Infer: &view})
		}
		first := ask(view)
		canonical, err := view.Canonical()
		if err != nil {
			t.Fatal(err)
		}
		defer canonical.Free()
		again, err := canonical.InferRequest()
		if err != nil {
			t.Fatal(err)
		}
		if second := ask(again); (first.Refused == nil) != (second.Refused == nil) || strings.Join(first.WouldHave, " ") != strings.Join(second.WouldHave, " ") {
			t.Errorf("as it came: %v %v; as it goes on: %v %v", first.Refused, first.WouldHave, second.Refused, second.WouldHave)
		}
		var read pb.ModelInferRequest
		if err := proto.Unmarshal(b, &read); err != nil {
			t.Fatal(err)
		}
		if first.Refused == nil && holds(&read) {
			t.Errorf("the word is let through: %v", &read)
		}
	})
}

// holds tells whether protobuf reads the word that is denied.
func holds(m *pb.ModelInferRequest) bool {
	for i, in := range m.GetInputs() {
		if in.GetName() != "text_input" {
			continue
		}
		for _, e := range in.GetContents().GetBytesContents() {
			if strings.Contains(string(e), hidden) {
				return true
			}
		}
		if len(m.GetRawInputContents()) == len(m.GetInputs()) && strings.Contains(string(m.GetRawInputContents()[i]), hidden) {
			return true
		}
	}
	return false
}

// FuzzGuardLoad: a configuration out of which protobuf reads a backend is never let
// through by a list that denies backends.
func FuzzGuardLoad(f *testing.F) {
	for _, text := range []string{
		`{"backend":"python"}`, `{"\u0062ackend":"x"}`, `{"maxBatchSize":1,"max_batch_size":2}`, `{"parameters":{"a":{"string_value":"b"}}}`,
		`{"backend":"", "backend":"python"}`, `[]`, `{"input":[{"name":"a","dims":["1"]}]} x`, "\ufeff{\"backend\":\"x\"}",
	} {
		f.Add(text)
	}
	p := compile(f, `guards: [
		{name: keys, verbs: [load], deny_list: {override: [backend]}, deny: no},
		{name: config, verbs: [load], observe: true, when: "override.config.backend != ''", deny: no}]`)
	f.Fuzz(func(t *testing.T, text string) {
		v := p.For(access.LoadOverride, "m").Decide(&guard.Request{Verb: access.LoadOverride, Model: "m", Control: load("config", text)})
		if text == "" || v.Refused != nil {
			return
		}
		if len(v.WouldHave) > 0 && v.Outcomes[0].Did == access.GuardWouldDeny {
			t.Errorf("the condition sees a backend that the list does not: %q", text)
		}
		lenient := new(pb.ModelConfig)
		if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal([]byte(text), lenient); err == nil && lenient.GetBackend() != "" {
			t.Errorf("a backend is let through: %q", text)
		}
	})
}
