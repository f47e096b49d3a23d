package detect_test

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// hostile are texts that would cost the square of their length where each
// anchor looks back, or ahead, without a bound.
var hostile = map[string]string{
	"one word":              "a",
	"digits apart":          "1 ",
	"digits":                "4",
	"card beginnings":       "4111 ",
	"at signs":              "@",
	"words and at signs":    "a@",
	"long local parts":      strings.Repeat("a", 63) + "@",
	"domains":               "a@b.",
	"token beginnings":      "eyJ",
	"tokens apart":          "eyJ.",
	"token headers":         "-eyJhbGciOiJ",
	"dashes":                "-",
	"dashes apart":          "---- ",
	"key beginnings":        "-----BEGIN ",
	"colons":                ":",
	"hexadecimal":           "ab:",
	"addresses":             "1.1.1.1.",
	"schemes":               "a://",
	"users":                 "a://b:",
	"slashes":               "/",
	"account beginnings":    "DE89 ",
	"key prefixes":          "sk-",
	"backslashes":           `\`,
	"escapes":               `\u0034`,
	"half escapes":          `\u00`,
	"ignorable":             "\u200b",
	"ignorable and digits":  "\u200b4",
	"not UTF-8":             "\xff",
	"half characters":       "\xe2\x80",
	"marks":                 "a\u0301",
	"plus signs":            "+1 ",
	"parentheses":           "(2",
	"secret names":          "secret_access_key",
	"birthdays":             "dob 1/1/",
	"matches":               "a@b.cc ",
	"addresses that match":  "1.1.1.1 ",
	"private keys":          "-----BEGIN PRIVATE KEY----------END PRIVATE KEY-----",
	"private key, no end":   "-----BEGIN PRIVATE KEY-----",
	"token and ignorable":   "eyJhbGciOiJIUzI1NiJ9\u200b ",
	"symbol before a digit": "€4",
}

// TestHostile holds hostile texts to a time that is far from any square, and
// to the bound on what is held.
func TestHostile(t *testing.T) {
	const size = 256 << 10
	set := everything(t)
	for name, unit := range hostile {
		t.Run(name, func(t *testing.T) {
			text := bytes.Repeat([]byte(unit), size/len(unit))
			begin := time.Now()
			whole := set.Find(text, nil)
			took := time.Since(begin)
			if took > 20*time.Second { // a second at most, a square would take minutes
				t.Errorf("%v for %d bytes", took, len(text))
			}
			var cuts []int
			for i := 1000; i < len(text); i += 1000 {
				cuts = append(cuts, i)
			}
			if got := stream(t, set, text, cuts); len(got) != len(whole) {
				t.Errorf("%d matches in the stream, %d in the whole", len(got), len(whole))
			}
			t.Logf("%.0f MB/s, %d matches", float64(len(text))/1e6/took.Seconds(), len(whole))
		})
	}
}
