package access_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/access"
)

func TestCheckModelName(t *testing.T) {
	for _, c := range []struct {
		name, model string
		ok          bool
	}{
		{"plain", "resnet50", true},
		{"punctuation", "llama-3.1_8b@q4:latest", true},
		{"other scripts", "模型", true},
		{"dots inside", "a..b", true},
		{"as long as may be", strings.Repeat("a", access.MaxModelName), true},
		{"empty", "", false},
		{"too long", strings.Repeat("a", access.MaxModelName+1), false},
		{"1 MB", strings.Repeat("a", 1<<20), false},
		{"not UTF-8", "a\xff", false},
		{"a control byte", "a\x00b", false},
		{"a line break", "a\nb", false},
		{"a C1 control", "a\u0085b", false},
		{"as LLM servers name them", "meta-llama/Llama-3.1-8B", true},
		{"an absolute path", "/a", false},
		{"a folder", "a/", false},
		{"an empty part", "a//b", false},
		{"a walk inside", "a/../b", false},
		{"a dot inside", "a/./b", false},
		{"a backslash", `a\b`, false},
		{"this folder", ".", false},
		{"the folder above", "..", false},
		{"a walk", "../../etc/passwd", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			refused := access.CheckModelName(c.model)
			if (refused == nil) != c.ok {
				t.Fatalf("got %v", refused)
			}
			if refused != nil && (refused.Kind != access.Malformed || refused.Reason != access.ReasonModelName || len(refused.Message) > 400 || strings.ContainsAny(refused.Message, "\x00\n")) {
				t.Errorf("refused with %+v", refused)
			}
		})
	}
}

// asRegexp is what a pattern means.
func asRegexp(pattern string) *regexp.Regexp {
	parts := strings.Split(pattern, "*")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile(`\A(?s:` + strings.Join(parts, ".*") + `)\z`)
}

func FuzzMatch(f *testing.F) {
	for _, seed := range [][2]string{
		{"*", ""},
		{"a*", "a"},
		{"*a", "ba"},
		{"a*a", "a"},
		{"a*b*c", "aXbYc"},
		{"**", "x"},
		{"a", "a"},
		{"a", "A"},
		{"*ab*ab", "abab"},
		{"*ab*ab", "ab"},
		{"a.c", "abc"},
		{"*\n*", "a\nb"},
		{"", ""},
		{"*aab*b", "aaab"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if !utf8.ValidString(pattern) || !utf8.ValidString(name) {
			return // regexp reads runes where Match reads bytes
		}
		if got, want := access.Match(pattern, name), asRegexp(pattern).MatchString(name); got != want {
			t.Errorf("Match(%q, %q) is %v, want %v", pattern, name, got, want)
		}
	})
}
