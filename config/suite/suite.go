// Package suite tests policies: files of principals, requests and what is to be
// decided about them, as `sluice policy test` runs them. A suite asks the rules that a
// gateway would ask, and no gateway.
package suite

import (
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/policy/guard"
)

// Suite is a file of tests of a policy.
type Suite struct {
	Name string `yaml:"name"`
	// Principals are the callers that tests name.
	Principals map[string]Fixture `yaml:"principals"`
	Tests      []Test             `yaml:"tests"`
}

// Fixture is a caller made up for tests. Subject is the fixture's own name
// unless given.
type Fixture struct {
	Issuer  string   `yaml:"issuer"`
	Subject string   `yaml:"subject"`
	Groups  []string `yaml:"groups"`
	// Kind is user (the default) or service.
	Kind access.Kind `yaml:"kind"`
}

// Test expects the same of each of its principals on each of its models.
// Without Models the calls name no model.
type Test struct {
	Name       string   `yaml:"name"`
	Principals []string `yaml:"principals"`
	Models     []string `yaml:"models"`
	// Request is what the calls hold. Guards are asked only where it is there, an empty
	// one if need be. It was made on a Monday at noon (UTC) if it does not say when.
	Request *guard.Content `yaml:"request"`
	// Expect says for each verb that is tried what is to come of it, an [Effect].
	Expect map[string]Effect `yaml:"expect"`
	// Guards are to be those that decide where deny or approve is expected: the one that
	// denies, all that ask for approval.
	Guards []string `yaml:"guards"`
	// By are to be the groups that are asked where approve or access is expected.
	By []string `yaml:"by"`
	// Observed are to be the guards that only observe and would have done something.
	Observed []string `yaml:"observed"`
}

// Effect is what comes of a call.
type Effect string

// The effects. A call that may be asked for ahead is denied, too.
const (
	Allow   Effect = "allow"
	Deny    Effect = "deny"
	Approve Effect = "approve" // a guard has it wait for people
	Ahead   Effect = "access"  // roles deny it, and an access entry lets the caller ask ahead
)

var effects = []string{string(Allow), string(Deny), string(Approve), string(Ahead)}

// noon is when requests were made that do not say it: a suite gives the same at any
// time of the day.
var noon = time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)

// Principal makes the caller that the fixture called name describes.
func (f *Fixture) Principal(name string) *access.Principal {
	p := &access.Principal{Issuer: f.Issuer, Subject: f.Subject, Name: name, Kind: f.Kind}
	p.Groups = slices.Compact(slices.Sorted(slices.Values(f.Groups)))
	if p.Subject == "" {
		p.Subject = name
	}
	if p.Kind == "" {
		p.Kind = access.User
	}
	return p
}

// Run tries every case of a suite that [Suite.Check] found nothing wrong with,
// tests in the order written, verbs sorted. The file is the suite's, for the
// report.
func (s *Suite) Run(rules *config.Rules, file string) Result {
	result := Result{Name: s.Name, File: file, Cases: []Case{}}
	if result.Name == "" {
		result.Name = file
	}
	for _, t := range s.Tests {
		models := t.Models
		if len(models) == 0 {
			models = []string{""}
		}
		for _, name := range t.Principals {
			fixture := s.Principals[name]
			who := fixture.Principal(name)
			for _, model := range models {
				for _, word := range sortedKeys(t.Expect) {
					result.Cases = append(result.Cases, t.try(rules, who, model, word))
				}
			}
		}
	}
	return result
}

// call makes one call of a test; the error says which key of its request is wrong.
func (t *Test) call(who *access.Principal, model, word string) (*guard.Request, error) {
	c := guard.Recorded{Verb: word, Model: model}
	if t.Request != nil {
		c.Content = *t.Request
	}
	if c.Time.IsZero() {
		c.Time = noon
	}
	r, err := c.Request()
	if err != nil {
		return nil, err
	}
	r.Principal = who
	return r, nil
}

// try decides one case as the gateway would.
func (t *Test) try(rules *config.Rules, who *access.Principal, model, word string) Case {
	c := Case{Test: t.Name, Principal: who.Name, Verb: word, Model: model, Want: t.Expect[word]}
	call, err := t.call(who, model, word)
	if err != nil { // which Check reports
		c.Got, c.Rule = Deny, err.Error()
		return c
	}
	if t.Request == nil {
		asked := *rules
		asked.Guards = nil
		c.judge(t, asked.Judge(call))
		if c.Got == Allow {
			c.Unasked = rules.Guards.For(call.Verb, model).Guards(who)
		}
		return c
	}
	c.judge(t, rules.Judge(call))
	return c
}

// judge compares what is decided with what is expected.
func (c *Case) judge(t *Test, v *config.Verdict) {
	c.Got, c.Rule, c.Guards, c.Observed = Allow, v.Rule(), v.Names(), v.Guards.WouldHave
	switch {
	case v.Held():
		c.Got, c.By = Approve, v.By()
	case v.Denied():
		c.Got = Deny
		if v.Ahead != nil && c.Want == Ahead {
			c.Got, c.By = Ahead, v.By()
		}
	}
	c.compare(t)
}

// compare tells whether the case came out as expected. Who decides and who is asked
// is expected of the verbs that are not allowed.
func (c *Case) compare(t *Test) {
	var guards, by []string
	if c.Want == Deny || c.Want == Approve {
		guards = t.Guards
	}
	if c.Want == Approve || c.Want == Ahead {
		by = t.By
	}
	c.Passed = c.Got == c.Want && same(guards, c.Guards) && same(by, c.By) && same(t.Observed, c.Observed)
	c.wanted = string(c.Want)
	if len(guards) > 0 {
		c.wanted += " (guard " + strings.Join(guards, ", guard ") + ")"
	}
	c.wanted = described(c.wanted, by, t.Observed)
}

// same tells whether there is what is expected, in any order; nothing expected is
// anything.
func same(want, got []string) bool {
	return len(want) == 0 || slices.Equal(slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(got)))
}
