package masking

import (
	"time"

	"github.com/sluice-gateway/sluice/access"
)

// Document is what one policy file says about masking.
type Document struct {
	// Masking are the rules, in order of precedence: for an entity that two
	// rules name, the first one that enforces decides.
	Masking []Rule `yaml:"masking"`
	// Detectors are the operator's own, beside the built-in ones.
	Detectors []Detector `yaml:"detectors"`
}

// Rule says what is masked in the answers of which models, and how.
type Rule struct {
	// Name is what problems, refusals and records call the rule.
	Name string `yaml:"name"`
	// Models are patterns of whole names; "*" is any run of bytes.
	Models []string `yaml:"models"`
	// Tensors are the outputs' names, or patterns, which cover outputs of
	// datatype BYTES only. Default: ["*"].
	Tensors []string `yaml:"tensors"`
	// Datatypes limits the rule to outputs of these datatypes.
	Datatypes []string `yaml:"datatypes"`
	// Index limits the rule to some elements of a BYTES tensor: "0", "2-5"
	// (both included), "3-".
	Index string `yaml:"index"`
	// Entities are what is looked for in text: names of detectors, or
	// {name: …, threshold: …}. A rule without entities is about whole tensors.
	Entities []Entity `yaml:"entities"`
	// Action is what is done. For text: redact (the default), partial, hash,
	// tokenize, replace, drop, block. For numbers: drop, zero, round, top_k, clip, noise.
	Action Action `yaml:"action"`
	// Mode is how the answers of a decoupled model make up one text: delta (each
	// goes on where the last one ended), cumulative (each holds all so far),
	// independent (each is a text of its own).
	Mode Mode `yaml:"mode"`
	// Format is text (the default) or json: then strings are masked inside,
	// numbers become strings, and JSON stays JSON.
	Format Format `yaml:"format"`
	// JSONPath limits the rule to values of a JSON text; format must be json.
	JSONPath Paths `yaml:"json_path"`
	// Except are groups for whose members the rule does not hold.
	Except []string `yaml:"except"`
	// Observe counts what the rule finds, and changes nothing.
	Observe bool `yaml:"observe"`
	// HoldBack is how many bytes of a stream may be held back, and how far ahead
	// detectors look, in streams and whole answers alike. Default: 256.
	HoldBack int `yaml:"hold_back"`
	// OnError overrides what the rule's presidio detectors do when their
	// analyzer does not answer: block or pass.
	OnError OnError `yaml:"on_error"`
}

// Mode is the mode of a stream's text.
type Mode string

// The modes. Without one, it is that of a model whose way is known, else the
// request is refused.
const (
	Delta       Mode = "delta"
	Cumulative  Mode = "cumulative"
	Independent Mode = "independent"
)

// Format is what the elements of a BYTES tensor hold.
type Format string

// The formats.
const (
	Text Format = "text"
	JSON Format = "json"
)

// OnError is what becomes of a text that a detector could not look at.
type OnError string

// What a detector's failure leads to.
const (
	Block OnError = "block"
	Pass  OnError = "pass"
)

// Entity is what a rule looks for.
type Entity struct {
	// Name is that of a built-in detector or of one of the operator's own.
	Name string `yaml:"name"`
	// Threshold is the least score, from 0 to 1, that counts. Default: the
	// detector's own.
	Threshold *float64 `yaml:"threshold"`
}

// UnmarshalText takes an entity that is written as its name alone.
func (e *Entity) UnmarshalText(text []byte) error {
	e.Name = string(text)
	return nil
}

// Action is what is done to what was found; one of its fields is set.
type Action struct {
	// Word is an action without settings, written by itself: redact, partial,
	// drop, block, zero.
	Word string `yaml:"-"`
	// Partial hides all but the end of each match.
	Partial *Partial `yaml:"partial"`
	// Hash writes a keyed HMAC, the same for the same text.
	Hash *Hash `yaml:"hash"`
	// Tokenize writes a token, the same for the same text, and keeps what it stands
	// for in the store.
	Tokenize *Tokenize `yaml:"tokenize"`
	// Replace writes this text.
	Replace *string `yaml:"replace"`
	// Round keeps so many digits after the point.
	Round *int `yaml:"round"`
	// TopK keeps the so many greatest values along the last dimension; the
	// others become zero.
	TopK *int `yaml:"top_k"`
	// Clip keeps values between two bounds.
	Clip []float64 `yaml:"clip"`
	// Noise adds Gaussian noise of this standard deviation.
	Noise *float64 `yaml:"noise"`
}

// UnmarshalText takes an action that is written as one word.
func (a *Action) UnmarshalText(text []byte) error {
	a.Word = string(text)
	return nil
}

