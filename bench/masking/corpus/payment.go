package corpus

import (
	"fmt"
	"strings"
)

// cardFormats are issuers' prefixes (ISO/IEC 7812 ranges), lengths, and how such
// numbers are grouped.
var cardFormats = []struct {
	prefixes []string
	length   int
	groups   string
}{
	{[]string{"4"}, 16, "xxxx xxxx xxxx xxxx"},
	{[]string{"4"}, 16, "xxxx xxxx xxxx xxxx"},
	{[]string{"51", "52", "53", "54", "55", "2221", "2500", "2719"}, 16, "xxxx xxxx xxxx xxxx"},
	{[]string{"34", "37"}, 15, "xxxx xxxxxx xxxxx"},
	{[]string{"6011", "65", "644"}, 16, "xxxx xxxx xxxx xxxx"},
	{[]string{"3528", "3560", "3589"}, 16, "xxxx xxxx xxxx xxxx"},
	{[]string{"36", "301"}, 14, "xxxx xxxxxx xxxx"},
}

var cardSeparators = []string{" ", " ", "", "-", "*.", "*\u00a0"}

// card draws the number of a payment card, check digit included.
func (s *source) card(string) string {
	f := pick(s.Rand, cardFormats)
	number := pick(s.Rand, f.prefixes)
	number += s.some(f.length-1-len(number), digits)
	number += luhn(number)
	return strings.ReplaceAll(place(f.groups, number), " ", s.format(cardSeparators))
}

// ibanFormats are countries and the structure of their accounts, n digits, a
// letters, c either (the registry of ISO 13616).
var ibanFormats = map[string]string{
	"DE": "18n", "FR": "10n11c2n", "GB": "4a14n", "NL": "4a10n", "ES": "20n", "IT": "1a10n12c", "CH": "17n", "AT": "16n", "PL": "24n",
	"SE": "20n", "IE": "4a14n", "PT": "21n", "NO": "11n", "FI": "14n", "DK": "14n", "LU": "16n",
}

var (
	ibanCountries     = strings.Fields("DE DE DE FR FR GB NL ES IT AT CH PL SE *BE *IE *PT *NO *FI *DK *LU")
	ibanSeparators    = []string{" ", " ", "", "*\u00a0", "*-"}
	ibanUpperOrDigits = digits + upper
)

// iban draws an account of a country, arg, or of any.
func (s *source) iban(arg string) string {
	country := strings.ToUpper(arg)
	if country == "" {
		country = s.format(ibanCountries)
	}
	account := s.account(country)
	number := country + fmt.Sprintf("%02d", 98-mod97(account+country+"00")) + account
	if s.held && s.IntN(30) == 0 {
		number = strings.ToLower(number)
	}
	return grouped(number, 4, s.format(ibanSeparators))
}

// account draws what follows an IBAN's check digits.
func (s *source) account(country string) string {
	if country == "BE" { // the last two digits are the rest of the others by 97, 0 written 97
		first := s.some(10, digits)
		rest := mod97(first)
		if rest == 0 {
			rest = 97
		}
		return fmt.Sprintf("%s%02d", first, rest)
	}
	var b strings.Builder
	n := 0
	for _, c := range ibanFormats[country] {
		switch c {
		case 'n':
			b.WriteString(s.some(n, digits))
		case 'a':
			b.WriteString(s.some(n, upper))
		case 'c':
			// Mostly digits, as banks number accounts.
			b.WriteString(s.some(1, ibanUpperOrDigits) + s.some(n-1, digits))
		default:
			n = n*10 + int(c-'0')
			continue
		}
		n = 0
	}
	return b.String()
}
