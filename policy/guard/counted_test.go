package guard

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// TestOnlyWhatCanCostTooMuchIsCounted: the estimate that spares the counting says
// nothing of what a request can make larger.
func TestOnlyWhatCanCostTooMuchIsCounted(t *testing.T) {
	for when, counted := range map[string]bool{
		`true`: false,
		`has(parameters.max_tokens) && parameters.max_tokens > 100`: false,
		`model == "gpu" && principal.kind != "user"`:                false,
		`size > 1000 || batch > 8`:                                  false,
		`principal.groups.exists(g, g == "a")`:                      true,
		`"a" in metadata`:                                           true,
		`inputs.all(i, i.bytes < 10)`:                               true,
		`text("text_input").contains("x")`:                          true,
		`parameters.a == parameters.b`:                              true,
		`model.matches("^a+$")`:                                     true,
		`json("x").all(k, k != "a")`:                                true,
	} {
		e, err := compileExpression(when)
		if err != nil {
			t.Errorf("%s: %v", when, err)
			continue
		}
		if e.counted != counted {
			t.Errorf("%s: counted %v", when, e.counted)
		}
	}
}

// TestWhatIsNotCountedAnswersTheSame: the limit is all that hangs on counting.
func TestWhatIsNotCountedAnswersTheSame(t *testing.T) {
	m, err := wire.FromProto(&inference.ModelInferRequest{ModelName: "m"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Free)
	view, err := m.InferRequest()
	if err != nil {
		t.Fatal(err)
	}
	for when, want := range map[string]string{
		`has(parameters.max_tokens)`: "false",
		`parameters.max_tokens > 1`:  "no such key",
		`model == "m"`:               "true",
	} {
		e, err := compileExpression(when)
		if err != nil {
			t.Fatal(err)
		}
		out, _, err := e.program.Eval(newReading(&Request{Model: "m", Infer: &view}))
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = fmt.Sprint(out.Value())
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, %v", when, got, err)
		}
	}
}
