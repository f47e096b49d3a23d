package masking_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/masking"
)

func asJSON(change func(r *masking.Rule)) masking.Rule {
	return redacts(func(r *masking.Rule) {
		r.Format = masking.JSON
		if change != nil {
			change(r)
		}
	})
}

func TestJSON(t *testing.T) {
	path := func(paths ...string) func(r *masking.Rule) {
		return func(r *masking.Rule) { r.JSONPath = paths }
	}
	tests := []struct {
		name     string
		rule     func(r *masking.Rule)
		in, want string
	}{
		{"string", nil, `{"to": "jane.doe@example.com"}`, `{"to": "[EMAIL]"}`},
		{"clean, as it was written", nil, ` { "a" : [ 1.50 , true, null, "\u0041\n" ] } `, ` { "a" : [ 1.50 , true, null, "\u0041\n" ] } `},
		{"string at the root", nil, `"jane.doe@example.com"`, `"[EMAIL]"`},
		{"part of a string, through escapes", nil, `["a\tb: jane\u0040example.com\n!"]`, `["a\tb: [EMAIL]\n!"]`},
		{"escaped by a pair", nil, `["\ud835\udfd2111 1111 1111 1111 \ud83d\ude00"]`, `["[CARD] \ud83d\ude00"]`},
		{"escaped twice", nil, `["{\"to\":\"jane\\u0040example.com\"}"]`, `["{\"to\":\"[EMAIL]\"}"]`},
		{"escaped slash", nil, `["x \/ jane@example.com \/ y"]`, `["x \/ [EMAIL] \/ y"]`},
		{"line ends are no part", nil, `["to:\njane@example.com\r\n"]`, `["to:\n[EMAIL]\r\n"]`},
		{"key", nil, `{"jane.doe@example.com": 1, "b": 2}`, `{"[EMAIL]": 1, "b": 2}`},
		{"number", nil, `{"n": 4111111111111111, "m": 12}`, `{"n": "[CARD]", "m": 12}`},
		{"number at the root", nil, `4111111111111111`, `"[CARD]"`},
		{"number before a blank and the end", nil, "[4111111111111111 \n]", "[\"[CARD]\" \n]"},
		{"replacement is escaped", func(r *masking.Rule) { text := "\"\\\n"; r.Action = masking.Action{Replace: &text} }, `["a@b.org"]`, `["\"\\\u000a"]`},
		{"matches do not cross strings", nil, `["4111 1111", "1111 1111"]`, `["4111 1111", "1111 1111"]`},
		{"several texts", nil, "{\"a\":\"a@b.org\"}\n{\"a\":\"a@b.org\"}\n", "{\"a\":\"[EMAIL]\"}\n{\"a\":\"[EMAIL]\"}\n"},
		{"drop", func(r *masking.Rule) { r.Action = action("drop") }, `["a@b.org", 4111111111111111]`, `["", ""]`},

		{"prose", nil, `Mail jane.doe@example.com.`, `Mail [EMAIL].`},
		{"prose that begins as a number", nil, `4111 1111 1111 1111 is it`, `[CARD] is it`},
		{"prose in an array", nil, `[4111 1111 1111 1111]`, `[[CARD]]`},
		{"prose that begins as a word", nil, `true@example.com`, `[EMAIL]`},
		{"prose behind a text", nil, `{"a":1} and jane.doe@example.com`, `{"a":1} and [EMAIL]`},
		{"no JSON escape", nil, `["jane\q", "a@b.org"]`, `["jane\q", "[EMAIL]"]`},
		{"match across a broken escape", nil, `["4111 1111 1111\u00 1111"]`, `["4111 1111 1111\u00 1111"]`},
		{"match before a control byte", nil, "[\"a@b.org\x01\"]", "[\"[EMAIL]\x01\"]"},
		{"broken off in a string", nil, `{"a": "jane.doe@example.com`, `{"a": "[EMAIL]`},
		{"broken off in a number", nil, `{"a": 4111111111111111`, `{"a": "[CARD]"`},
		{"broken off in an escape", nil, `{"a": "a@b.org \u00`, `{"a": "[EMAIL] \u00`},
		{"wrong number", nil, `[04111111111111111]`, `[04111111111111111]`},
		{"half of a pair", nil, `["\ud835 a@b.org"]`, `["\ud835 [EMAIL]"]`},
		{"wrong bracket", nil, `{"a": 1] "a@b.org"`, `{"a": 1] "[EMAIL]"`},
		{"two commas", nil, `[1,, "a@b.org"]`, `[1,, "[EMAIL]"]`},
		{"long number", nil, `[` + strings.Repeat("1", 300) + `, "a@b.org"]`, `[` + strings.Repeat("1", 300) + `, "[EMAIL]"]`},

		{"at a path", path("$.m[*].c"), `{"m":[{"c":"a@b.org","d":"a@b.org"},{"c":["a@b.org"]}],"c":"a@b.org"}`, `{"m":[{"c":"[EMAIL]","d":"a@b.org"},{"c":["[EMAIL]"]}],"c":"a@b.org"}`},
		{"at an index", path("$[1]"), `["a@b.org","a@b.org",[["a@b.org"]]]`, `["a@b.org","[EMAIL]",[["a@b.org"]]]`},
		{"at two paths", path("$.a", "$['b c']"), `{"a":"a@b.org","b c":{"a@b.org":"a@b.org"},"c":"a@b.org"}`, `{"a":"[EMAIL]","b c":{"[EMAIL]":"[EMAIL]"},"c":"a@b.org"}`},
		{"at the root", path("$"), `{"a@b.org":"a@b.org"}`, `{"[EMAIL]":"[EMAIL]"}`},
		{"the key of a path is none of it", path("$.*"), `{"a@b.org":"a@b.org"}`, `{"a@b.org":"[EMAIL]"}`},
		{"key escaped", path("$.a"), `{"\u0061":"a@b.org"}`, `{"\u0061":"[EMAIL]"}`},
		{"path of a text that is none", path("$.a"), `{"b":"a@b.org"} and c@d.org`, `{"b":"a@b.org"} and [EMAIL]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checkBuffers(t)
			rules := []masking.Rule{asJSON(tt.rule)}
			if got := wholeText(t, rules, tt.in); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			everyCut(t, plan(t, rules...), tt.in, tt.want)
		})
	}
}

// everyCut streams a text in two chunks, cut everywhere, and byte by byte.
func everyCut(t *testing.T, p *masking.Plan, in, want string) {
	t.Helper()
	cuts := [][]string{strings.Split(in, "")}
	for i := range len(in) + 1 {
		cuts = append(cuts, []string{in[:i], in[i:]})
	}
	for _, cut := range cuts {
		var answers []*pb.ModelStreamInferResponse
		for i, chunk := range cut {
			answers = append(answers, answer(i == len(cut)-1, output(&pb.ModelInferResponse{}, raw, "text_output", chunk)))
		}
		got, refused := sent(t, p.Answers(decoupled), false, answers...)
		if refused != nil {
			t.Fatal(refused)
		}
		if out := joined(t, got, "text_output", 1)[0]; out != want {
			t.Fatalf("cut into %q:\ngot  %s\nwant %s", cut, out, want)
		}
	}
}

func TestJSONNesting(t *testing.T) {
	checkBuffers(t)
	for depth, clean := range map[int]bool{500: true, 2000: false} {
		open, end := strings.Repeat("[", depth), strings.Repeat("]", depth)
		in := open + `"jane.doe@example.com",4111111111111111` + end
		got := wholeText(t, []masking.Rule{asJSON(nil)}, in)
		want := open + `"[EMAIL]","[CARD]"` + end
		if !clean { // too deep to be read as JSON, masked all the same
			want = open + `"[EMAIL]",[CARD]` + end
		}
		if got != want {
			t.Errorf("depth %d: got …%s…", depth, strings.Trim(got, "[]"))
		}
	}
}

// words that values are made of, and what stands in them.
var words = []string{"", "clean", "jane.doe@example.com", "4111 1111 1111 1111", "x 536-90-4399 y", "größe", "\u2028\"\\/\b\x7f", "\u200bjane@example.com"}

// document makes a JSON value.
func document(r *rand.Rand, depth int) any {
	switch r.IntN(7 - min(depth, 3)) {
	default:
		return words[r.IntN(len(words))]
	case 1:
		return json.Number([]string{"0", "-1.5e10", "4111111111111111", "4111111111111112", "536904399"}[r.IntN(5)])
	case 2:
		return []any{true, false, nil}[r.IntN(3)]
	case 3, 4:
		m := map[string]any{}
		for i := range r.IntN(4) { // keys that stay apart when they are masked
			m[words[r.IntN(len(words))]+" #"+strconv.Itoa(i)] = document(r, depth+1)
		}
		return m
	case 5, 6:
		list := []any{}
		for range r.IntN(4) {
			list = append(list, document(r, depth+1))
		}
		return list
	}
}

// written is a value as a text: with blanks, and characters escaped at will.
func written(r *rand.Rand, v any) string {
	blank := []string{"", " ", "\n\t"}[r.IntN(3)]
	switch v := v.(type) {
	case string:
		s := `"`
		for _, c := range v {
			switch {
			case r.IntN(8) == 0 && c < 0x10000:
				s += fmt.Sprintf(`\u%04x`, c)
			case c == '"' || c == '\\':
				s += `\` + string(c)
			case c < ' ':
				s += fmt.Sprintf(`\u%04X`, c)
			default:
				s += string(c)
			}
		}
		return blank + s + `"`
	case []any:
		var list []string
		for _, e := range v {
			list = append(list, written(r, e))
		}
		return blank + "[" + strings.Join(list, ",") + blank + "]"
	case map[string]any:
		var list []string
		for _, key := range slices.Sorted(maps.Keys(v)) {
			list = append(list, written(r, key)+blank+":"+written(r, v[key]))
		}
		return "{" + strings.Join(list, ","+blank) + "}"
	}
	b, _ := json.Marshal(v)
	return string(b)
}

// maskedValue is a value whose strings and numbers are masked one by one.
func maskedValue(t testing.TB, v any) any {
	rules := []masking.Rule{redacts(nil)}
	switch v := v.(type) {
	case string:
		return wholeText(t, rules, v)
	case json.Number:
		if s := wholeText(t, rules, v.String()); s != v.String() {
			return s
		}
		return v
	case []any:
		list := []any{}
		for _, e := range v {
			list = append(list, maskedValue(t, e))
		}
		return list
	case map[string]any:
		m := map[string]any{}
		for key, e := range v {
			m[wholeText(t, rules, key)] = maskedValue(t, e)
		}
		return m
	}
	return v
}

func TestJSONIsMaskedValueByValue(t *testing.T) {
	checkBuffers(t)
	p := plan(t, asJSON(nil))
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 3))
		text := written(r, document(r, 0))
		if got := checkJSON(t, p, text); seed < 40 {
			everyCut(t, p, text, got)
		}
	}
}

