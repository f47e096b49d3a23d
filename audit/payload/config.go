package payload

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/access"
)

// Config says what is kept of what is said.
type Config struct {
	// Payloads says of which calls the messages are kept, masked: none (the default),
	// masked, "sampled: 0.1", or a list of rules, of which the first that fits decides.
	Payloads Rules `yaml:"payloads"`
	// PayloadMemory bounds what all calls together have captured and is not written
	// yet. What is more is not kept, and the records say so.
	PayloadMemory access.Size `yaml:"payload_memory"`
	// Words tells that payloads can be searched by their words.
	Words bool `yaml:"words"`
	// LookUpKey refers to a key of at least 32 bytes, as ${NAME} or file:PATH. With
	// it, each record keeps keyed hashes of what was masked in it, so that it can be
	// asked where a value was masked without its being kept.
	LookUpKey access.Secret `yaml:"look_up_key"`
}

// Rules are [Config.Payloads].
type Rules []Rule

// UnmarshalText takes what holds for all models, written as one word.
func (r *Rules) UnmarshalText(text []byte) error {
	rule := Rule{}
	rule.SetDefaults()
	rule.Models = []string{"*"}
	if err := rule.Payloads.UnmarshalText(text); err != nil {
		return err
	}
	*r = Rules{rule}
	return nil
}

// Rule says what is kept of some calls.
type Rule struct {
	// Models are patterns of whole names; "*" is any run of bytes.
	Models []string `yaml:"models"`
	// Verbs are those of the calls. Default: [infer].
	Verbs []string `yaml:"verbs"`
	// Payloads is none, masked, or "sampled: 0.1": masked, of one session in ten.
	Payloads What `yaml:"payloads"`
	// Requests tells that requests are kept too, not only answers. Default: true.
	Requests bool `yaml:"requests"`
	// Cap is how many bytes of one call are kept. Messages beyond it are told of by
	// their size alone. Default: 256KiB.
	Cap access.Size `yaml:"cap"`
}

// SetDefaults fills in what a rule does not say.
func (r *Rule) SetDefaults() {
	r.Verbs, r.Requests, r.Cap = []string{access.Infer.String()}, true, defaultCap
}

// What is how much is kept: nothing, or the calls of so many sessions in all.
type What struct {
	// Share is from 0, nothing, to 1.
	Share float64 `yaml:"sampled"`
}

// UnmarshalText reads none, masked or "sampled: p".
func (w *What) UnmarshalText(text []byte) error {
	word, share, _ := strings.Cut(string(text), ":")
	switch {
	case string(text) == "none":
		w.Share = 0
		return nil
	case string(text) == "masked":
		w.Share = 1
		return nil
	case strings.TrimSpace(word) == "sampled":
		p, err := strconv.ParseFloat(strings.TrimSpace(share), 64)
		if err == nil {
			w.Share = p
			return nil
		}
	}
	return fmt.Errorf(`must be none, masked or "sampled: 0.1"`)
}

// The defaults and limits.
const (
	defaultCap           = 256 << 10
	minCap, maxCap       = 1 << 10, 64 << 20
	defaultMemory        = 64 << 20
	minMemory, maxMemory = 1 << 20, 64 << 30
	minLookUpKey         = 32
	maxRules             = 256
)

// SetDefaults fills in what is not set.
func (c *Config) SetDefaults() { c.PayloadMemory, c.Words = defaultMemory, true }

// Validate checks the settings.
func (c *Config) Validate() (problems []access.Problem) {
	add := func(path, format string, args ...any) {
		problems = append(problems, access.Problem{Path: path, Message: fmt.Sprintf(format, args...)})
	}
	if len(c.Payloads) > maxRules {
		add("payloads", "more than %d rules", maxRules)
	}
	for i, r := range c.Payloads {
		path := fmt.Sprintf("payloads[%d]", i)
		if len(r.Models) == 0 {
			add(path+".models", `is empty; name at least one pattern, or "*" for every model`)
		}
		if slices.Contains(r.Models, "") {
			add(path+".models", "an empty pattern matches nothing")
		}
		for j, verb := range r.Verbs {
			if v, ok := access.ParseVerb(verb); !ok || !recordable(v) {
				add(fmt.Sprintf("%s.verbs[%d]", path, j), "must be one of %s", strings.Join(recordableNames(), ", "))
			}
		}
		if !(r.Payloads.Share >= 0 && r.Payloads.Share <= 1) {
			add(path+".payloads", "the sampled share must be from 0 to 1")
		}
		if r.Cap < minCap || r.Cap > maxCap {
			add(path+".cap", "must be from %s to %s", access.Size(minCap), access.Size(maxCap))
		}
	}
	if c.PayloadMemory < minMemory || c.PayloadMemory > maxMemory {
		add("payload_memory", "must be from %s to %s", access.Size(minMemory), access.Size(maxMemory))
	}
	return problems
}

// Keeps tells whether anything is kept.
func (c *Config) Keeps() bool {
	return slices.ContainsFunc(c.Payloads, func(r Rule) bool { return r.Payloads.Share > 0 })
}

// recordable are the verbs whose messages say something of a model.
func recordable(v access.Verb) bool {
	return v == access.Infer || v == access.Load || v == access.LoadOverride || v == access.Unload
}

func recordableNames() (names []string) {
	for v := access.Verb(0); int(v) < access.NumVerbs; v++ {
		if recordable(v) {
			names = append(names, v.String())
		}
	}
	return names
}

// of finds the rule about calls of a verb to a model; nil keeps nothing.
func (r Rules) of(model string, verb access.Verb) *Rule {
	for i := range r {
		one := &r[i]
		if !slices.Contains(one.Verbs, verb.String()) {
			continue
		}
		if slices.ContainsFunc(one.Models, func(pattern string) bool { return access.Match(pattern, model) }) {
			if one.Payloads.Share <= 0 {
				return nil
			}
			return one
		}
	}
	return nil
}