// Partial is the settings of the action of that name.
type Partial struct {
	// KeepLast is how many characters stay, at most half of a match. Default: 4.
	KeepLast int `yaml:"keep_last"`
}

// SetDefaults fills in what is not set.
func (p *Partial) SetDefaults() {
	if p.KeepLast == 0 {
		p.KeepLast = defaultKeep
	}
}

// Hash is the settings of the action of that name.
type Hash struct {
	// Key refers to the HMAC's key, of at least 16 bytes, as ${NAME} or file:PATH.
	Key access.Secret `yaml:"key"`
}

// Tokenize is the settings of the action of that name.
type Tokenize struct {
	// Key refers to the key that makes tokens, of at least 16 bytes, as ${NAME} or
	// file:PATH: another key makes others.
	Key access.Secret `yaml:"key"`
	// Keep is how long it is kept what a token stands for, from its last use on; it
	// is kept for ever without it.
	Keep time.Duration `yaml:"keep"`
}

// Paths are JSONPath expressions, written as one or as a list.
type Paths []string

// UnmarshalText takes a single one.
func (p *Paths) UnmarshalText(text []byte) error {
	*p = Paths{string(text)}
	return nil
}

// Detector is one of the operator's own: exactly one of Regex, Dictionary,
// JSONPath and Presidio is set.
type Detector struct {
	// Name is the entity that it finds, as rules name it.
	Name string `yaml:"name"`
	// Regex is an expression in RE2 syntax whose matches have a greatest length.
	Regex string `yaml:"regex"`
	// Dictionary is a file of words and phrases, one a line.
	Dictionary access.File `yaml:"dictionary"`
	// JSONPath are values of JSON texts, masked as a whole; a rule that names the
	// detector has format: json.
	JSONPath Paths `yaml:"json_path"`
	// Presidio asks an analyzer service.
	Presidio *Presidio `yaml:"presidio"`
	// Context are words that raise the score of a match near them.
	Context []string `yaml:"context"`
}

// Presidio is an analyzer service, as Microsoft Presidio's POST /analyze.
type Presidio struct {
	// URL is the service's, as in http://presidio:3000.
	URL string `yaml:"url"`
	// Timeout bounds one question. Default: 2s.
	Timeout time.Duration `yaml:"timeout"`
	// Language is the texts'. Default: en.
	Language string `yaml:"language"`
	// Entities are the service's own entities that count. Default: all.
	Entities []string `yaml:"entities"`
	// Stream is what the service is shown of a stream: window (stretches of
	// text, as soon as each is there; a name across two is not seen) or whole
	// (all of it, held back to the end). Default: whole.
	Stream StreamUse `yaml:"stream"`
	// OnError is block (the call fails; the default) or pass (the text goes on
	// without the service having seen it).
	OnError OnError `yaml:"on_error"`
}

// StreamUse is what a service is shown of a stream.
type StreamUse string

// What a service is shown of a stream.
const (
	Whole  StreamUse = "whole"
	Window StreamUse = "window"
)

// Defaults and limits.
const (
	defaultKeep     = 4
	maxKeep         = 4
	defaultHoldBack = 256
	maxHoldBack     = 64 << 10
	minHashKey      = 16
	minKept         = time.Minute
	defaultTimeout  = 2 * time.Second
	maxTimeout      = time.Minute
	defaultLanguage = "en"
)

// SetDefaults fills in what is not set.
func (p *Presidio) SetDefaults() {
	if p.Timeout == 0 {
		p.Timeout = defaultTimeout
	}
	if p.Language == "" {
		p.Language = defaultLanguage
	}
	if p.Stream == "" {
		p.Stream = Whole
	}
	if p.OnError == "" {
		p.OnError = Block
	}
}

// File is a document and the name that problems call it by.
type File struct {
	Name     string
	Document Document
}

// Options are what [Compile] has to know of the rest of the configuration.
type Options struct {
	// Sources are the names of the identity sources. With more than one, a group
	// has to be written "source:group". Empty means not known.
	Sources []string
	// ReadFile reads a dictionary; os.ReadFile if nil.
	ReadFile func(name string) ([]byte, error)
	// Unread leaves keys unread, for rules that are looked at and not put in force:
	// who sent them must not learn what this machine has.
	Unread bool
	// NoTokens, if not empty, says why what tokens stand for can't be kept: rules
	// that tokenize are problems then.
	NoTokens string
	// Analyzer makes what asks a presidio service. Without it, presidio
	// detectors are problems.
	Analyzer func(Presidio) (Analyzer, error)
}
