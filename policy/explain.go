package policy

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/access"
)

// Explanation is a decision with all that led to it, for an operator; never
// show it to the caller.
type Explanation struct {
	Principal string   `json:"principal"`
	Groups    []string `json:"groups"`
	Verb      string   `json:"verb"`
	Model     string   `json:"model"`
	Allowed   bool     `json:"allowed"`
	// Reason is the public reason of a refusal, and Rule what decided.
	Reason string `json:"reason,omitempty"`
	Rule   string `json:"rule"`
	// Roles are those that the principal holds, sorted by name.
	Roles []HeldRole `json:"roles"`
	// Entries are those of its roles that speak about this verb and model,
	// sorted by role and in a role as written.
	Entries []MatchedEntry `json:"entries"`
}

// HeldRole is a role and the bindings that give it.
type HeldRole struct {
	Role string   `json:"role"`
	Via  []string `json:"via"`
}

// MatchedEntry is an entry that speaks about the verb and the model asked for.
type MatchedEntry struct {
	Place   string `json:"place"`
	Role    string `json:"role"`
	Effect  string `json:"effect"` // "allow" or "deny"
	Pattern string `json:"pattern"`
	// Decides marks the entry that made the decision; others of the same
	// effect would have made it too.
	Decides bool `json:"decides"`
}

// Explain decides as [Policy.Decide] does and says why. It looks at every
// binding and at every entry of the principal's roles: not for the data path.
func (p *Policy) Explain(who *access.Principal, verb access.Verb, model string) *Explanation {
	d := p.Decide(who, verb, model)
	x := &Explanation{
		Principal: who.ID(), Groups: slices.Clone(who.Groups), Verb: verb.String(), Model: model,
		Allowed: d.Allowed, Reason: d.Reason, Rule: d.Rule, Roles: []HeldRole{}, Entries: []MatchedEntry{},
	}
	if p == nil {
		return x
	}
	for _, number := range p.resolve(who).list {
		r := &p.roles[number]
		x.Roles = append(x.Roles, HeldRole{r.name, p.via(who, r.name)})
		for i := range r.entries {
			e := &r.entries[i]
			if pattern, ok := e.speaks(verb, model); ok {
				x.Entries = append(x.Entries, MatchedEntry{Place: r.place(i), Role: r.name, Effect: e.effect(), Pattern: pattern})
			}
		}
	}
	x.mark(d)
	return x
}

// mark marks the first entry that says what the decision says.
func (x *Explanation) mark(d access.Decision) {
	for i := range x.Entries {
		e := &x.Entries[i]
		if rule := (&role{name: e.Role}).rule(e.Effect == effectDeny); rule == d.Rule {
			e.Decides = true
			return
		}
	}
}

// via lists the bindings that give the role to who.
func (p *Policy) via(who *access.Principal, role string) []string {
	var via []string
	for _, b := range p.bindings {
		if b.Role != role {
			continue
		}
		for _, g := range b.Groups {
			if slices.Contains(who.Groups, g) {
				via = append(via, fmt.Sprintf("group %s (%s)", g, b.where()))
			}
		}
		for _, s := range b.Subjects {
			if parseSubject(s) == (subject{who.Issuer, who.Subject}) {
				via = append(via, fmt.Sprintf("subject %s (%s)", s, b.where()))
			}
		}
	}
	return via
}

// The words for what an entry does and a test expects.
const (
	effectAllow = "allow"
	effectDeny  = "deny"
)

func (e *entry) effect() string {
	if e.deny {
		return effectDeny
	}
	return effectAllow
}

// speaks returns the first pattern by which e is about verb and model. It is
// the rules of [index.ask] for one entry.
func (e *entry) speaks(verb access.Verb, model string) (string, bool) {
	byStar := allowByStar
	if e.deny {
		byStar = denyByStar
	}
	if !e.verbs.has(verb) {
		return "", false
	}
	whole := model == "" || wholeVerbs.has(verb)
	for i := range e.patterns {
		p := &e.patterns[i]
		if whole && (p.isStar() || !byStar.has(verb)) || !whole && p.match(model) {
			return p.text, true
		}
	}
	return "", false
}

// WriteText writes the explanation for people.
func (x *Explanation) WriteText(w io.Writer) error {
	var b strings.Builder
	verdict := "denied"
	if x.Allowed {
		verdict = "allowed"
	}
	fmt.Fprintf(&b, "%s: %s, verb %s, %s\n", verdict, access.Quote(x.Principal), x.Verb, shownModel(x.Model))
	fmt.Fprintf(&b, "decided by: %s\n", x.Rule)
	fmt.Fprintf(&b, "groups: %s\n", orNone(strings.Join(x.Groups, ", ")))
	b.WriteString("roles:" + head(len(x.Roles)))
	for _, r := range x.Roles {
		fmt.Fprintf(&b, "  %s, by %s\n", r.Role, strings.Join(r.Via, " and "))
	}
	b.WriteString("entries about it:" + head(len(x.Entries)))
	for _, e := range x.Entries {
		mark := " "
		if e.Decides {
			mark = ">"
		}
		fmt.Fprintf(&b, "%s %-5s %s, by pattern %q\n", mark, e.Effect, e.Place, e.Pattern)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// head ends the line above a list of n.
func head(n int) string {
	if n == 0 {
		return " none\n"
	}
	return "\n"
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func shownModel(model string) string {
	if model == "" {
		return "no model"
	}
	return "model " + access.Quote(model)
}
