package detect_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode"

	"github.com/sluice-gateway/sluice/masking/detect"
)

// values make sensitive values at random, with the word before them where they
// need one.
var values = map[string]func(*rand.Rand) (before, value string){
	"EMAIL": func(r *rand.Rand) (string, string) {
		return "", fmt.Sprintf("%s.%s%d@%s.example.%s", letters(r, 1+r.IntN(8)), letters(r, 3), r.IntN(100), letters(r, 1+r.IntN(10)), pick(r, "com", "org", "de", "co.uk"))
	},
	"CARD": func(r *rand.Rand) (string, string) {
		prefix := pick(r, "4", "51", "55", "2221", "2720", "6011", "3530", "37", "34", "6200")
		size := 16
		if prefix[0] == '3' && prefix != "3530" {
			size = 15
		}
		return "", grouped(withLuhn(prefix+digits(r, size-1-len(prefix))), "4444", pick(r, "", " ", "-", ".", " - "))
	},
	"SSN": func(r *rand.Rand) (string, string) {
		return "", fmt.Sprintf("%03d-%02d-%04d", 1+r.IntN(665), 1+r.IntN(99), 1+r.IntN(9999))
	},
	"PHONE": func(r *rand.Rand) (string, string) {
		return "", fmt.Sprintf(pick(r, "(%d) %d-%04d", "%d-%d-%04d", "+1 %d %d %04d", "+1-%d-%d-%04d", "%d.%d.%04d"), 200+r.IntN(800), 200+r.IntN(800), r.IntN(10000))
	},
	"IBAN": func(r *rand.Rand) (string, string) {
		return "", grouped(withMod97("DE", digits(r, 18)), "44444444", pick(r, "", " ", "-"))
	},
	"IP": func(r *rand.Rand) (string, string) {
		if r.IntN(2) == 0 {
			return "", fmt.Sprintf("%x:%x::%x:%x", 0x2001, r.IntN(0x10000), r.IntN(0x10000), 16+r.IntN(0x1000))
		}
		return "", fmt.Sprintf("%d.%d.%d.%d", 1+r.IntN(255), r.IntN(256), r.IntN(256), r.IntN(256))
	},
	"MAC": func(r *rand.Rand) (string, string) {
		return "", fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", r.IntN(256), r.IntN(256), r.IntN(256), r.IntN(256), r.IntN(256), r.IntN(256))
	},
	"AWS_KEY":      func(r *rand.Rand) (string, string) { return "", "AKIA" + strings.ToUpper(letters(r, 16)) },
	"GITHUB_TOKEN": func(r *rand.Rand) (string, string) { return "", "ghp_" + letters(r, 36) },
	"OPENAI_KEY":   func(r *rand.Rand) (string, string) { return "", "sk-" + letters(r, 20) + digits(r, 3) + letters(r, 10) },
	"DATE_OF_BIRTH": func(r *rand.Rand) (string, string) {
		return pick(r, "born ", "DOB: ", "date of birth "), fmt.Sprintf("%02d/%02d/%d", 1+r.IntN(12), 1+r.IntN(12), 1900+r.IntN(120))
	},
	"PASSPORT": func(r *rand.Rand) (string, string) { return "passport ", "C" + digits(r, 8) },
	"UK_NINO":  func(r *rand.Rand) (string, string) { return "", "AB" + digits(r, 6) + "C" },
}

func pick(r *rand.Rand, from ...string) string { return from[r.IntN(len(from))] }

func digits(r *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = '0' + byte(r.IntN(10))
	}
	return string(b)
}

func letters(r *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a' + byte(r.IntN(26))
	}
	return string(b)
}

// withLuhn appends the check digit.
func withLuhn(number string) string {
	for check := range 10 {
		sum := 0
		all := number + string(rune('0'+check))
		for i := range all {
			d := int(all[len(all)-1-i] - '0')
			if i%2 == 1 {
				d *= 2
			}
			sum += d/10 + d%10
		}
		if sum%10 == 0 {
			return all
		}
	}
	panic("no check digit")
}

