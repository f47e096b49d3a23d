package config_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
)

func TestDurations(t *testing.T) {
	const day = 24 * time.Hour
	tests := map[string]time.Duration{
		"30s": 30 * time.Second, "1h30m": 90 * time.Minute, "90d": 90 * day, "1d12h": 36 * time.Hour, "0s": 0, "0d": 0,
		"250ms": 250 * time.Millisecond, "1.5h": 90 * time.Minute, "106751d": 106751 * day, `"7d"`: 7 * day,
	}
	for text, want := range tests {
		t.Run(text, func(t *testing.T) {
			var into inner
			_, problems := config.Decode("f.yaml", []byte("wait: "+text), &into)
			if len(problems) > 0 || into.Wait != want {
				t.Errorf("got %v, %s", into.Wait, problems)
			}
		})
	}
	for _, text := range []string{"30", "d", "1dd", "1d1d", "-1d", "+1d", "1h1d", "1.5d", "1 d", `""`, "1d -1h", "forever", "[1s]", "106752d"} {
		var into inner
		if _, problems := config.Decode("f.yaml", []byte("wait: "+text), &into); len(problems) != 1 {
			t.Errorf("%q is %v, problems %q", text, into.Wait, problems)
		}
	}
}

// What YAML takes for text is text, in all of its ways to write it.
func TestStrings(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"plain":        {"text: a b", "a b"},
		"quoted":       {`text: "12"`, "12"},
		"single":       {"text: '*'", "*"},
		"escaped":      {`text: "\u00e9\n"`, "é\n"},
		"folded":       {"text: >-\n  a\n  b\n", "a b"},
		"literal":      {"text: |\n  a\n  b\n", "a\nb\n"},
		"date":         {"text: 2026-01-02", "2026-01-02"},
		"yes":          {"text: yes", "yes"},
		"off":          {"text: off", "off"},
		"version":      {"text: 1.2.3", "1.2.3"},
		"address":      {`text: ":8001"`, ":8001"},
		"tagged":       {"text: !!str 12", "12"},
		"with comment": {"text: a # b", "a"},
		"CRLF":         {"text: a\r\nflag: true\r\n", "a"},
		"byte order":   {"\ufefftext: a", "a"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var into sample
			_, problems := config.Decode("f.yaml", []byte(tt.text), &into)
			if len(problems) > 0 || into.Text != tt.want {
				t.Errorf("got %q, %s", into.Text, problems)
			}
		})
	}
}

type outer struct {
	Plain   inner            `yaml:"plain"`
	Other   withOwn          `yaml:"other"`
	Pointer *inner           `yaml:"pointer"`
	List    []inner          `yaml:"list"`
	Map     map[string]inner `yaml:"map"`
	Lists   [][]inner        `yaml:"lists"`
	Preset  []string         `yaml:"preset"`
}

func (o *outer) SetDefaults() { o.Preset = []string{"a", "b"} }

// withOwn knows better than what it holds.
type withOwn struct {
	Inner inner `yaml:"inner"`
}

func (w *withOwn) SetDefaults() { w.Inner.Count = 9 }

func TestDefaultsReachEverywhere(t *testing.T) {
	preset := []string{"a", "b"}
	seven := inner{Count: 7}
	nine := withOwn{Inner: inner{Count: 9}}
	tests := map[string]struct {
		text string
		want outer
	}{
		"nothing written": {"plain: {}", outer{Plain: seven, Other: nine, Preset: preset}},
		"pointer":         {"pointer: {}", outer{Plain: seven, Other: nine, Preset: preset, Pointer: &seven}},
		"list":            {"list: [ {}, { count: 1 } ]", outer{Plain: seven, Other: nine, Preset: preset, List: []inner{seven, {Count: 1}}}},
		"map":             {"map: { a: {} }", outer{Plain: seven, Other: nine, Preset: preset, Map: map[string]inner{"a": seven}}},
		"list of lists":   {"lists: [[{}], []]", outer{Plain: seven, Other: nine, Preset: preset, Lists: [][]inner{{seven}, {}}}},
		"written over":    {"preset: [c]\nother: { inner: { count: 0 } }", outer{Plain: seven, Preset: []string{"c"}}},
		"emptied":         {"preset: []", outer{Plain: seven, Other: nine, Preset: []string{}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got outer
			_, problems := config.Decode("f.yaml", []byte(tt.text), &got)
			if len(problems) > 0 || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, want %+v; %s", got, tt.want, problems)
			}
		})
	}
}
