// Package report turns what the load generator measured into the tables, the
// JSON and the plot of the benchmark. Every comparison is the median of
// ratios within one round, with quartiles.
package report

import (
	"github.com/sluice-gateway/sluice/bench/load"
	"github.com/sluice-gateway/sluice/bench/scenario"
)

// Run is all that one run of the benchmark measured.
type Run struct {
	Machine Machine
	// Targets and LeftOut describe the targets by name, in their order.
	Targets []About
	LeftOut []About
	Cells   []Cell
	// Scenarios in their order; Rounds of each.
	Scenarios []scenario.Scenario
	Rounds    int
}

// About is a target, and what it does or why it was left out.
type About struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// Cell is one measurement: a target in a scenario in a round.
type Cell struct {
	Scenario string      `json:"scenario"`
	Target   string      `json:"target"`
	Round    int         `json:"round"`
	Result   load.Result `json:"result"`
	// Failed says why there is no result.
	Failed string `json:"failed,omitempty"`
}

// Errors gives what went wrong, a line for each cell.
func (r *Run) Errors() []string {
	var out []string
	for _, c := range r.Cells {
		switch {
		case c.Failed != "":
			out = append(out, where(c)+c.Failed)
		case c.Result.Errors > 0:
			out = append(out, where(c)+c.Result.FirstError)
		}
	}
	return out
}

func where(c Cell) string { return c.Scenario + ", " + c.Target + ": " }

// figures gives a metric of one target in one scenario, one value a round; a
// round that failed, or had errors, is not a number.
func (r *Run) figures(s scenario.Scenario, target string, m Metric) []float64 {
	out := make([]float64, r.Rounds)
	for i := range out {
		out[i] = nan
	}
	for _, c := range r.Cells {
		if c.Scenario == s.Name && c.Target == target && c.Failed == "" && c.Result.Errors == 0 {
			out[c.Round] = m.Get(NewFigures(s, c.Result))
		}
	}
	return out
}

func (r *Run) scenario(name string) (scenario.Scenario, bool) {
	for _, s := range r.Scenarios {
		if s.Name == name {
			return s, true
		}
	}
	return scenario.Scenario{}, false
}
