package corpus_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/bench/masking/corpus"
)

func digest(docs []corpus.Doc) string {
	h := sha256.New()
	for _, d := range docs {
		fmt.Fprintf(h, "%+v\n", d)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

func TestSameSeedSameTexts(t *testing.T) {
	whole := corpus.Generate(corpus.HeldOut, 1, 300)
	if a, b := digest(whole), digest(corpus.Generate(corpus.HeldOut, 1, 300)); a != b {
		t.Error("two runs differ")
	}
	if a, b := digest(whole[:50]), digest(corpus.Generate(corpus.HeldOut, 1, 50)); a != b {
		t.Error("a text depends on how many there are")
	}
	if a, b := digest(whole), digest(corpus.Generate(corpus.HeldOut, 2, 300)); a == b {
		t.Error("the seed changes nothing")
	}
}

func TestSpansAreInOrderInBoundsAndWhole(t *testing.T) {
	for _, part := range []corpus.Part{corpus.Development, corpus.HeldOut} {
		for _, d := range corpus.Generate(part, 3, 3000) {
			if !utf8.ValidString(d.Text) || strings.Contains(d.Text, "[[!") || strings.Contains(d.Text, "%!") {
				t.Fatalf("%s is not well-formed: %q", d.ID, d.Text)
			}
			all := slices.Concat(d.Truth, d.Near)
			slices.SortFunc(all, func(a, b corpus.Span) int { return a.Start - b.Start })
			end := 0
			for _, s := range all {
				if s.Start < end || s.End <= s.Start || s.End+s.Tail > len(d.Text) {
					t.Fatalf("%s: %+v is empty, outside, or overlaps: %q", d.ID, s, d.Text)
				}
				if text := d.Text[s.Start:s.End]; !utf8.ValidString(text) || (s.Odd != "" && s.Kind == "") {
					t.Fatalf("%s: %+v is %q", d.ID, s, text)
				}
				end = s.End
			}
		}
	}
}

// gather collects the plainly written values of each kind.
func gather(part corpus.Part, n int) map[string][]string {
	all := make(map[string][]string)
	for _, d := range corpus.Generate(part, 7, n) {
		for _, s := range slices.Concat(d.Truth, d.Near) {
			if s.Odd == "" {
				all[s.Kind] = append(all[s.Kind], d.Text[s.Start:s.End])
			}
		}
	}
	return all
}

// Written a second time, by other means than the generator's.
var (
	spaces  = strings.NewReplacer(" ", "", "-", "", ".", "", "/", "", "\u00a0", "")
	luhnSum = func(s string) bool {
		sum := 0
		for i := range len(s) {
			sum += [][]int{{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {0, 2, 4, 6, 8, 1, 3, 5, 7, 9}}[(len(s)-1-i)%2][s[i]-'0']
		}
		return sum%10 == 0
	}
	ibanRest = func(s string) bool {
		s = strings.ToUpper(s)
		s = regexp.MustCompile(`[A-Z]`).ReplaceAllStringFunc(s[4:]+s[:4], func(c string) string { return fmt.Sprint(c[0] - 'A' + 10) })
		n, _ := new(big.Int).SetString(s, 10)
		return new(big.Int).Mod(n, big.NewInt(97)).Int64() == 1
	}
)

func TestValuesAreWhatTheyClaim(t *testing.T) {
	all := gather(corpus.HeldOut, 6000)
	for kind, ok := range map[string]func(string) bool{
		"CARD":            luhnSum,
		"card_bad":        func(s string) bool { return !luhnSum(s) },
		"CA_SIN":          luhnSum,
		"IBAN":            ibanRest,
		"iban_bad":        func(s string) bool { return !ibanRest(s) },
		"SE_PERSONNUMMER": func(s string) bool { return luhnSum(s[len(s)-10:]) },
		"MAC":             regexp.MustCompile(`(?i)^([0-9a-f]{2}:?){6}$`).MatchString,
		"SSN":             regexp.MustCompile(`^\d{9}$`).MatchString,
		"ssn_bad":         regexp.MustCompile(`^(000|666|9..)|^...00|0000$`).MatchString,
		"JWT":             regexp.MustCompile(`^eyJ[\w]+eyJ[\w]+$`).MatchString,
		"EMAIL":           regexp.MustCompile(`^[^@ ]+@[^@ ]+$`).MatchString,
		"PRIVATE_KEY":     regexp.MustCompile(`(?s)^BEGIN[A-Z]*PRIVATEKEY.*END[A-Z]*PRIVATEKEY$`).MatchString,
		"AWS_ACCESS_KEY":  regexp.MustCompile(`^A[KS]IA[A-Z2-7]{16}$`).MatchString,
		"URL_CREDENTIALS": regexp.MustCompile(`^[^:@]*:[^:@]+$`).MatchString,
	} {
		if len(all[kind]) < 20 {
			t.Errorf("only %d of %s", len(all[kind]), kind)
		}
		for _, v := range all[kind] {
			if !ok(spaces.Replace(v)) {
				t.Errorf("%s: %q", kind, v)
				break
			}
		}
	}
}

// Published examples hold the checksums that are computed nowhere else.
func TestChecksumsOfPublishedExamples(t *testing.T) {
	for name, got := range corpus.PublishedExamples() {
		if got[0] != got[1] {
			t.Errorf("%s: %s, published %s", name, got[0], got[1])
		}
	}
}

func TestPartsShareNoTemplate(t *testing.T) {
	dev, held := gather(corpus.Development, 3000), gather(corpus.HeldOut, 3000)
	for kind := range held {
		if len(held[kind]) == 0 {
			t.Errorf("nothing of %s", kind)
		}
	}
	for kind := range dev {
		if kind == strings.ToUpper(kind) && len(held[kind]) < 20 {
			t.Errorf("%s: %d in the held-out part, which is too few to say anything", kind, len(held[kind]))
		}
	}
	for _, both := range corpus.SharedLines() {
		t.Errorf("a line is in both parts: %q", both)
	}
}

func TestLinesHoldOneHitInAHundred(t *testing.T) {
	kinds := []string{"EMAIL", "CARD"}
	hits, lines := 0, 0
	address := regexp.MustCompile(`\w@\w+\.\w|\d{4}[- ]?\d{4}[- ]?\d{4}|\d{4}[- ]?\d{6}`)
	for line := range strings.Lines(corpus.Lines(corpus.HeldOut, 1, 1<<20, corpus.Prose, kinds)) {
		lines++
		if address.MatchString(line) {
			hits++
		}
	}
	if share := float64(hits) / float64(lines); share < 0.007 || share > 0.013 {
		t.Errorf("%d of %d lines", hits, lines)
	}
}

func TestTokensAreTheText(t *testing.T) {
	text := corpus.Sentences(1, 1<<16, false) + " number 123456, a-b"
	tokens := corpus.Tokens(text, 1)
	if strings.Join(tokens, "") != text {
		t.Fatal("the tokens are not the text")
	}
	sum := 0
	for _, token := range tokens {
		if len(token) > 8 || !utf8.ValidString(token) {
			t.Fatalf("a token %q", token)
		}
		sum += len(token)
	}
	if mean := float64(sum) / float64(len(tokens)); mean < 3 || mean > 5 {
		t.Errorf("tokens are of %.1f bytes", mean)
	}
}
