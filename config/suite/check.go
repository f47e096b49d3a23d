package suite

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/access"
)

// Options are what [Suite.Check] has to know of the policy.
type Options struct {
	// Sources are the names of the identity sources; empty means not known.
	Sources []string
	// Guards are the names of the policy's guards; nil means not known.
	Guards []string
}

type checker struct {
	Options
	problems []access.Problem
}

func (c *checker) add(path, format string, args ...any) {
	c.problems = append(c.problems, access.Problem{Path: path, Message: fmt.Sprintf(format, args...)})
}

// Check returns everything that is wrong with the suite itself.
func (s *Suite) Check(o Options) []access.Problem {
	c := &checker{Options: o}
	for _, name := range sortedKeys(s.Principals) {
		f := s.Principals[name]
		for _, p := range f.Check(o) {
			c.add("principals."+name+"."+p.Path, "%s", p.Message)
		}
	}
	if len(s.Tests) == 0 {
		c.add("tests", "suite has no tests")
	}
	for i := range s.Tests {
		s.checkTest(c, fmt.Sprintf("tests[%d]", i), &s.Tests[i])
	}
	return c.problems
}

// Check returns what is wrong with the fixture: groups that no principal could
// have with the identity sources there are, a kind that is none.
func (f *Fixture) Check(o Options) []access.Problem {
	c := &checker{}
	for i, g := range f.Groups {
		if problem := access.GroupProblem(g, o.Sources); problem != "" {
			c.add(fmt.Sprintf("groups[%d]", i), "%s", problem)
		}
	}
	if f.Kind != "" && f.Kind != access.User && f.Kind != access.Service {
		c.add("kind", "must be user or service%s", access.DidYouMean(string(f.Kind), []string{"user", "service"}))
	}
	return c.problems
}

// checkTest looks for what would make a test pass or fail for a wrong reason.
func (s *Suite) checkTest(c *checker, path string, t *Test) {
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
	c.expect(path, t)
	c.details(path, t)
}

// expect checks what a test expects, and that its request is one for these verbs.
func (c *checker) expect(path string, t *Test) {
	if len(t.Expect) == 0 {
		c.add(path+".expect", "test expects nothing; write expect: {infer: allow, load: deny}")
	}
	wrong := map[string]bool{} // the same for several verbs is said once
	for _, word := range sortedKeys(t.Expect) {
		at := path + ".expect." + word
		if _, ok := access.ParseVerb(word); !ok {
			c.add(at, "unknown verb %q%s", word, access.DidYouMean(word, verbNames()))
			continue
		}
		effect := t.Expect[word]
		switch {
		case !slices.Contains(effects, string(effect)):
			c.add(at, `expected %q; write "allow", "deny", "approve" (a guard asks for it) or "access" (it may be asked for ahead)`, string(effect))
		case effect == Approve && t.Request == nil:
			c.add(at, "approve is what guards say, and they are asked about a request; say what is in it, request: {} if nothing")
		}
		if _, err := t.call(nil, "", word); err != nil && !wrong[err.Error()] {
			wrong[err.Error()] = true
			key, message, _ := strings.Cut(err.Error(), ": ")
			c.add(path+".request."+key, "%s", message)
		}
	}
}

// details checks what a test expects beside the effect.
func (c *checker) details(path string, t *Test) {
	expects := func(some ...Effect) bool {
		return slices.ContainsFunc(slices.Collect(maps.Values(t.Expect)), func(e Effect) bool { return slices.Contains(some, e) })
	}
	if t.Request == nil && len(t.Guards)+len(t.Observed) > 0 {
		c.add(path, "guards are asked about a request; say what is in it, request: {} if nothing")
	}
	if len(t.Guards) > 0 && !expects(Deny, Approve) {
		c.add(path+".guards", "no guard decides where all is expected to be allowed; observed names those that only observe")
	}
	if len(t.By) > 0 && !expects(Approve, Ahead) {
		c.add(path+".by", "nobody is asked: no verb is expected to be approve or access")
	}
	for key, names := range map[string][]string{"guards": t.Guards, "observed": t.Observed} {
		for i, name := range names {
			if c.Guards != nil && !slices.Contains(c.Guards, name) {
				c.add(fmt.Sprintf("%s.%s[%d]", path, key, i), "unknown guard %q%s", name, access.DidYouMean(name, c.Guards))
			}
		}
	}
}

func verbNames() (names []string) {
	for _, v := range access.Verbs() {
		names = append(names, v.String())
	}
	return names
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