// withMod97 puts the check digits between country and account.
func withMod97(country, account string) string {
	for check := range 100 {
		rest := 0
		for _, c := range account + country + fmt.Sprintf("%02d", check) {
			if c >= 'A' {
				rest = (rest*100 + int(c-'A') + 10) % 97
			} else {
				rest = (rest*10 + int(c-'0')) % 97
			}
		}
		if rest == 1 {
			return country + fmt.Sprintf("%02d", check) + account
		}
	}
	panic("no check digits")
}

// grouped puts sep between groups of these sizes; what is left is one more.
func grouped(s, sizes, sep string) string {
	var parts []string
	for _, size := range sizes {
		if n := int(size - '0'); len(s) > n {
			parts, s = append(parts, s[:n]), s[n:]
		}
	}
	return strings.Join(append(parts, s), sep)
}

// disguises write a value in another way that reads the same.
var disguises = map[string]func(*rand.Rand, rune) string{
	"as it is":   func(_ *rand.Rand, c rune) string { return string(c) },
	"full width": func(_ *rand.Rand, c rune) string { return string(c + 0xFEE0*rune(b2i(c > ' '))) },
	"zero width": func(r *rand.Rand, c rune) string { return string(c) + pick(r, "", "\u200b", "\u00ad", "\u2060\u200d") },
	"escaped": func(r *rand.Rand, c rune) string {
		if r.IntN(3) == 0 {
			return fmt.Sprintf(`\u%04x`, c)
		}
		return string(c)
	},
	"other digits": func(r *rand.Rand, c rune) string {
		if unicode.IsDigit(c) {
			return string([]rune{0x660, 0x6F0, 0x966, 0x1D7CE, 0xFF10}[r.IntN(5)] + c - '0')
		}
		return string(c)
	},
	"other marks": func(r *rand.Rand, c rune) string {
		switch c {
		case ' ':
			return pick(r, "\u00a0", "\u2009", "\u202f", "\u3000")
		case '-':
			return pick(r, "\u2010", "\u2011", "\u2013", "\u2212", "\uff0d")
		case '.':
			return pick(r, "\uff0e", "\u3002", "\u2024")
		case '@':
			return pick(r, "\uff20", "\ufe6b")
		}
		return string(c)
	},
	"both": func(r *rand.Rand, c rune) string {
		return pick(r, string(c), fmt.Sprintf(`\u%04X`, c), string(c)+"\u200b")
	},
}

// noDigits leaves out what a word in a value's context could be about.
func noDigits(r rune) rune {
	if unicode.IsDigit(r) {
		return 'x'
	}
	return r
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestSeeded hides values of all kinds in ordinary text, in all disguises: none
// survives, in the whole or in any stream, and nothing beside it is touched.
func TestSeeded(t *testing.T) {
	set := everything(t)
	for entity, value := range values {
		for disguise, write := range disguises {
			t.Run(entity+" "+disguise, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(7, uint64(len(entity)+len(disguise))))
				for range 60 {
					before, clear := value(rng)
					var hidden strings.Builder
					for _, c := range clear {
						hidden.WriteString(write(rng, c))
					}
					around := bytes.Map(noDigits, prose(rng, 120, 0))
					text := string(around[:60]) + " " + before + hidden.String() + " " + string(around[60:])
					start := 61 + len(before)
					checkSeed(t, set, text, entity, start, start+len(hidden.String()))
					for range 5 {
						same(t, set, []byte(text), randomCuts(rng, len(text), 1+rng.IntN(10)))
					}
				}
			})
		}
	}
}

// checkSeed wants one match, of all of the value but for what is ignorable at
// its end.
func checkSeed(t *testing.T, set *detect.Set, text, entity string, start, end int) {
	t.Helper()
	matches := set.Find([]byte(text), nil)
	seed := strings.TrimRight(text[start:end], "\u200b\u00ad\u2060\u200d")
	covered := start
	for _, m := range matches {
		if m.Start < start || m.End > end {
			t.Errorf("%q: what is beside %q is masked: %s", text, seed, show(set, []byte(text), matches))
		}
		if m.Start <= covered {
			covered = max(covered, m.End)
		}
	}
	if covered < start+len(seed) {
		t.Errorf("%s survives in %q: %s", entity, text, show(set, []byte(text), matches))
	}
}
