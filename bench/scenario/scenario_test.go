package scenario_test

import (
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/bench/load"
	"github.com/sluice-gateway/sluice/bench/scenario"
)

func TestAll(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range scenario.All(time.Second, 2*time.Second) {
		t.Run(s.Name, func(t *testing.T) {
			if seen[s.Name] || s.About == "" {
				t.Error("names are not unique, or it says nothing")
			}
			seen[s.Name] = true
			spec := s.Spec
			if spec.Warmup != time.Second || spec.Duration < 2*time.Second {
				t.Errorf("warm-up %v, duration %v", spec.Warmup, spec.Duration)
			}
			if spec.Ask.Model != scenario.Model || spec.Ask.Output > scenario.MaxOutput || spec.Ask.Input%4 != 0 {
				t.Errorf("asks %+v", spec.Ask)
			}
			if spec.Callers%spec.Conns != 0 {
				t.Errorf("%d callers do not share %d connections evenly", spec.Callers, spec.Conns)
			}
			if got := s.Tokens() || spec.Mode == load.Idle || spec.Mode == load.First; got != (spec.Ask.Tokens > 0) {
				t.Errorf("%d tokens in mode %s", spec.Ask.Tokens, spec.Mode)
			}
			if open := spec.Mode == load.Open; open != (spec.Rate > 0) {
				t.Errorf("rate %v in mode %s", spec.Rate, spec.Mode)
			}
		})
	}
}

// What is compared with Triton's own client: as many bytes go as come.
func TestTensorsGoBothWays(t *testing.T) {
	want := map[string]int{scenario.Small16: 128, scenario.MiB1: 1 << 20, scenario.MiB16: 16 << 20}
	for _, s := range scenario.All(0, 1) {
		if n, ok := want[s.Name]; ok && (s.Spec.Ask.Input != n || s.Spec.Ask.Output != n) {
			t.Errorf("%s: %d bytes there, %d back", s.Name, s.Spec.Ask.Input, s.Spec.Ask.Output)
		}
	}
}
