package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/bench/scenario"
	"github.com/sluice-gateway/sluice/bench/target"
)

// Markdown gives the tables: the machine, the targets, the bars, and one
// table a scenario.
func (r *Run) Markdown() string {
	var b strings.Builder
	r.Machine.markdown(&b)
	fmt.Fprintf(&b, "Medians of %d interleaved rounds. ", r.Rounds)
	fmt.Fprintf(&b, "“× %s” is the median of the rounds' CPU ratios, with quartiles.\n\n", target.Pipe)
	b.WriteString("| target | on the way |\n| --- | --- |\n")
	for _, t := range r.Targets {
		fmt.Fprintf(&b, "| %s | %s |\n", t.Name, t.Text)
	}
	for _, t := range r.LeftOut {
		fmt.Fprintf(&b, "| %s | **left out**: %s |\n", t.Name, t.Text)
	}
	r.bars(&b)
	for _, s := range r.Scenarios {
		r.table(&b, s)
	}
	if errs := r.Errors(); len(errs) > 0 {
		b.WriteString("\n**Errors; the run failed:**\n\n")
		for _, e := range errs {
			fmt.Fprintf(&b, "- %s\n", strings.ReplaceAll(e, "\n", " "))
		}
	}
	return b.String()
}

func (r *Run) bars(b *strings.Builder) {
	held := r.Judge()
	if len(held) == 0 {
		return
	}
	b.WriteString("\n### Sluice against its bars\n\n| what | against | at most | measured (quartiles) | |\n| --- | --- | --- | --- | --- |\n")
	for _, h := range held {
		against, times := h.Bar.Base, " ×"
		if against == "" {
			against, times = "–", ""
			if h.Bar.Less != "" {
				against = "over " + h.Bar.Less
			}
		}
		verdict := "met"
		if !h.Met {
			verdict = "**missed**"
		}
		fmt.Fprintf(b, "| %s | %s | %s%s | %s%s (%s–%s) | %s |\n", h.Bar.What, against,
			number(h.Bar.Limit), times, number(h.Value.Median), times,
			number(h.Value.Q1), number(h.Value.Q3), verdict)
	}
}

// table writes one scenario's medians; what no target has is no column, and what
// had no turn is no row.
func (r *Run) table(b *strings.Builder, s scenario.Scenario) {
	metrics := r.measured(s)
	fmt.Fprintf(b, "\n### %s: %s\n\n| target |", s.Name, s.About)
	for _, m := range metrics {
		fmt.Fprintf(b, " %s |", m.Title)
	}
	fmt.Fprintf(b, " × %s |\n|%s\n", target.Pipe, strings.Repeat(" --- |", len(metrics)+2))
	main := mainMetric(s)
	base := r.figures(s, target.Pipe, main)
	for _, t := range r.Targets {
		if !r.took(s, t.Name) {
			continue
		}
		fmt.Fprintf(b, "| %s |", t.Name)
		for _, m := range metrics {
			fmt.Fprintf(b, " %s |", cell(NewSpread(r.figures(s, t.Name, m))))
		}
		ratio := Ratios(r.figures(s, t.Name, main), base)
		if ratio.N == 0 {
			b.WriteString(" – |\n")
			continue
		}
		fmt.Fprintf(b, " %.2f (%.2f–%.2f) |\n", ratio.Median, ratio.Q1, ratio.Q3)
	}
}

// took tells whether the target had a turn in the scenario, however it ended.
func (r *Run) took(s scenario.Scenario, target string) bool {
	return slices.ContainsFunc(r.Cells, func(c Cell) bool { return c.Scenario == s.Name && c.Target == target })
}

// mainMetric is the one that a scenario's targets are compared by.
func mainMetric(s scenario.Scenario) Metric {
	if s.Idle() {
		return KiBPerIdle
	}
	return CPU
}

func (r *Run) measured(s scenario.Scenario) []Metric {
	var out []Metric
	for _, m := range Metrics(s) {
		for _, t := range r.Targets {
			if NewSpread(r.figures(s, t.Name, m)).N > 0 {
				out = append(out, m)
				break
			}
		}
	}
	return out
}

func cell(s Spread) string {
	if s.N == 0 {
		return "–"
	}
	return number(s.Median)
}

// number shows three figures.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 100 || a == 0:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}
