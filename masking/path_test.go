package masking_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/masking"
)

// TestPaths parses JSON paths and masks what is at them in one text.
func TestPaths(t *testing.T) {
	const in = `{"a":{"b":["x@y.org",{"c":"x@y.org"}],"größe":"x@y.org","":"x@y.org"},"0":"x@y.org","a b":"x@y.org","it's":"x@y.org"}`
	tests := []struct {
		path string
		want int // how many are masked; -1: it is no path
	}{
		{"$", 7},
		{"$.a", 4},
		{"$.a.b", 2},
		{"$.a.b[0]", 1},
		{"$.a.b[1].c", 1},
		{"$.a.b[*]", 2},
		{"$.a.b[*].c", 1},
		{"$.*.b", 2},
		{"$[*][*]", 4},
		{"$['a']['b'][1]['c']", 1},
		{`$["a b"]`, 1},
		{`$["it's"]`, -1}, // quotes in names are not understood
		{"$.größe", 0},
		{"$.a.größe", 1},
		{"$['0']", 1},
		{"$['']", 0},
		{"$.a['']", 1},
		{"$[0]", 0}, // an object has no index
		{"$.a.b['0']", 0},
		{"$.a.b[2]", 0},
		{"", -1},
		{"a", -1},
		{"$a", -1},
		{"$.", -1},
		{"$..b", -1},
		{"$.0", -1},
		{"$.a b", -1},
		{"$.a-b", -1},
		{"$[", -1},
		{"$[]", -1},
		{"$[-1]", -1},
		{"$[+1]", -1},
		{"$[1:2]", -1},
		{"$[1,2]", -1},
		{"$['a'", -1},
		{"$['a\\'b']", -1},
		{"$[?@.a]", -1},
		{"$[99999999999999999999]", -1},
		{"$.a ", -1},
		{" $.a", -1},
	}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			d := masking.Document{Masking: []masking.Rule{asJSON(func(r *masking.Rule) { r.JSONPath = masking.Paths{tt.path} })}}
			p, problems := masking.Compile([]masking.File{{Document: d}}, masking.Options{})
			if len(problems) > 0 {
				if tt.want >= 0 || problems[0].Path != "masking[0].json_path[0]" {
					t.Errorf("got %v", problems)
				}
				return
			}
			got := wholeText(t, nil, in, p.Plan(nil, "m"))
			if n := strings.Count(got, "[EMAIL]"); n != tt.want {
				t.Errorf("%d masked, want %d: %s", n, tt.want, got)
			}
		})
	}
}

// TestNumbersAsJSONHasThem asks of any word whether what follows it is still read
// as JSON: a card's number becomes a string then.
func TestNumbersAsJSONHasThem(t *testing.T) {
	python := []string{"NaN", "Infinity", "-Infinity"}
	words := slices.Concat(python, []string{
		"0", "-0", "1", "10", "01", "-", "--1", "1.", ".1", "1.0", "1.0.0", "1e", "1e5", "1E+5", "1e-05", "1e+", "1e5.5",
		"+1", "0x1", "1_000", "true", "tru", "truee", "TRUE", "null", "nul", "false", "None", "nan", "-Infinit", "١",
	})
	rules := []masking.Rule{asJSON(nil)}
	for _, word := range words {
		got := wholeText(t, rules, "["+word+" ,4111111111111111]")
		want := "[" + word + " ,[CARD]]"
		if json.Valid([]byte(word)) || slices.Contains(python, word) {
			want = "[" + word + ` ,"[CARD]"]`
		}
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
