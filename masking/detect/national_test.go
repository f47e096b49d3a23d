package detect_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// schemes make valid national numbers at random, with the word that some need
// before them. Their check digits are computed as the schemes describe it, and
// not as the detectors do.
var schemes = map[string]func(*rand.Rand) (before, number string){
	"FR_NIR": func(r *rand.Rand) (string, string) {
		body := pick(r, "1", "2") + digits(r, 2) + fmt.Sprintf("%02d", 1+r.IntN(12)) + digits(r, 8)
		var n int
		fmt.Sscanf(body, "%d", &n) //nolint:errcheck // digits
		return "", body + fmt.Sprintf("%02d", 97-n%97)
	},
	"CH_AHV": func(r *rand.Rand) (string, string) {
		body := "756" + digits(r, 9)
		sum := 0
		for i := range body {
			sum += int(body[i]-'0') * (1 + i%2*2)
		}
		return "", grouped(body+fmt.Sprint((10-sum%10)%10), "344", ".")
	},
	"BR_CPF": func(r *rand.Rand) (string, string) {
		body := "1" + digits(r, 8)
		for range 2 {
			sum := 0
			for i := range body {
				sum += int(body[i]-'0') * (len(body) + 1 - i)
			}
			check := 11 - sum%11
			if check >= 10 {
				check = 0
			}
			body += fmt.Sprint(check)
		}
		return "", body[:3] + "." + body[3:6] + "." + body[6:9] + "-" + body[9:]
	},
	"UK_NHS": func(r *rand.Rand) (string, string) {
		for {
			body := digits(r, 9)
			sum := 0
			for i := range body {
				sum += int(body[i]-'0') * (10 - i)
			}
			if check := (11 - sum%11) % 11; check < 10 && strings.Trim(body, body[:1]) != "" {
				return "NHS number ", body + fmt.Sprint(check)
			}
		}
	},
	"NL_BSN": func(r *rand.Rand) (string, string) {
		for {
			n := digits(r, 9)
			sum := -int(n[8] - '0')
			for i := range 8 {
				sum += int(n[i]-'0') * (9 - i)
			}
			if sum%11 == 0 && strings.Trim(n, n[:1]) != "" {
				return "BSN ", n
			}
		}
	},
	"ES_NIF": func(r *rand.Rand) (string, string) {
		n := r.IntN(100_000_000)
		return "", fmt.Sprintf("%08d%c", n, "TRWAGMYFPDXBNJZSQVHLCKE"[n%23])
	},
	"SE_PNR": func(r *rand.Rand) (string, string) {
		n := withLuhn(fmt.Sprintf("%02d%02d%02d%03d", r.IntN(100), 1+r.IntN(12), 1+r.IntN(28), r.IntN(1000)))
		return "", n[:6] + "-" + n[6:]
	},
	"CA_SIN": func(r *rand.Rand) (string, string) { return "SIN ", grouped(withLuhn("1"+digits(r, 7)), "33", " ") },
	"BE_NRN": func(r *rand.Rand) (string, string) {
		body := fmt.Sprintf("%02d%02d%02d%03d", r.IntN(100), 1+r.IntN(12), 1+r.IntN(28), 1+r.IntN(998))
		var n int
		fmt.Sscanf(body, "%d", &n) //nolint:errcheck // digits
		return "", fmt.Sprintf("%s.%s.%s-%s.%02d", body[:2], body[2:4], body[4:6], body[6:], 97-n%97)
	},
	"PL_PESEL": func(r *rand.Rand) (string, string) {
		body := fmt.Sprintf("%02d%02d%02d%04d", r.IntN(100), 1+r.IntN(12), 1+r.IntN(28), r.IntN(10000))
		sum := 0
		for i := range body {
			sum += int(body[i]-'0') * []int{1, 3, 7, 9}[i%4]
		}
		return "PESEL ", body + fmt.Sprint((10-sum%10)%10)
	},
	"CARD": values["CARD"],
	"IBAN": values["IBAN"],
}

// TestSchemes: each valid number is found, as a whole; with another digit in
// one place it is none any more.
func TestSchemes(t *testing.T) {
	for entity, scheme := range schemes {
		t.Run(entity, func(t *testing.T) {
			set := setOf(t, entity)
			rng := rand.New(rand.NewPCG(31, uint64(len(entity))))
			wrong := 0
			for range 300 {
				before, number := scheme(rng)
				text := "it is " + before + number + " here"
				if got := found(set, text); len(got) != 1 || got[0] != number {
					t.Fatalf("in %q: %q", text, got)
				}
				wrong += len(found(set, "it is "+before+misread(rng, number)+" here"))
			}
			// Checksums of one digit modulus 11 let a few pass where the check is 10.
			if wrong > 6 {
				t.Errorf("%d of 300 numbers with a wrong digit are found", wrong)
			}
		})
	}
}

// misread changes one digit but the first, which may say what kind it is.
func misread(rng *rand.Rand, number string) string {
	b := []byte(number)
	for {
		if i := 1 + rng.IntN(len(b)-1); b[i] >= '0' && b[i] <= '9' {
			b[i] = '0' + (b[i]-'0'+1+byte(rng.IntN(9)))%10
			return string(b)
		}
	}
}
