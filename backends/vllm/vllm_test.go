package vllm_test

import (
	"testing"

	"github.com/sluice-gateway/sluice/backends/generate/generatetest"
)

const model = "tiny/llama"

func TestAStream(t *testing.T) {
	b := startDouble(t).backend(t)
	answers, err := generatetest.Stream(t.Context(), t, b, generatetest.Ask(model, "7", map[string]any{
		"text_input": "Say it", "stream": true, "sampling_parameters": `{"max_tokens":"8"}`,
		"return_finish_reason": true, "return_num_input_tokens": true, "return_num_output_tokens": true,
	}))
	if err != nil || len(answers) != len(words) {
		t.Fatalf("%d answers, %v", len(answers), err)
	}
	for i, a := range answers {
		last := i == len(words)-1
		reason := map[bool]string{false: "None", true: "stop"}[last]
		if a.Error != "" || a.ID != "7" || a.Model != model || a.Version != "1" || a.Text() != words[i] || !a.HasFinal || a.Final != last ||
			a.Texts["finish_reason"][0] != reason || a.Counts["num_input_tokens"][0] != 7 || a.Counts["num_output_tokens"][0] != 1 {
			t.Errorf("answer %d is %+v", i, a)
		}
	}
}
