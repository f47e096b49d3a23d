package masking_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/masking"
)

// seeds are values that must not get through, nor six bytes of one in a row.
var seeds = []string{"jane.doe@example.com", "4111 1111 1111 1111", "536-90-4399", "bob_smith@mail.example.org", "5500-0000-0000-0004"}

// fillers hold no six bytes of a seed.
var fillers = []string{"", " ", "the quick brown fox ", "größe, ", "\n", "* ", "a \u200b b ", `\"quoted\" `, "(no. 7) "}

// leaks finds six bytes of a seed in a row.
func leaks(text string) string {
	for _, seed := range seeds {
		for i := range len(seed) - 5 {
			if strings.Contains(text, seed[i:i+6]) {
				return seed[i : i+6]
			}
		}
	}
	return ""
}

// seeded makes a text of seeds between fillers.
func seeded(r *rand.Rand) string {
	var b strings.Builder
	for range 1 + r.IntN(6) {
		b.WriteString(fillers[r.IntN(len(fillers))])
		b.WriteString(" " + seeds[r.IntN(len(seeds))] + " ")
		b.WriteString(fillers[r.IntN(len(fillers))])
	}
	return b.String()
}

// TestNoPieceLeaks streams seeds in every mode, format and layout, cut at
// random, and looks at each answer by itself and at all together.
func TestNoPieceLeaks(t *testing.T) {
	checkBuffers(t)
	for _, format := range []masking.Format{masking.Text, masking.JSON} {
		for _, mode := range []masking.Mode{masking.Delta, masking.Cumulative} {
			rules := []masking.Rule{redacts(func(r *masking.Rule) { r.Format, r.Mode = format, mode })}
			p := plan(t, rules...)
			for seed := range uint64(250) {
				r := rand.New(rand.NewPCG(seed, 11))
				text := seeded(r)
				if format == masking.JSON && r.IntN(3) > 0 {
					text = `{"a": ["` + strings.ReplaceAll(strings.ReplaceAll(text, `\"`, "'"), "\n", `\n`) + `", 4111111111111111]}`
				}
				noPiece(t, p, mode, r, text, wholeText(t, rules, text))
			}
		}
	}
}

func noPiece(t *testing.T, p *masking.Plan, mode masking.Mode, r *rand.Rand, text, want string) {
	t.Helper()
	so, how := "", layout(r.IntN(2) == 0)
	var answers []*pb.ModelStreamInferResponse
	for _, chunk := range chunks(r, text) {
		if so += chunk; mode == masking.Cumulative {
			chunk = so
		}
		answers = append(answers, answer(false, output(&pb.ModelInferResponse{}, how, "out", "", chunk)))
	}
	got, refused := sent(t, p.Answers(other), true, answers...)
	if refused != nil {
		t.Fatal(refused)
	}
	all := ""
	for _, a := range got {
		one := elementsOf(t, a.GetInferResponse(), 0)[1]
		if all += one; mode == masking.Cumulative {
			all = one
		}
		if piece := leaks(all); piece != "" {
			t.Fatalf("%q got through in %q of %q", piece, all, text)
		}
	}
	if all != want {
		t.Fatalf("got  %q\nwant %q", all, want)
	}
}

// FuzzStream holds any text, cut anywhere, to the masked whole, in both formats.
func FuzzStream(f *testing.F) {
	for _, text := range texts {
		f.Add(text, uint64(1))
	}
	for _, seed := range seeds {
		f.Add(`{"a":["`+seed+`",1],"`+seed+`":4111111111111111}`, uint64(2))
	}
	var plans [2]*masking.Plan
	var rules [2][]masking.Rule
	for i, format := range []masking.Format{masking.Text, masking.JSON} {
		rules[i] = []masking.Rule{redacts(func(r *masking.Rule) {
			r.Format, r.Entities = format, append(entities("JWT", "PRIVATE_KEY", "PHONE", "IBAN"), r.Entities...)
		})}
		plans[i] = plan(f, rules[i]...)
	}
	f.Fuzz(func(t *testing.T, text string, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 13))
		for _, p := range plans {
			var answers []*pb.ModelStreamInferResponse
			for _, chunk := range chunks(r, text) {
				answers = append(answers, answer(false, output(&pb.ModelInferResponse{}, raw, "text_output", chunk)))
			}
			got, refused := sent(t, p.Answers(decoupled), true, answers...)
			if refused != nil {
				t.Fatal(refused)
			}
			if out, want := joined(t, got, "text_output", 1)[0], wholeText(t, nil, text, p); out != want {
				t.Fatalf("got  %q\nwant %q", out, want)
			}
		}
	})
}

// FuzzJSON holds what is JSON to stay so, and to be masked string by string.
func FuzzJSON(f *testing.F) {
	f.Add(`{"a":["jane.doe@example.com",4111111111111111,null,1.5e3]}`)
	f.Add(`"\ud835\udfd2111 1111 1111 1111"`)
	f.Add(`[[[{"\u0061":"\\u0040"}]]]`)
	p := plan(f, asJSON(nil))
	f.Fuzz(func(t *testing.T, text string) { checkJSON(t, p, text) })
}
