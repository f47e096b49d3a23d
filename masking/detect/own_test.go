package detect_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/masking/detect"
)

// found are the matched texts.
func found(set *detect.Set, text string) []string {
	var all []string
	for _, m := range set.Find([]byte(text), nil) {
		all = append(all, text[m.Start:m.End])
	}
	return all
}

// compile makes a Set of operators' own detectors.
func compile(t testing.TB, detectors ...*detect.Detector) *detect.Set {
	t.Helper()
	var entries []detect.Entry
	for _, d := range detectors {
		entries = append(entries, detect.Entry{Detector: d})
	}
	set, err := detect.Compile(entries, detect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func regex(t testing.TB, expr string) *detect.Detector {
	t.Helper()
	d, err := detect.Regex("OWN", expr)
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	return d
}

func dictionary(t testing.TB, words ...string) *detect.Detector {
	t.Helper()
	d, err := detect.Dictionary("WORDS", []byte(strings.Join(words, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestRegex(t *testing.T) {
	tests := []struct {
		name, expr, text string
		want             []string
	}{
		{"digits", `EMP-\d{6}`, "EMP-123456, EMP-12345 and EMP-1234567", []string{"EMP-123456", "EMP-123456"}},
		{"word boundary", `\bEMP-\d{6}\b`, "EMP-123456 EMP-1234567 XEMP-123456 _EMP-123456", []string{"EMP-123456"}},
		{"longest, not first", `a|ab|abc`, "abcd", []string{"abc"}},
		{"case", `(?i)emp\d{2}`, "Emp12 EMP34", []string{"Emp12", "EMP34"}},
		{"full width", `EMP-\d{3}`, "ＥＭＰ－１２３", []string{"ＥＭＰ－１２３"}},
		{"zero width", `EMP-\d{3}`, "E\u200bMP-1\u200b23", []string{"E\u200bMP-1\u200b23"}},
		{"accents", `Jürgen`, "Jürgen, Jurgen, Ju\u0308rgen", []string{"Jürgen", "Jurgen", "Ju\u0308rgen"}},
		{"class with accents", `[äöü]{2}x`, "äüx", []string{"äüx"}},
		{"other letters", `п\p{L}{2}т`, "привет парт", []string{"парт"}},
		{"symbols", `€\d{2}`, "€42 42", []string{"€42"}},
		{"any character", `a.c`, "a☃c a\nc aéc", []string{"a☃c", "aéc"}},
		{"escapes", `a@b`, `a\u0040b`, []string{`a\u0040b`}},
		{"too many ignorable ones", `ab`, "a" + strings.Repeat("\u200b", 9) + "b", nil},
		{"newline", `a\nb`, `a\nb` + "a\nb", []string{`a\nb`, "a\nb"}},
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			set := compile(t, regex(t, tt.expr))
			if got := found(set, tt.text); !slices.Equal(got, tt.want) {
				t.Errorf("%s in %q: %q, want %q", tt.expr, tt.text, got, tt.want)
			}
			for i := range len(tt.text) {
				same(t, set, []byte(tt.text), []int{i})
				same(t, set, []byte(tt.text), randomCuts(rng, len(tt.text), 5))
			}
		})
	}
}

func TestRegexErrors(t *testing.T) {
	tests := []struct{ name, expr, want string }{
		{"syntax", `a(`, "missing closing )"},
		{"star", `a.*b`, "has no longest match"},
		{"plus", `\d+`, "has no longest match"},
		{"open range", `\d{3,}`, "has no longest match"},
		{"empty", `a?`, "matches no characters"},
		{"only a boundary", `\b`, "matches no characters"},
		{"only what is ignored", "\u200b", "matches no characters"},
		{"begin", `^a`, "use \\b"},
		{"end", `a$`, "use \\b"},
		{"lines", `(?m)^a`, "use \\b"},
		{"back reference", `(a)\1`, "invalid escape sequence"},
		{"too complex", `(a|b){0,20}(a|b|c){0,20}a(a|b|c){0,20}a(b|a|c){0,20}d(c|a|b){0,9}`, "too complex"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := detect.Regex("OWN", tt.expr)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: error %v, want %q", tt.expr, err, tt.want)
			}
		})
	}
}

// TestRegexTooLong: what a Stream may not hold is refused when the Set is made.
func TestRegexTooLong(t *testing.T) {
	d := regex(t, `a.{0,80}b`)
	if _, err := detect.Compile([]detect.Entry{{Detector: d}}, detect.Options{}); err == nil || !strings.Contains(err.Error(), "needs a hold_back of at least 334") {
		t.Errorf("error %v", err)
	}
	if _, err := detect.Compile([]detect.Entry{{Detector: d}}, detect.Options{HoldBack: 334}); err != nil {
		t.Error(err)
	}
}

func TestDictionary(t *testing.T) {
	set := compile(t, dictionary(t, "# people", "", "Jürgen Groß", "Jane", "Jane Doe", "田中", "Олег", "o'brien", "c++", "\ufeffAnn"))
	tests := []struct {
		name, text string
		want       []string
	}{
		{"word", "jane, JANE; Janet and xjane, jane_x", []string{"jane", "JANE", "jane"}},
		{"longest", "Jane Doe and Jane Do", []string{"Jane Doe", "Jane"}},
		{"any white space", "Jane\n Doe", []string{"Jane\n Doe"}},
		{"accents", "JURGEN GROß jürgen  groß", []string{"JURGEN GROß", "jürgen  groß"}},
		{"without spaces", "私は田中です", []string{"田中"}},
		{"other case", "ОЛЕГ, олега", []string{"ОЛЕГ"}},
		{"marks", "O'Brien O’Brien", []string{"O'Brien", "O’Brien"}},
		{"ends in a mark", "C++17 C++, c+", []string{"C++", "C++"}},
		{"full width and zero width", "Ｊａ\u200bｎｅ", []string{"Ｊａ\u200bｎｅ"}},
		{"byte order mark in the file", "ann", []string{"ann"}},
		{"comment", "people", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := found(set, tt.text); !slices.Equal(got, tt.want) {
				t.Errorf("in %q: %q, want %q", tt.text, got, tt.want)
			}
			for i := range len(tt.text) {
				for k := i; k <= len(tt.text); k++ {
					same(t, set, []byte(tt.text), []int{i, k})
				}
			}
		})
	}
}

func TestDictionaryErrors(t *testing.T) {
	tests := []struct{ name, words, want string }{
		{"empty", "\n# nothing\n", "no words"},
		{"ignored", "jane\n\u200b\n", "line 2: nothing to look for"},
		{"long", strings.Repeat("a", 2000), "line 1: longer than"},
		{"large", strings.Repeat("jane\n", 2<<20), "at most"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := detect.Dictionary("WORDS", []byte(tt.words)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// TestScored: a context word lifts what does not suffice by itself.
func TestScored(t *testing.T) {
	d := regex(t, `\b\d{5}\b`).Scored(0.2)
	set, err := detect.Compile([]detect.Entry{{Detector: d, Context: []string{"badge*"}}}, detect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := found(set, "12345, badges: 23456. "+strings.Repeat("x", 64)+" 34567"); !slices.Equal(got, []string{"23456"}) {
		t.Errorf("found %q", got)
	}
}
