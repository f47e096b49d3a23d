package report

import (
	"fmt"
	"html"
	"strings"

	"github.com/sluice-gateway/sluice/bench/scenario"
	"github.com/sluice-gateway/sluice/bench/target"
)

// Sizes of the plot in pixels.
const (
	plotWidth   = 860
	labelWidth  = 170
	valueWidth  = 120
	barHeight   = 16
	barGap      = 6
	panelGap    = 30
	titleHeight = 26
	margin      = 16
)

// SVG draws a panel of bars for each scenario: the medians of CPU per call or
// token, or memory per waiting stream, with a line from quartile to quartile.
func (r *Run) SVG() string {
	var b strings.Builder
	y := margin
	for _, s := range r.Scenarios {
		y = r.panel(&b, s, y)
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">
<rect width="100%%" height="100%%" fill="#fff"/>
%s</svg>
`, plotWidth, y, plotWidth, y, b.String())
}

type bar struct {
	name  string
	value Spread
}

// panel draws one scenario at y and gives the next panel's place.
func (r *Run) panel(b *strings.Builder, s scenario.Scenario, y int) int {
	m := mainMetric(s)
	var bars []bar
	longest := 0.0
	for _, t := range r.Targets {
		if v := NewSpread(r.figures(s, t.Name, m)); v.N > 0 {
			bars = append(bars, bar{t.Name, v})
			longest = max(longest, v.Q3)
		}
	}
	if len(bars) == 0 || longest <= 0 {
		return y
	}
	fmt.Fprintf(b, `<text x="%d" y="%d" font-weight="bold">%s</text>`+"\n", margin, y+12,
		html.EscapeString(s.Name+": "+mainTitle(s)+" ("+s.About+")"))
	y += titleHeight
	scale := float64(plotWidth-labelWidth-valueWidth-margin) / longest
	for _, one := range bars {
		drawBar(b, one, y, scale)
		y += barHeight + barGap
	}
	return y + panelGap
}

func mainTitle(s scenario.Scenario) string {
	switch {
	case s.Idle():
		return "KiB per stream"
	case s.Tokens():
		return "CPU µs per token"
	default:
		return "CPU µs per call"
	}
}

func drawBar(b *strings.Builder, one bar, y int, scale float64) {
	colour := "#b8c4ce"
	switch one.name {
	case target.Sluice:
		colour = "#0b7a75"
	case target.Pipe:
		colour = "#7a8b99"
	}
	width := max(one.value.Median, 0) * scale
	middle := y + barHeight/2
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">%s</text>`, labelWidth-8, y+12, html.EscapeString(one.name))
	fmt.Fprintf(b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`, labelWidth, y, width, barHeight, colour)
	fmt.Fprintf(b, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#222"/>`,
		labelWidth+max(one.value.Q1, 0)*scale, labelWidth+max(one.value.Q3, 0)*scale, middle, middle)
	fmt.Fprintf(b, `<text x="%.1f" y="%d">%s</text>`+"\n",
		labelWidth+max(width, one.value.Q3*scale)+6, y+12, number(one.value.Median))
}
