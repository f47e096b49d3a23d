package telemetry_test

import (
	"slices"
	"testing"

	"github.com/sluice-gateway/sluice/access"
)

// TestGuardsAreCounted: each guard that had something to say, by what it did.
func TestGuardsAreCounted(t *testing.T) {
	r := newRig()
	for _, did := range []string{access.GuardDenied, access.GuardDenied, access.GuardWouldHold} {
		r.unary("/inference.GRPCInferenceService/ModelInfer", func(c *access.Call) error {
			c.OnGuard(access.GuardOutcome{Guard: "g", Did: did})
			return nil
		})
	}
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]float64{}
	for _, f := range families {
		if f.GetName() != "sluice_guards_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName(), l.GetValue())
			}
			if !slices.Equal(labels[:3], []string{"guard", "g", "outcome"}) {
				t.Errorf("labels are %q", labels)
			}
			counts[labels[3]] = m.GetCounter().GetValue()
		}
	}
	if len(counts) != 2 || counts[access.GuardDenied] != 2 || counts[access.GuardWouldHold] != 1 {
		t.Errorf("counted %v", counts)
	}
}
