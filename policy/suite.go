package policy

import (
	"fmt"
	"slices"

	"github.com/sluice-gateway/sluice/access"
)

// Suite is a file of tests of a policy, as `sluice policy test` runs them.
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
}

// Test expects the same of each of its principals on each of its models.
// Without Models the calls name no model.
type Test struct {
	Name       string   `yaml:"name"`
	Principals []string `yaml:"principals"`
	Models     []string `yaml:"models"`
	// Expect says "allow" or "deny" for each verb that is tried.
	Expect map[string]string `yaml:"expect"`
}

// Check returns everything that is wrong with the suite itself.
func (s *Suite) Check(opts Options) []access.Problem {
	c := &checker{sources: opts.Sources}
	for _, name := range sortedKeys(s.Principals) {
		c.groups("principals."+name+".groups", s.Principals[name].Groups)
	}
	if len(s.Tests) == 0 {
		c.add("tests", "suite has no tests")
	}
	for i, t := range s.Tests {
		s.checkTest(c, fmt.Sprintf("tests[%d]", i), t)
	}
	return c.found()
}

// checkTest looks for what would make a test pass or fail for a wrong reason.
func (s *Suite) checkTest(c *checker, path string, t Test) {
	if t.Name == "" {
		c.add(path+".name", "a test needs a name")
	}
	if len(t.Principals) == 0 {
		c.add(path+".principals", "test names no principal")
	}
	for i, name := range t.Principals {
		if _, known := s.Principals[name]; !known {
			c.add(fmt.Sprintf("%s.principals[%d]", path, i), "unknown principal %q%s", name, access.DidYouMean(name, sortedKeys(s.Principals)))
		}
	}
	if len(t.Expect) == 0 {
		c.add(path+".expect", "test expects nothing; write expect: {infer: allow, load: deny}")
	}
	for _, word := range sortedKeys(t.Expect) {
		if _, ok := access.ParseVerb(word); !ok {
			c.add(path+".expect."+word, "unknown verb %q%s", word, access.DidYouMean(word, verbNames()[1:]))
		}
		if effect := t.Expect[word]; effect != effectAllow && effect != effectDeny {
			c.add(path+".expect."+word, `expected %q; write "allow" or "deny"`, effect)
		}
	}
}

// Check returns what is wrong with the fixture: groups that no principal could
// have with the identity sources there are.
func (f *Fixture) Check(opts Options) []access.Problem {
	c := &checker{sources: opts.Sources}
	c.groups("groups", f.Groups)
	return c.found()
}

// Principal makes the caller that the fixture called name describes.
func (f *Fixture) Principal(name string) *access.Principal {
	p := &access.Principal{Issuer: f.Issuer, Subject: f.Subject, Name: name, Groups: slices.Clone(f.Groups)}
	if p.Subject == "" {
		p.Subject = name
	}
	return p
}

// Run tries every case of a suite that [Suite.Check] found nothing wrong with,
// tests in the order written, verbs sorted. The file is the suite's, for the
// report.
func (s *Suite) Run(p *Policy, file string) SuiteResult {
	result := SuiteResult{Name: s.Name, File: file, Cases: []CaseResult{}}
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
					result.Cases = append(result.Cases, tryCase(p, t, who, model, word))
				}
			}
		}
	}
	return result
}

// tryCase decides one case as the gateway would.
func tryCase(p *Policy, t Test, who *access.Principal, model, word string) CaseResult {
	verb, _ := access.ParseVerb(word)
	d := p.Decide(who, verb, model)
	c := CaseResult{Test: t.Name, Principal: who.Name, Verb: word, Model: model, Want: t.Expect[word], Got: effectDeny, Rule: d.Rule}
	if d.Allowed {
		c.Got = effectAllow
	}
	c.Passed = c.Got == c.Want
	return c
}
