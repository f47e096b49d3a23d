package guard

import (
	"time"

	"github.com/sluice-gateway/sluice/access"
)

// Document is what one policy file says about guards.
type Document struct {
	// Guards look at requests that a role allows. One that denies wins over all
	// that ask for approval, in whatever order they are written.
	Guards []Guard `yaml:"guards"`
}

// Guard is one rule about requests. It holds for a request if everything that is
// written in it does; exactly one of Deny and Approve says what follows.
type Guard struct {
	// Name is what refusals, records, metrics and approvals call the guard; no two
	// guards share one.
	Name string `yaml:"name"`
	// Verbs are what it is about; "*" is every verb on models but shm. A guard
	// about load is about load_override too.
	Verbs []string `yaml:"verbs"`
	// Models are patterns of whole names. Default: ["*"].
	Models []string `yaml:"models"`
	// Groups limit it to their members; with Subjects, to both together.
	Groups []string `yaml:"groups"`
	// Subjects limit it to these callers, written "issuer#subject".
	Subjects []string `yaml:"subjects"`
	// Kinds limit it to people (user) or to programs (service).
	Kinds []access.Kind `yaml:"kinds"`
	// Except are groups for whose members it does not hold.
	Except []string `yaml:"except"`
	// ExceptSubjects are callers for whom it does not hold, written "issuer#subject".
	ExceptSubjects []string `yaml:"except_subjects"`
	// When is a condition in CEL.
	When string `yaml:"when"`
	// Hours are times of the week; it holds in any of them.
	Hours []Hours `yaml:"hours"`
	// DenyList are things that a request must not hold; it holds if the request
	// has any of them.
	DenyList *DenyList `yaml:"deny_list"`
	// Deny refuses the call, and is the reason that its caller is told.
	Deny string `yaml:"deny"`
	// Approve has the call wait for people.
	Approve *Approve `yaml:"approve"`
	// Observe only counts what the guard would have done.
	Observe bool `yaml:"observe"`
}

// Hours is a stretch of time that comes again each week.
type Hours struct {
	// Days are mon, tue, wed, thu, fri, sat, sun, or ranges as mon-fri. Default:
	// every day. A stretch over midnight belongs to the day on which it begins.
	Days []string `yaml:"days"`
	// From is when it begins, as 18:00. Default: 00:00.
	From string `yaml:"from"`
	// To is when it is over, as 06:00. Default: 24:00.
	To string `yaml:"to"`
	// TZ is the time zone, as Europe/Berlin. Default: UTC.
	TZ string `yaml:"tz"`
}

// SetDefaults fills in what is not set.
func (h *Hours) SetDefaults() { h.From, h.To, h.TZ = "00:00", "24:00", "UTC" }

// Approve says who has to agree to a call, and what that gives.
type Approve struct {
	// By are groups; each approver is in one of them.
	By []string `yaml:"by"`
	// Count is how many people have to agree. Default: 1.
	Count int `yaml:"count"`
	// Within is how long a request is open. Default: 15m.
	Within time.Duration `yaml:"within"`
	// Grant is how long the permission lasts. Default: 1h.
	Grant time.Duration `yaml:"grant"`
	// Reason is required where the caller has to say why (metadata sluice-reason).
	Reason string `yaml:"reason"`
	// Ticket is an expression (RE2) that the whole of the caller's ticket has to
	// match (metadata sluice-ticket).
	Ticket string `yaml:"ticket"`
	// Mode is wait (the call waits; the default) or ask (it is refused at once with
	// the request's id, and may be repeated once approved).
	Mode access.Mode `yaml:"mode"`
	// Scope is call (the permission holds for this very call; the default) or model
	// (for any call of the verb on the model).
	Scope access.Scope `yaml:"scope"`
	// Uses is how many calls the permission is good for. Default: 0, any number.
	Uses int `yaml:"uses"`
}

// Defaults of approvals.
const (
	defaultCount  = 1
	defaultWithin = 15 * time.Minute
	defaultGrant  = time.Hour
)

// SetDefaults fills in what is not set.
func (a *Approve) SetDefaults() {
	a.Count, a.Within, a.Grant = defaultCount, defaultWithin, defaultGrant
	a.Mode, a.Scope = access.Wait, access.ScopeCall
}

// DenyList are ready-made checks. What is not set is not looked for.
type DenyList struct {
	// Text are expressions that no text input may match.
	Text *TextList `yaml:"text"`
	// Parameters are names and values that no parameter may have: of the request,
	// its inputs and its requested outputs, or inside sampling_parameters.
	Parameters *ParameterList `yaml:"parameters"`
	// Override are patterns of what a load may not push: keys of its configuration
	// (backend, parameters) and of its parameters ("file:*").
	Override []string `yaml:"override"`
	// MaxTokens is the most tokens that may be asked for.
	MaxTokens int64 `yaml:"max_tokens"`
	// MaxBytes is the greatest size of a message.
	MaxBytes access.Size `yaml:"max_bytes"`
	// MaxBatch is the greatest first dimension of an input.
	MaxBatch int64 `yaml:"max_batch"`
}

// TextList are expressions over texts.
type TextList struct {
	// Tensors are patterns of the names of BYTES inputs. Default: ["*"].
	Tensors []string `yaml:"tensors"`
	// Patterns are expressions in RE2 syntax, each matched against each element.
	Patterns []string `yaml:"patterns"`
	// File has more of them, one a line; blank lines and those that begin with #
	// are left out.
	File access.File `yaml:"file"`
}

// ParameterList are patterns over parameters.
type ParameterList struct {
	// Names are patterns of whole names; "*" is any run of bytes.
	Names []string `yaml:"names"`
	// Values are expressions in RE2 syntax.
	Values []string `yaml:"values"`
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
	// ReadFile reads what a guard names; os.ReadFile if nil.
	ReadFile func(name string) ([]byte, error)
	// Stateless tells that nothing is kept: guards that ask for approval are
	// problems then.
	Stateless bool
}