// checkJSON masks a text and, where it is JSON and small, holds the outcome to
// what masking each of its values makes of it.
func checkJSON(t *testing.T, p *masking.Plan, text string) string {
	t.Helper()
	got := wholeText(t, nil, text, p)
	if !json.Valid([]byte(text)) || strings.Count(text, "[")+strings.Count(text, "{") > 500 || len(text) > 2000 || longNumber.MatchString(text) {
		return got
	}
	if !json.Valid([]byte(got)) {
		t.Fatalf("no JSON any more:\n%s\n%s", text, got)
	}
	if value, want := decoded(t, text), decoded(t, got); !reflect.DeepEqual(maskedValue(t, value), want) {
		t.Fatalf("%s\ngot  %v\nwant %v", text, want, maskedValue(t, value))
	}
	return got
}

// longNumber is one that is not read as JSON.
var longNumber = regexp.MustCompile(`[0-9eE+.-]{200}|[0-9]\s{50}`)

func decoded(t *testing.T, text string) (v any) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestJSONPathDetector(t *testing.T) {
	checkBuffers(t)
	d := masking.Document{
		Detectors: []masking.Detector{{Name: "ACCOUNT", JSONPath: masking.Paths{"$.account", "$.list[*].id"}}},
		Masking: []masking.Rule{{
			Name: "accounts", Models: []string{"*"}, Format: masking.JSON, Entities: entities("ACCOUNT", "EMAIL"),
		}},
	}
	tests := []struct{ name, in, want string }{
		{"string", `{"account":"DE-12","mail":"a@b.org"}`, `{"account":"[ACCOUNT]","mail":"[EMAIL]"}`},
		{"empty", `{"account":""}`, `{"account":"[ACCOUNT]"}`},
		{"escapes", `{"account":"a\"b\u0041"}`, `{"account":"[ACCOUNT]"}`},
		{"number", `{"account":12}`, `{"account":"[ACCOUNT]"}`},
		{"word", `{"account":true,"list":[{"id":null}]}`, `{"account":"[ACCOUNT]","list":[{"id":null}]}`},
		{"all in it", `{"account":{"n":1,"m":["x"]}}`, `{"account":{"n":"[ACCOUNT]","m":["[ACCOUNT]"]}}`},
		{"in a list", `{"list":[{"id":"a@b.org","n":7},{"id":8}]}`, `{"list":[{"id":"[ACCOUNT]","n":7},{"id":"[ACCOUNT]"}]}`},
		{"broken off", `{"account":"DE`, `{"account":"[ACCOUNT]`},
		{"broken off at once", `{"account":"`, `{"account":"[ACCOUNT]`},
		{"no escape", `{"account":"DE\q12"}`, `{"account":"[ACCOUNT]\q12"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := compile(t, d, masking.Options{}).Plan(nil, "m")
			if got := wholeText(t, nil, tt.in, p); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			everyCut(t, p, tt.in, tt.want)
		})
	}
	keep := masking.Action{Partial: &masking.Partial{KeepLast: 3}}
	d.Masking[0].Action = keep
	p := compile(t, d, masking.Options{}).Plan(nil, "m")
	everyCut(t, p, `{"account":"DE-12345\u0036"}`, `{"account":"****456"}`)
}
