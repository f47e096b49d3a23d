package report

import (
	"encoding/json"

	"github.com/sluice-gateway/sluice/bench/load"
	"github.com/sluice-gateway/sluice/bench/target"
)

// JSON gives all of the run: spreads per scenario and target, the bars, and
// each round's result as it was measured.
func (r *Run) JSON() ([]byte, error) {
	doc := document{
		Machine: r.Machine, Rounds: r.Rounds, Targets: r.Targets, LeftOut: r.LeftOut,
		Errors: r.Errors(), Cells: r.Cells,
	}
	for _, h := range r.Judge() {
		doc.Bars = append(doc.Bars, barJSON{
			What: h.Bar.What, Scenario: h.Bar.Scenario, Metric: h.Bar.Metric.Key,
			Target: h.Bar.Of, Base: h.Bar.Base, Less: h.Bar.Less,
			Limit: h.Bar.Limit, Value: h.Value, Met: h.Met,
		})
	}
	for _, s := range r.Scenarios {
		out := scenarioJSON{Name: s.Name, About: s.About, Spec: s.Spec, Targets: map[string]targetJSON{}}
		main := mainMetric(s)
		base := r.figures(s, target.Pipe, main)
		for _, t := range r.Targets {
			tj := targetJSON{Metrics: map[string]Spread{}, Ratio: Ratios(r.figures(s, t.Name, main), base)}
			for _, m := range Metrics(s) {
				if v := NewSpread(r.figures(s, t.Name, m)); v.N > 0 {
					tj.Metrics[m.Key] = v
				}
			}
			out.Targets[t.Name] = tj
		}
		doc.Scenarios = append(doc.Scenarios, out)
	}
	return json.MarshalIndent(doc, "", " ")
}

type document struct {
	Machine   Machine        `json:"machine"`
	Rounds    int            `json:"rounds"`
	Targets   []About        `json:"targets"`
	LeftOut   []About        `json:"left_out,omitempty"`
	Errors    []string       `json:"errors,omitempty"`
	Bars      []barJSON      `json:"bars"`
	Scenarios []scenarioJSON `json:"scenarios"`
	Cells     []Cell         `json:"cells"`
}

type barJSON struct {
	What     string  `json:"what"`
	Scenario string  `json:"scenario"`
	Metric   string  `json:"metric"`
	Target   string  `json:"target"`
	Base     string  `json:"against,omitempty"`
	Less     string  `json:"less,omitempty"`
	Limit    float64 `json:"at_most"`
	Value    Spread  `json:"measured"`
	Met      bool    `json:"met"`
}

type scenarioJSON struct {
	Name    string                `json:"name"`
	About   string                `json:"about"`
	Spec    load.Spec             `json:"spec"`
	Targets map[string]targetJSON `json:"targets"`
}

type targetJSON struct {
	Metrics map[string]Spread `json:"metrics"`
	// Ratio is the main metric's (CPU per unit, or memory per waiting stream)
	// to the Go pipe's.
	Ratio Spread `json:"ratio_to_go_pipe"`
}
