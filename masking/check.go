package masking

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/access"
)

// Bounds on what a policy file may hold.
const (
	maxRules    = 256
	maxPattern  = 1024 // bytes
	maxName     = 128
	maxReplaced = 1024
)

// checker gathers what is wrong in the files, all of it, and what they compile
// to as far as nothing is.
type checker struct {
	opts      Options
	file      string
	detectors map[string]*detector
	rules     map[string]string // name -> file that defines it
	compiled  []*rule
	problems  []access.FileProblem
}

// add notes a problem in the file being looked at.
func (c *checker) add(path, format string, args ...any) {
	c.problems = append(c.problems, access.FileProblem{File: c.file, Problem: access.Problem{Path: path, Message: fmt.Sprintf(format, args...)}})
}

// files looks at every file. Detectors come first: a rule may name one of a
// later file.
func (c *checker) files(files []File) {
	for _, f := range files {
		c.file = f.Name
		for i, d := range f.Document.Detectors {
			c.detector(fmt.Sprintf("detectors[%d]", i), d)
		}
	}
	for _, f := range files {
		c.file = f.Name
		for i := range f.Document.Masking {
			c.rule(fmt.Sprintf("masking[%d]", i), &f.Document.Masking[i])
		}
	}
	if len(c.compiled) > maxRules {
		c.add("masking", "more than %d rules", maxRules)
	}
}

// rule checks one rule and compiles it.
func (c *checker) rule(path string, r *Rule) {
	before := len(c.problems)
	c.name(path+".name", r.Name)
	c.models(path+".models", r.Models)
	c.groups(path+".except", r.Except)
	out := &rule{
		number: len(c.compiled), name: r.Name, file: c.file, models: r.Models,
		except: r.Except, observe: r.Observe, mode: r.Mode, format: r.Format, onError: r.OnError,
	}
	c.words(path, r)
	c.tensors(path, r, out)
	out.action = c.action(path+".action", r, out)
	if len(r.Entities) > 0 {
		c.textRule(path, r, out)
	} else {
		c.wholeRule(path, r, out)
	}
	if len(c.problems) == before {
		c.sets(path, r, out)
	}
	c.compiled = append(c.compiled, out)
}

func (c *checker) name(path, name string) {
	switch {
	case name == "":
		c.add(path, "a rule needs a name: records and refusals show it")
		return
	case len(name) > maxName || !printable(name):
		c.add(path, "a rule's name has at most %d bytes of printable characters and no blanks", maxName)
		return
	}
	if first, twice := c.rules[name]; twice {
		c.add(path, "rule %q is already defined%s", name, in(first))
		return
	}
	c.rules[name] = c.file
}

func in(file string) string {
	if file == "" {
		return ""
	}
	return " in " + file
}

func (c *checker) models(path string, models []string) {
	if len(models) == 0 {
		c.add(path, `models is empty; name at least one pattern, or "*" for every model`)
	}
	for i, m := range models {
		c.pattern(fmt.Sprintf("%s[%d]", path, i), m)
	}
}

func (c *checker) pattern(path, pattern string) {
	switch {
	case pattern == "":
		c.add(path, `an empty pattern matches nothing; write "*" for everything`)
	case len(pattern) > maxPattern:
		c.add(path, "a pattern has at most %d bytes", maxPattern)
	}
}

// words checks the keys that take one of a few words.
func (c *checker) words(path string, r *Rule) {
	word(c, path+".mode", r.Mode, Delta, Cumulative, Independent)
	word(c, path+".format", r.Format, Text, JSON)
	word(c, path+".on_error", r.OnError, Block, Pass)
}

func word[W ~string](c *checker, path string, w W, known ...W) {
	if w == "" || slices.Contains(known, w) {
		return
	}
	var names []string
	for _, k := range known {
		names = append(names, string(k))
	}
	c.add(path, "unknown word %q%s; it is one of %s", string(w), access.DidYouMean(string(w), names), strings.Join(names, ", "))
}

func (c *checker) groups(path string, groups []string) {
	for i, g := range groups {
		if problem := access.GroupProblem(g, c.opts.Sources); problem != "" {
			c.add(fmt.Sprintf("%s[%d]", path, i), "%s", problem)
		}
	}
}

// printable tells whether s can be shown as it is, as one word.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || unicode.IsSpace(r) })
}
