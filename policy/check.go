package policy

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/access"
)

// Bounds on what a policy file may hold, in bytes. A model name is a folder's
// name to Triton (255 bytes); a role's name is shown to callers.
const (
	maxPattern  = 1024
	maxRoleName = 128
)

// checker gathers what is wrong in the files, all of it, so that one run
// shows an operator everything.
type checker struct {
	sources  []string
	roles    map[string]string // role -> file that defines it
	file     string
	problems []access.FileProblem
}

// add notes a problem in the file being looked at.
func (c *checker) add(path, format string, args ...any) {
	c.problems = append(c.problems, access.FileProblem{File: c.file, Problem: access.Problem{Path: path, Message: fmt.Sprintf(format, args...)}})
}

// check looks at every file. Roles are gathered first: a binding may name a
// role of a later file.
func check(files []File, opts Options) []access.FileProblem {
	c := &checker{sources: opts.Sources, roles: map[string]string{}}
	for _, f := range files {
		c.file = f.Name
		c.names(f.Document.Roles)
	}
	for _, f := range files {
		c.file = f.Name
		c.document(f.Document)
	}
	return c.problems
}

// names records which roles there are.
func (c *checker) names(roles map[string][]Entry) {
	for _, name := range sortedKeys(roles) {
		if first, twice := c.roles[name]; twice {
			c.add(rolePath(name), "role %q is already defined in %s", name, first)
			continue
		}
		c.roles[name] = c.file
	}
}

// document looks at one file.
func (c *checker) document(d Document) {
	for _, name := range sortedKeys(d.Roles) {
		c.role(name, d.Roles[name])
	}
	for i, b := range d.Bindings {
		c.binding(fmt.Sprintf("bindings[%d]", i), b)
	}
}

func (c *checker) role(name string, entries []Entry) {
	path := rolePath(name)
	switch {
	case name == "":
		c.add(path, "a role needs a name")
	case len(name) > maxRoleName:
		c.add(path, "a role's name has at most %d bytes", maxRoleName)
	case !printable(name):
		c.add(path, "a role's name holds printable characters only, and no blanks: callers are shown it")
	}
	if len(entries) == 0 {
		c.add(path, "role has no entries; write [{models: [...], verbs: [...]}] or remove it")
	}
	for i, e := range entries {
		c.entry(fmt.Sprintf("%s[%d]", path, i), e)
	}
}

// entry also refuses verbs that could have no effect where they stand. An
// entry that denies shm on some models would look like a protection.
func (c *checker) entry(path string, e Entry) {
	c.models(path+".models", e.Models)
	if len(e.Verbs) == 0 {
		c.add(path+".verbs", `verbs is empty; name at least one, or "*" for all verbs on models but shm`)
	}
	star := slices.ContainsFunc(e.Models, isStar)
	for i, word := range e.Verbs {
		at := fmt.Sprintf("%s.verbs[%d]", path, i)
		verb, ok := access.ParseVerb(word)
		switch {
		case word == "*":
		case word == access.None.String():
			c.add(at, "none is not a verb that a role can hold: probes need no role")
		case !ok:
			c.add(at, "unknown verb %q%s", word, access.DidYouMean(word, verbNames()))
		case wholeVerbs.has(verb) && !star && len(e.Models) > 0:
			c.add(at, `%s is never about one model, so this would have no effect; it needs an entry with models: ["*"]`, word)
		}
	}
}

func (c *checker) models(path string, models []string) {
	if len(models) == 0 {
		c.add(path, `models is empty; name at least one pattern, or "*" for every model`)
	}
	for i, m := range models {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case m == "":
			c.add(at, `an empty pattern matches no model; write "*" for every model`)
		case len(m) > maxPattern:
			c.add(at, "a pattern has at most %d bytes", maxPattern)
		}
	}
}

func (c *checker) binding(path string, b Binding) {
	if b.Role == "" {
		c.add(path+".role", "role is missing")
	} else if _, known := c.roles[b.Role]; !known {
		c.add(path+".role", "unknown role %q%s", b.Role, access.DidYouMean(b.Role, sortedKeys(c.roles)))
	}
	if len(b.Groups) == 0 && len(b.Subjects) == 0 {
		c.add(path, "binding has neither groups nor subjects, so nobody gets the role")
	}
	c.groups(path+".groups", b.Groups)
	for i, s := range b.Subjects {
		if issuer, subject, ok := strings.Cut(s, "#"); !ok || issuer == "" || subject == "" {
			c.add(fmt.Sprintf("%s.subjects[%d]", path, i), "subject %q is not of the form issuer#subject, as in https://issuer.example#alice", s)
		}
	}
}

func (c *checker) groups(path string, groups []string) {
	for i, g := range groups {
		if problem := access.GroupProblem(g, c.sources); problem != "" {
			c.add(fmt.Sprintf("%s[%d]", path, i), "%s", problem)
		}
	}
}

// rolePath is where a role's list is, from the root of its document.
func rolePath(name string) string { return "roles." + name }

// printable tells whether s can be shown as it is, as one word.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || unicode.IsSpace(r) })
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
