package corpus

import (
	"math/rand/v2"
	"strings"
)

// value is what is written for an entity: text is sensitive, tail may be counted
// with it, before and behind belong to what stands around.
type value struct {
	before, text, tail, behind string
}

// source draws values.
type source struct {
	*rand.Rand
	held bool
}

const (
	digits   = "0123456789"
	upper    = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	lower    = "abcdefghijklmnopqrstuvwxyz"
	hexLower = "0123456789abcdef"
	alnum    = digits + upper + lower
)

// proseLanguages are those of templates/prose.txt besides English, in a fixed
// order.
var proseLanguages = []string{"de", "fr", "es", "it", "pl", "nl", "pt", "ja", "zh"}

// value draws a value of an entity. Template files are part of the package and
// its tests draw from every template, so an unknown kind does not get far.
func (s *source) value(kind, arg string) value {
	switch kind {
	case "IP":
		return s.ip(arg)
	case "URL_CREDENTIALS":
		return s.urlCredentials(arg)
	case "PHONE":
		return s.phone(arg)
	}
	if make := plainValues[kind]; make != nil {
		return value{text: make(s, arg)}
	}
	return value{}
}

// plainValues draw what has neither surroundings nor a tail.
var plainValues = map[string]func(s *source, arg string) string{
	"EMAIL":           (*source).email,
	"CARD":            (*source).card,
	"IBAN":            (*source).iban,
	"SSN":             (*source).ssn,
	"MAC":             (*source).mac,
	"JWT":             (*source).jwt,
	"AWS_ACCESS_KEY":  (*source).awsAccessKey,
	"AWS_SECRET_KEY":  (*source).awsSecretKey,
	"GCP_API_KEY":     (*source).gcpKey,
	"GITHUB_TOKEN":    (*source).githubToken,
	"SLACK_TOKEN":     (*source).slackToken,
	"STRIPE_KEY":      (*source).stripeKey,
	"OPENAI_KEY":      (*source).openAIKey,
	"PRIVATE_KEY":     (*source).privateKey,
	"DATE_OF_BIRTH":   (*source).birth,
	"PASSPORT":        (*source).passport,
	"UK_NINO":         (*source).nino,
	"UK_NHS":          (*source).nhs,
	"ES_NIF":          (*source).nif,
	"IT_FISCAL_CODE":  (*source).fiscalCode,
	"PL_PESEL":        (*source).pesel,
	"NL_BSN":          (*source).bsn,
	"DE_TAX_ID":       (*source).taxID,
	"IN_AADHAAR":      (*source).aadhaar,
	"BR_CPF":          (*source).cpf,
	"FR_NIR":          (*source).nir,
	"SE_PERSONNUMMER": (*source).personnummer,
	"CA_SIN":          (*source).sin,
	"BE_NRN":          (*source).nrn,
	"CH_AHV":          (*source).ahv,
	"IN_PAN":          (*source).pan,
	"AU_TFN":          (*source).tfn,
	"KR_RRN":          (*source).rrn,
	"SG_NRIC":         (*source).nric,
}

// some draws n characters of an alphabet.
func (s *source) some(n int, alphabet string) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[s.IntN(len(alphabet))]
	}
	return string(b)
}

// between draws a whole number, both ends included.
func (s *source) between(low, high int) int { return low + s.IntN(high-low+1) }

// format draws one of the formats that the part may use: those with a star in
// front are held out.
func (s *source) format(all []string) string {
	for {
		f := pick(s.Rand, all)
		if plain, held := strings.CutPrefix(f, "*"); !held || s.held {
			return plain
		}
	}
}

// mask fills a mask: # is any digit, % one from 2 to 9, _ a lower-case hex digit.
func (s *source) mask(m string) string {
	b := []byte(m)
	for i, c := range b {
		switch c {
		case '#':
			b[i] = digits[s.IntN(10)]
		case '%':
			b[i] = digits[2+s.IntN(8)]
		case '_':
			b[i] = hexLower[s.IntN(16)]
		}
	}
	return string(b)
}

// place puts the characters of text where layout has an x, in order.
func place(layout, text string) string {
	var b strings.Builder
	for i := range len(layout) {
		if layout[i] == 'x' && text != "" {
			b.WriteByte(text[0])
			text = text[1:]
			continue
		}
		b.WriteByte(layout[i])
	}
	return b.String()
}

// grouped puts a separator after every n characters.
func grouped(text string, n int, separator string) string {
	var b strings.Builder
	for i := range len(text) {
		if i > 0 && i%n == 0 {
			b.WriteString(separator)
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// word draws a harmless word.
func (s *source) word(kind string) string {
	if kind == "name" {
		return s.word("first") + " " + s.word("last")
	}
	return pick(s.Rand, names()[kind])
}
