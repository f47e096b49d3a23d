package main

import (
	"github.com/sluice-gateway/sluice/bench/masking/corpus"
	"github.com/sluice-gateway/sluice/bench/masking/score"
	"github.com/sluice-gateway/sluice/masking/detect"
)

// entity is one line of the tables: kinds of the corpus, and what they are for
// either side. Nothing: that side does not have it.
type entity struct {
	name             string
	kinds            []string
	sluice, presidio []string
}

// entities are all lines. A kind of the corpus is in just one.
var entities = []entity{
	one("EMAIL", "EMAIL_ADDRESS"),
	one("CARD", "CREDIT_CARD"),
	one("SSN", "US_SSN"),
	one("PHONE", "PHONE_NUMBER"),
	one("IBAN", "IBAN_CODE"),
	one("IP", "IP_ADDRESS"),
	one("MAC", "MAC_ADDRESS"),
	one("JWT"),
	one("PRIVATE_KEY"),
	{name: "AWS_KEY", kinds: []string{"AWS_ACCESS_KEY", "AWS_SECRET_KEY"}, sluice: []string{"AWS_KEY"}},
	{name: "GCP_KEY", kinds: []string{"GCP_API_KEY"}, sluice: []string{"GCP_KEY"}},
	one("GITHUB_TOKEN"),
	one("SLACK_TOKEN"),
	one("STRIPE_KEY"),
	one("OPENAI_KEY"),
	one("URL_CREDENTIALS"),
	one("DATE_OF_BIRTH"),
	one("PASSPORT", "US_PASSPORT", "UK_PASSPORT", "DE_PASSPORT", "IN_PASSPORT", "IT_PASSPORT"),
	one("UK_NINO", "UK_NINO"),
	one("UK_NHS", "UK_NHS"),
	one("ES_NIF", "ES_NIF", "ES_NIE"),
	one("IT_FISCAL_CODE", "IT_FISCAL_CODE"),
	one("PL_PESEL", "PL_PESEL"),
	one("NL_BSN"),
	one("DE_TAX_ID", "DE_TAX_ID"),
	one("IN_AADHAAR", "IN_AADHAAR"),
	one("BR_CPF"),
	one("FR_NIR"),
	{name: "SE_PNR", kinds: []string{"SE_PERSONNUMMER"}, sluice: []string{"SE_PNR"}, presidio: []string{"SE_PERSONNUMMER"}},
	one("CA_SIN", "CA_SIN"),
	one("BE_NRN"),
	one("CH_AHV"),
	one("IN_PAN", "IN_PAN"),
	one("AU_TFN", "AU_TFN"),
	one("KR_RRN", "KR_RRN"),
	one("SG_NRIC", "SG_NRIC_FIN"),
}

// common are the ten of the measurement of speed; commonPresidio are Presidio's
// of them, and as many others of what it loads by itself as make ten.
var (
	common         = []string{"EMAIL", "CARD", "SSN", "PHONE", "IBAN", "IP", "MAC", "JWT", "AWS_KEY", "URL_CREDENTIALS"}
	commonPresidio = []string{
		"EMAIL_ADDRESS", "CREDIT_CARD", "US_SSN", "PHONE_NUMBER", "IBAN_CODE", "IP_ADDRESS", "MAC_ADDRESS", "US_PASSPORT", "UK_NHS", "CRYPTO",
	}
)

// one is a line whose name is that of the corpus and of Sluice.
func one(name string, presidio ...string) entity {
	return entity{name: name, kinds: []string{name}, sluice: []string{name}, presidio: presidio}
}

// known is a line's entities of Sluice, as far as this build has them.
func (e entity) known() []string {
	var names []string
	for _, name := range e.sluice {
		if detect.Lookup(name) != nil {
			names = append(names, name)
		}
	}
	return names
}

// gather joins a field of all lines.
func gather(field func(entity) []string) []string {
	var all []string
	for _, e := range entities {
		all = append(all, field(e)...)
	}
	return all
}

func kindsOf(e entity) []string    { return e.kinds }
func presidioOf(e entity) []string { return e.presidio }

// compile makes a Set of the named detectors, with their own thresholds.
func compile(names []string) (*detect.Set, error) {
	entries := make([]detect.Entry, len(names))
	for i, name := range names {
		entries[i].Detector = detect.Lookup(name)
	}
	return detect.Compile(entries, detect.Options{})
}

// find finds what set has in each text, whole.
func find(set *detect.Set, docs []corpus.Doc) [][]score.Found {
	found := make([][]score.Found, len(docs))
	var matches []detect.Match
	for i := range docs {
		matches = set.Find([]byte(docs[i].Text), matches[:0])
		for _, m := range matches {
			found[i] = append(found[i], score.Found{
				Start: m.Start, End: m.End, Entity: set.Info(m.Index).Entity, Score: float64(m.Score),
			})
		}
	}
	return found
}
