package report

import (
	"math"
	"slices"

	"github.com/sluice-gateway/sluice/bench/scenario"
	"github.com/sluice-gateway/sluice/bench/target"
)

var nan = math.NaN()

// Bar is a promise: the target's figure is at most Limit times the base's, or, if
// there is no base, at most Limit.
type Bar struct {
	What     string
	Scenario string
	Metric   Metric
	Of       string // the target
	Base     string
	Limit    float64
	// Less names a target whose figure is taken off both first, as that of the
	// direct path: what is left is what the other one adds.
	Less string
}

// Bars gives the promises that this benchmark can check.
func Bars() []Bar {
	return slices.Concat(proxyBars(), doorBars(), recordBars())
}

// proxyBars compare Sluice with what else may stand in its place.
func proxyBars() []Bar {
	const us = target.Sluice
	return []Bar{
		{"CPU per small infer, 16 callers", scenario.Small16, CPU, us, target.Pipe, 1.0, ""},
		{"CPU per small infer, 16 callers", scenario.Small16, CPU, us, target.EnvoyJWT, 0.9, ""},
		{"CPU per small infer, 16 callers", scenario.Small16, CPU, us, target.EnvoyExtProc, 0.25, ""},
		{"CPU per small infer, 16 callers", scenario.Small16, CPU, us, target.EnvoyBoth, 0.25, ""},
		{"CPU per 1 MiB infer", scenario.MiB1, CPU, us, target.EnvoyExtProc, 0.35, ""},
		{"CPU per 1 MiB infer", scenario.MiB1, CPU, us, target.EnvoyBoth, 0.35, ""},
		{"CPU per paced token", scenario.Paced, CPU, us, target.EnvoyExtProc, 0.5, ""},
		{"CPU per paced token", scenario.Paced, CPU, us, target.EnvoyBoth, 0.5, ""},
		{"p50 added to a small infer, 1 caller", scenario.Small1, P50, us, target.Pipe, 1.15, target.Direct},
		{"CPU per 16 MiB infer", scenario.MiB16, CPU, us, target.Pipe, 1.1, ""},
		{"peak RSS less idle, 16 MiB infers", scenario.MiB16, PeakMiB, us, target.Pipe, 1.2, ""},
		{"CPU per token, as fast as they go", scenario.Tokens, CPU, us, target.Pipe, 1.25, ""},
		{"CPU per paced token", scenario.Paced, CPU, us, target.Pipe, 1.25, ""},
		{"KiB held per waiting stream", scenario.Idle, KiBPerIdle, us, "", 40, ""},
	}
}

// oneCopyMiB is a copy of one tensor for each caller of 16 MiB infers.
const oneCopyMiB = 2 * scenario.MaxOutput / bytesPerMiB

// doorBars compare Sluice's other doors, and other servers behind it, with gRPC
// before a Triton.
func doorBars() []Bar {
	const rest, vllm, tgi = target.SluiceREST, target.SluiceVLLM, target.SluiceTGI
	return []Bar{
		{"REST: CPU per small infer in JSON, 16 callers", scenario.Small16, CPU, rest, target.Sluice, 2, ""},
		{"REST: CPU per 16 MiB infer in binary", scenario.MiB16, CPU, rest, target.Sluice, 1.3, ""},
		{"REST: peak MiB over gRPC's, 16 MiB infers, 2 callers", scenario.MiB16, PeakMiB, rest, "", oneCopyMiB, target.Sluice},
		{"REST: CPU per token, as fast as they go", scenario.Tokens, CPU, rest, target.Sluice, 1.5, ""},
		{"REST: CPU per paced token", scenario.Paced, CPU, rest, target.Sluice, 1.5, ""},
		{"vLLM: p50 µs added to the first token", scenario.First, P50, vllm, "", 2000, target.VLLM},
		{"vLLM: CPU per token, as fast as they go", scenario.Tokens, CPU, vllm, target.Sluice, 1.5, ""},
		{"vLLM: CPU per paced token", scenario.Paced, CPU, vllm, target.Sluice, 1.5, ""},
		{"TGI: p50 µs added to the first token", scenario.First, P50, tgi, "", 2000, target.VLLM},
		{"TGI: CPU per token, as fast as they go", scenario.Tokens, CPU, tgi, target.Sluice, 1.5, ""},
		{"TGI: CPU per paced token", scenario.Paced, CPU, tgi, target.Sluice, 1.5, ""},
	}
}

// recordBars compare Sluice that records, guards and holds with one that does not.
func recordBars() []Bar {
	const audit, said, guard, off = target.SluiceAudit, target.SluicePayloads, target.SluiceGuard, target.Sluice
	return []Bar{
		{"recorded: CPU µs added to a small infer, 16 callers", scenario.Small16, CPU, audit, "", 20, off},
		{"recorded: CPU µs added to a small infer, 1 caller", scenario.Small1, CPU, audit, "", 20, off},
		{"recorded: CPU per small infer, 16 callers", scenario.Small16, CPU, audit, target.Pipe, 1, ""},
		{"recorded: CPU per 16 MiB infer", scenario.MiB16, CPU, audit, target.Pipe, 1.1, ""},
		{"recorded: CPU per token, as fast as they go", scenario.Tokens, CPU, audit, target.Pipe, 1.25, ""},
		{"recorded: CPU per paced token", scenario.Paced, CPU, audit, target.Pipe, 1.25, ""},
		// Not of paced tokens: their requests are longer than the measured time, and
		// payloads are masked when a request ends.
		{"payloads: CPU µs added to a token, as fast as they go", scenario.Tokens, CPU, said, "", 2, audit},
		{"payloads: CPU µs added to a token that is a word of its own", scenario.Unique, CPU, said, "", 2, audit},
		{"guard on parameters: CPU µs added to a small infer, 16 callers", scenario.Small16, CPU, guard, "", 5, off},
		{"guard on parameters: CPU µs added to a small infer, 1 caller", scenario.Small1, CPU, guard, "", 5, off},
		{"guard on other models: CPU per small infer, 16 callers", scenario.Small16, CPU, target.SluiceUnguard, off, 1.05, ""},
		{"guard on other models: CPU per token, as fast as they go", scenario.Tokens, CPU, target.SluiceUnguard, off, 1.05, ""},
		{"KiB of a held call", scenario.Held, KiBPerIdle, target.SluiceHold, "", 64, ""},
		{"ms from an approval to the last of 1000 answers", scenario.Held, ReleasedMs, target.SluiceHold, "", 2000, ""},
	}
}

// Held is how a bar came out.
type Held struct {
	Bar   Bar
	Value Spread
	Met   bool
}

// Judge compares the run with the bars. A bar whose scenario or targets were
// not measured is left out.
func (r *Run) Judge() []Held {
	var out []Held
	for _, b := range Bars() {
		s, ok := r.scenario(b.Scenario)
		if !ok {
			continue
		}
		ours, base := r.figures(s, b.Of, b.Metric), r.figures(s, b.Base, b.Metric)
		if b.Less != "" {
			without := r.figures(s, b.Less, b.Metric)
			ours, base = less(ours, without), less(base, without)
		}
		v := NewSpread(ours)
		if b.Base != "" {
			v = Ratios(ours, base)
		}
		if v.N > 0 {
			out = append(out, Held{Bar: b, Value: v, Met: v.Median <= b.Limit})
		}
	}
	return out
}

// less gives a[i]-b[i].
func less(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i] - b[i]
	}
	return out
}
