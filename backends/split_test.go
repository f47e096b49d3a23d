package backends_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
)

func split(t *testing.T, routes ...backends.Route) *backends.Table {
	t.Helper()
	table, err := backends.NewTable(routes)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// TestACallerStaysOnOneSide: and the sides get about what their weights say, of
// each model other callers.
func TestACallerStaysOnOneSide(t *testing.T) {
	stable := backends.Route{Backend: &backend{name: "stable"}, Patterns: []string{"m-*"}, Weight: 90}
	canary := backends.Route{Backend: &backend{name: "canary"}, Patterns: []string{"m-*"}, Weight: 10}
	table, again := split(t, stable, canary), split(t, stable, canary)
	const callers = 10000
	both := 0
	atCanary := map[string]int{}
	for i := range callers {
		who := fmt.Sprintf("https://issuer#caller-%d", i)
		canaries := 0
		for _, model := range []string{"m-1", "m-2"} {
			b, refused := table.Find(model, who)
			if refused != nil {
				t.Fatal(refused)
			}
			if same, _ := again.Find(model, who); same.Name() != b.Name() {
				t.Fatalf("%s is at %s and at %s", who, b.Name(), same.Name())
			}
			if b.Name() == "canary" {
				atCanary[model]++
				canaries++
			}
		}
		if canaries == 2 {
			both++
		}
	}
	for model, n := range atCanary {
		if math.Abs(float64(n)/callers-0.1) > 0.01 {
			t.Errorf("%d of %d callers of %s are at the canary", n, callers, model)
		}
	}
	if both > 200 {
		t.Errorf("%d callers are at the canary for both models: models are not divided by themselves", both)
	}
}

func TestAChangeIsMadeOnEverySide(t *testing.T) {
	table := split(t,
		backends.Route{Backend: &backend{name: "a"}, Patterns: []string{"m", "only"}, Weight: 1},
		backends.Route{Backend: &backend{name: "b"}, Patterns: []string{"m"}, Weight: 1},
	)
	for model, want := range map[string]int{"m": 2, "only": 1} {
		if all, refused := table.FindAll(model); refused != nil || len(all) != want {
			t.Errorf("%s is at %d: %v", model, len(all), refused)
		}
	}
	if _, refused := table.FindAll("other"); refused == nil || refused.Kind != access.NotFound {
		t.Errorf("got %v", refused)
	}
}

func TestWeightsAreOfAll(t *testing.T) {
	for _, weights := range [][2]int{{1, 0}, {0, 1}, {0, 0}} {
		_, err := backends.NewTable([]backends.Route{
			{Backend: &backend{name: "a"}, Patterns: []string{"m"}, Weight: weights[0]},
			{Backend: &backend{name: "b"}, Patterns: []string{"m"}, Weight: weights[1]},
		})
		if err == nil {
			t.Errorf("weights %v pass", weights)
		}
	}
}

// TestAServersOwnNameIsNobodys: rules are written about the public one, and a
// second way in would be past them.
func TestAServersOwnNameIsNobodys(t *testing.T) {
	table := split(t,
		backends.Route{Backend: &backend{name: "llm"}, Patterns: []string{"*"}, Rename: map[string]string{"chat": "llama", "a": "b", "b": "a"}},
	)
	for model, want := range map[string]bool{"chat": true, "llama": false, "a": true, "b": true, "other": true} {
		_, refused := table.Find(model, "")
		if (refused == nil) != want {
			t.Errorf("%s: %v", model, refused)
		}
		if _, refused := table.FindAll(model); (refused == nil) != want {
			t.Errorf("all of %s: %v", model, refused)
		}
	}
}
