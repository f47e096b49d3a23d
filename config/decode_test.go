package config_test

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/config"
)

type words []string

// UnmarshalText lets one word stand for a list of one.
func (w *words) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errors.New("must not be empty")
	}
	*w = words{string(text)}
	return nil
}

type inner struct {
	Name  string        `yaml:"name"`
	Wait  time.Duration `yaml:"wait"`
	Count int8          `yaml:"count"`
}

func (i *inner) SetDefaults() { i.Count = 7 }

type shared struct {
	Common string `yaml:"common"`
}

type sample struct {
	shared `yaml:",inline"`

	Inline  Embedded         `yaml:",inline"`
	Text    string           `yaml:"text"`
	Flag    bool             `yaml:"flag"`
	Number  uint32           `yaml:"number"`
	Ratio   float64          `yaml:"ratio"`
	Size    access.Size      `yaml:"size"`
	Nets    []netip.Prefix   `yaml:"nets"`
	List    []inner          `yaml:"list"`
	Map     map[string]inner `yaml:"map"`
	Pointer *inner           `yaml:"pointer"`
	Inner   inner            `yaml:"inner"`
	Words   words            `yaml:"words"`
	Any     any              `yaml:"any"`
	Secret  access.Secret    `yaml:"secret"`
	Hidden  string           `yaml:"-"`
	Unnamed string
}

// Embedded is exported so that the decoder sees it.
type Embedded struct {
	Embedded string `yaml:"embedded"`
}

