package corpus

import "strings"

// distort writes a value in a form that is rare but met with: full-width digits
// of Asian keyboards, no-break spaces and hyphens that word processors put in,
// zero-width characters that come along when something is copied from a page,
// escapes of JSON. It names the form; "" where the value has none.
func (s *source) distort(v value, kind string, inJSON bool) (value, string) {
	var forms []string
	switch kind {
	case "CARD", "SSN", "PHONE", "IBAN", "UK_NHS", "IN_AADHAAR", "BR_CPF", "PL_PESEL":
		forms = []string{"full-width digits", "Arabic digits", "zero-width characters", "no-break spaces", "other dashes"}
	case "EMAIL":
		forms = []string{"full-width @", "zero-width characters"}
	case "MAC", "IP", "AWS_ACCESS_KEY", "GITHUB_TOKEN":
		forms = []string{"zero-width characters"}
	}
	if inJSON && len(forms) > 0 {
		forms = []string{"JSON escapes"}
	}
	if len(forms) == 0 {
		return v, ""
	}
	form := pick(s.Rand, forms)
	text := s.written(v.text, form)
	if text == v.text {
		return v, ""
	}
	v.text = text
	return v, form
}

// written writes text in a form.
func (s *source) written(text, form string) string {
	switch form {
	case "full-width digits":
		return strings.Map(shift('0', '9', '０'), text)
	case "Arabic digits":
		return strings.Map(shift('0', '9', '٠'), text)
	case "full-width @":
		return strings.ReplaceAll(text, "@", "＠")
	case "no-break spaces":
		return strings.ReplaceAll(text, " ", pick(s.Rand, []string{"\u00a0", "\u202f"}))
	case "other dashes":
		return strings.ReplaceAll(text, "-", pick(s.Rand, []string{"\u2011", "\u2013"}))
	case "JSON escapes":
		return strings.NewReplacer("@", `\u0040`, "-", `\u002d`, " ", `\u0020`, ".", `\u002e`).Replace(text)
	}
	at := s.between(1, len(text)-1)
	if text[at]&0xc0 == 0x80 { // inside a character
		return text
	}
	return text[:at] + pick(s.Rand, []string{"\u200b", "\u200d", "\u2060", "\u00ad"}) + text[at:]
}

// shift maps the characters from first to last to those from to on.
func shift(first, last, to rune) func(rune) rune {
	return func(r rune) rune {
		if r >= first && r <= last {
			return r - first + to
		}
		return r
	}
}
