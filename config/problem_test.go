package config_test

import (
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/config"
)

func TestProblemPrints(t *testing.T) {
	tests := map[string]struct {
		problem config.Problem
		want    string
	}{
		"all of it":  {config.Problem{File: "sluice.yaml", Line: 12, Column: 5, Path: "backends[1].type", Message: "is missing"}, "sluice.yaml:12:5: backends[1].type: is missing"},
		"whole file": {config.Problem{File: "/etc/sluice.yaml", Message: "cannot be read"}, "/etc/sluice.yaml: cannot be read"},
		"no path":    {config.Problem{File: "a", Line: 3, Column: 1, Message: "is not YAML"}, "a:3:1: is not YAML"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tt.problem.String(); got != tt.want {
				t.Errorf("prints %q, want %q", got, tt.want)
			}
		})
	}
}

func TestProblemsAsError(t *testing.T) {
	if err := (config.Problems{}).Err(); err != nil {
		t.Errorf("no problems are the error %v", err)
	}
	two := config.Problems{{File: "a", Message: "x"}, {File: "b", Message: "y"}}
	if err := two.Err(); err == nil || err.Error() != "a: x\nb: y" {
		t.Errorf("two problems are the error %v", err)
	}
}

// A part reports paths relative to itself; the prefix says where it stands.
func TestPlacePrefixes(t *testing.T) {
	const text = "inner:\n  name: a\nlist:\n  - name: b\n"
	var into sample
	at, _ := config.Decode("f.yaml", []byte(text), &into)
	tests := map[string]struct{ prefix, path, want string }{
		"root":               {"", "inner.name", "f.yaml:2:3: inner.name: x"},
		"root itself":        {"", "", "f.yaml:1:1: x"},
		"part":               {"inner", "name", "f.yaml:2:3: inner.name: x"},
		"part itself":        {"inner", "", "f.yaml:1:1: inner: x"},
		"item":               {"list[0]", "name", "f.yaml:4:5: list[0].name: x"},
		"list":               {"list", "[0].name", "f.yaml:4:5: list[0].name: x"},
		"what is not there":  {"list[0]", "wait", "f.yaml:4:5: list[0].wait: x"},
		"part not there":     {"pointer", "name", "f.yaml:1:1: pointer.name: x"},
		"item not there":     {"list", "[7].name", "f.yaml:3:1: list[7].name: x"},
		"brackets in a name": {"map", "a[b].c", "f.yaml:1:1: map.a[b].c: x"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			placed := at.Place(tt.prefix, []access.Problem{{Path: tt.path, Message: "x"}})
			if placed.String() != tt.want {
				t.Errorf("placed %s, want %s", placed, tt.want)
			}
		})
	}
}

// What a part says of a value is left out where the value, what it stands in,
// or a key of it could not be decoded.
func TestPlaceKnowsWhatIsSpoilt(t *testing.T) {
	tests := map[string]struct {
		text, path string
		left       bool
	}{
		"value":            {"inner: { name: 5 }", "inner.name", true},
		"below the value":  {"inner: 5", "inner.name", true},
		"above the value":  {"inner: { name: 5 }", "inner", true},
		"above a typo":     {"inner: { nmae: a }", "inner", true},
		"meant by a typo":  {"inner: { nmae: a }", "inner.name", true},
		"beside the value": {"inner: { name: 5 }", "inner.wait", false},
		"beside it all":    {"inner: { name: 5 }", "list", false},
		"in another item":  {"list: [ { name: 5 }, {} ]", "list[1].name", false},
		"two levels above": {"map: { a: { name: 5 } }", "map", false},
		"root is wrong":    {"[]", "inner.name", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var into sample
			at, problems := config.Decode("f.yaml", []byte(tt.text), &into)
			if len(problems) != 1 {
				t.Fatalf("problems %s", problems)
			}
			placed := at.Place("", []access.Problem{{Path: tt.path, Message: "x"}})
			if (len(placed) == 0) != tt.left {
				t.Errorf("placed %q", placed)
			}
		})
	}
}

// Nothing in a file can make the text of a problem long.
func TestProblemsStayShort(t *testing.T) {
	long := strings.Repeat("x", 1<<16)
	for _, text := range []string{"text: !" + long + " a", "? " + long + "\n: a", "flag: " + long, "size: " + long} {
		var into sample
		_, problems := config.Decode("f.yaml", []byte(text), &into)
		if len(problems) != 1 || len(problems.String()) > 300 {
			t.Errorf("%.20s: %d problems of %d bytes: %.300s", text, len(problems), len(problems.String()), problems)
		}
	}
}