func TestDecode(t *testing.T) {
	const text = `
text: hello
flag: true
number: 0x10
ratio: 2
size: 8GiB
nets: [10.1.2.3/8, 192.168.0.1, "2001:db8::/32"]
list:
  - &one { name: a, wait: 1d12h }
  - name: b
    count: -3
  - *one
map: { "x.y": { name: c }, z: { count: 1 } }
pointer: { wait: 90d }
words: lone
embedded: e
any: { a: [1, 2.5, yes, null, true], b: { c: d } }
`
	var got sample
	_, problems := config.Decode("f.yaml", []byte(text), &got)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	want := sample{
		Inline: Embedded{"e"}, Text: "hello", Flag: true, Number: 16, Ratio: 2, Size: 8 << 30,
		Nets: []netip.Prefix{
			netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.168.0.1/32"), netip.MustParsePrefix("2001:db8::/32"),
		},
		List:    []inner{{"a", 36 * time.Hour, 7}, {"b", 0, -3}, {"a", 36 * time.Hour, 7}},
		Map:     map[string]inner{"x.y": {"c", 0, 7}, "z": {"", 0, 1}},
		Pointer: &inner{"", 90 * 24 * time.Hour, 7}, Inner: inner{Count: 7}, Words: words{"lone"},
		Any: map[string]any{"a": []any{1, 2.5, "yes", nil, true}, "b": map[string]any{"c": "d"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %#v\nwant %#v", got, want)
	}
}

func TestDecodeProblems(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"empty":              {"", "f.yaml:1:1: is empty"},
		"only comments":      {"# nothing\n", "f.yaml:1:1: is empty"},
		"null":               {"~\n", "f.yaml:1:1: is empty"},
		"not YAML":           {"text: a\nflag: [\n", "f.yaml:2:1: is not YAML: did not find expected node content"},
		"not UTF-8":          {"text: \xff\n", "f.yaml:1:1: is not YAML"},
		"tab":                {"inner:\n\tname: a\n", "is not YAML: found character that cannot start any token"},
		"two documents":      {"text: a\n---\ntext: b\n", "f.yaml:2:1: holds more than one document (---); write one"},
		"second is broken":   {"text: a\n---\n[\n", "is not YAML"},
		"unknown anchor":     {"text: a\nflag: *nope\n", "f.yaml:2:7: is not YAML: unknown anchor 'nope' referenced"},
		"root is a list":     {"- a\n", "f.yaml:1:1: must be a mapping of keys to values, not a list"},
		"unknown key":        {"texxt: a\n", `f.yaml:1:1: texxt: unknown key (did you mean "text"?)`},
		"nothing near":       {"elephant: a\n", "f.yaml:1:1: elephant: unknown key"},
		"wrong case":         {"Text: a\n", `f.yaml:1:1: Text: unknown key (did you mean "text"?)`},
		"not from the file":  {"Unnamed: a\n", "f.yaml:1:1: Unnamed: unknown key"},
		"unexported inline":  {"common: a\n", "f.yaml:1:1: common: unknown key"},
		"hidden":             {"Hidden: a\n", "f.yaml:1:1: Hidden: unknown key"},
		"unknown below":      {"list:\n  - name: a\n    cuont: 3\n", `f.yaml:3:5: list[0].cuont: unknown key (did you mean "count"?)`},
		"key twice":          {"text: a\nflag: true\ntext: b\n", "f.yaml:3:1: text: is there twice, first on line 1"},
		"key twice in any":   {"any: { a: 1, a: 2 }\n", "f.yaml:1:14: any.a: is there twice, first on line 1"},
		"key is a number":    {"map: { 12: { name: a } }\n", `f.yaml:1:8: map: key "12" must be a string; quote it`},
		"key is a list":      {"map:\n  ? [a]\n  : { name: a }\n", "f.yaml:2:5: map: a key must be a plain word, not a list"},
		"merge":              {"inner: &i { name: a }\npointer:\n  <<: *i\n", "f.yaml:3:3: pointer: merge keys (<<) are not supported; write the values out"},
		"custom tag":         {"text: !env HOME\n", `f.yaml:1:1: text: tags such as "!env" are not supported`},
		"binary":             {"text: !!binary aGk=\n", `tags such as "!!binary" are not supported`},
		"no value":           {"text:\n", "f.yaml:1:1: text: has no value; give it one or take the key out"},
		"no item":            {"list:\n  -\n", "f.yaml:2:4: list[0]: has no value"},
		"number for text":    {"text: 12\n", "f.yaml:1:1: text: must be a string, not a number (quote it where it is text)"},
		"bool for text":      {"text: true\n", "must be a string, not true or false (quote it where it is text)"},
		"list for text":      {"text: [a]\n", "must be a string, not a list"},
		"text for list":      {"list: a\n", "f.yaml:1:1: list: must be a list, not text; write [ … ]"},
		"text for mapping":   {"inner: a\n", "f.yaml:1:1: inner: must be a mapping of keys to values, not text"},
		"yes for bool":       {"flag: yes\n", "flag: must be true or false, not text"},
		"text for number":    {"number: many\n", "number: must be a whole number, not text"},
		"fraction":           {"number: 1.5\n", "number: must be a whole number, not a number"},
		"negative unsigned":  {"number: -1\n", "number: is out of range"},
		"too large":          {"inner: { count: 128 }\n", "f.yaml:1:10: inner.count: is out of range"},
		"not finite":         {"ratio: .nan\n", "ratio: must be a finite number"},
		"duration, no unit":  {"inner: { wait: 30 }\n", "inner.wait: must be a duration such as 30s, 1h30m or 90d"},
		"duration, negative": {"inner: { wait: -1s }\n", "inner.wait: must not be negative"},
		"duration, too long": {"inner: { wait: 999999999d }\n", "inner.wait: is longer than a duration can be"},
		"duration, sum":      {"inner: { wait: 106751d24h }\n", "inner.wait: is longer than a duration can be"},
		"duration, days":     {"inner: { wait: 1.5d }\n", "inner.wait: must be a duration"},
		"size":               {"size: lots\n", "f.yaml:1:1: size: must be a size such as 64MiB or 8GiB"},
		"size too large":     {"size: 9000000TiB\n", "size: is too large for a size"},
		"network":            {"nets: [10.0.0.0/33]\n", "f.yaml:1:8: nets[0]: must be a network such as 10.0.0.0/8 or an address"},
		"own unmarshaller":   {"words: \"\"\n", "f.yaml:1:1: words: must not be empty"},
		"list of own":        {"words: [a, 2]\n", "f.yaml:1:12: words[1]: must be a string"},
		"alias in itself":    {"any: &a\n  b: *a\n", `any.b.b: alias "a" refers to what it stands in`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var into sample
			_, problems := config.Decode("f.yaml", []byte(tt.text), &into)
			if len(problems) != 1 || !strings.Contains(problems.String(), tt.want) {
				t.Errorf("got problems\n%s\nwant one with %q", problems, tt.want)
			}
		})
	}
}

// A secret that was written where it does not belong must not come back in a
// problem, which goes to logs.
func TestDecodeRepeatsNoValue(t *testing.T) {
	for _, text := range []string{"secret: hunter2", "number: hunter2", "flag: hunter2", "size: hunter2", "inner: { wait: hunter2 }", "inner: hunter2", "nets: [hunter2]"} {
		var into sample
		_, problems := config.Decode("f.yaml", []byte(text), &into)
		if len(problems) != 1 || strings.Contains(problems.String(), "hunter2") {
			t.Errorf("%s: %s", text, problems)
		}
	}
}

func TestDecodeReportsAllAtOnce(t *testing.T) {
	const text = `number: x
txt: a
list:
  - { name: 1, wait: 2 }
  - 3
any: { a: 1, a: 2 }
flag: nope
`
	want := []string{"1:1: number", "2:1: txt", "4:7: list[0].name", "4:16: list[0].wait", "5:5: list[1]", "6:14: any.a", "7:1: flag"}
	var into sample
	_, problems := config.Decode("f.yaml", []byte(text), &into)
	if len(problems) != len(want) {
		t.Fatalf("got %d problems, want %d:\n%s", len(problems), len(want), problems)
	}
	for i, p := range problems {
		if !strings.HasPrefix(p.String(), "f.yaml:"+want[i]+":") {
			t.Errorf("problem %d is %s, want %s", i, p, want[i])
		}
	}
}

func TestDecodeBounds(t *testing.T) {
	var bomb strings.Builder
	bomb.WriteString("any:\n  a: &a [x, x, x, x, x, x, x, x, x, x]\n")
	for c := 'b'; c <= 'k'; c++ {
		fmt.Fprintf(&bomb, "  %c: &%c [", c, c)
		bomb.WriteString(strings.Repeat(fmt.Sprintf("*%c, ", c-1), 10) + "]\n")
	}
	tests := map[string]struct{ text, want string }{
		"aliases":    {bomb.String(), "holds more than 500000 values"},
		"depth":      {"any: " + strings.Repeat("[", 200) + strings.Repeat("]", 200), "is nested too deeply"},
		"more depth": {"any: " + strings.Repeat("[", 20000), "exceeded max depth"},
		"file":       {"text: " + strings.Repeat("a", 9<<20), "is longer than 8 MiB"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var into sample
			_, problems := config.Decode("f.yaml", []byte(tt.text), &into)
			if len(problems) != 1 || !strings.Contains(problems.String(), tt.want) {
				t.Errorf("got %.300s, want %q", problems, tt.want)
			}
		})
	}
}

func TestPositions(t *testing.T) {
	const text = `text: a
list:
  - name: a
    count: 1
  - { name: b }
map:
  x.y: { name: c }
`
	var into sample
	at, problems := config.Decode("f.yaml", []byte(text), &into)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct{ line, column int }{
		"":                {1, 1},
		"text":            {1, 1},
		"list[0]":         {3, 5},
		"list[0].count":   {4, 5},
		"list[1].count":   {5, 5}, // nearest ancestor
		"list[1].a[3].b":  {5, 5},
		"list[2]":         {2, 1},
		"map.x.y":         {7, 3},
		"map.x.y.name":    {7, 10},
		"map.x.z":         {6, 1},
		"nothing.like[0]": {1, 1},
	}
	for path, want := range tests {
		if line, column := at.Locate(path); line != want.line || column != want.column {
			t.Errorf("%q is at %d:%d, want %d:%d", path, line, column, want.line, want.column)
		}
	}
}

// What a part says about a value that could not be decoded is a consequence of
// it and is left out.
func TestPlaceLeavesConsequencesOut(t *testing.T) {
	const text = "list:\n  - { nmae: a }\n  - { name: 12 }\n  - 5\n  - { name: c }\n"
	var into sample
	at, _ := config.Decode("f.yaml", []byte(text), &into)
	var said []access.Problem
	for i := range 4 {
		said = append(said, access.Problem{Path: fmt.Sprintf("[%d].name", i), Message: "is missing"})
	}
	placed := at.Place("list", said)
	if len(placed) != 1 || placed[0].String() != "f.yaml:5:7: list[3].name: is missing" {
		t.Errorf("got %s", placed)
	}
}
