package approval

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/access"
)

// Bounds on what a policy file may hold.
const (
	maxPattern = 1024 // bytes
	maxCount   = 16   // people
	maxAhead   = 30 * 24 * time.Hour
	maxWithin  = 7 * 24 * time.Hour
)

// checker gathers what is wrong in the files.
type checker struct {
	sources  []string
	file     string
	problems []access.FileProblem
}

func (c *checker) add(path, format string, args ...any) {
	c.problems = append(c.problems, access.FileProblem{File: c.file, Problem: access.Problem{Path: path, Message: fmt.Sprintf(format, args...)}})
}

// entry checks one entry and compiles it.
func (c *checker) entry(i int, written Entry) *entry {
	path := fmt.Sprintf("access[%d]", i)
	e := &entry{Entry: written, reason: written.Reason == "required"}
	setDefault(&e.Count, 1)
	setDefault(&e.Within, defaultWithin)
	c.models(path+".models", e.Models)
	c.verbs(path+".verbs", e)
	c.groups(path+".for", "who may ask", e.For)
	c.groups(path+".by", "who approves", e.By)
	if e.Max <= 0 || e.Max > maxAhead {
		c.add(path+".max", "must be a time up to %v, as in 4h: nobody gets more than that", maxAhead)
	}
	if e.Count < 1 || e.Count > maxCount {
		c.add(path+".count", "must be 1 to %d people", maxCount)
	}
	if e.Within < time.Minute || e.Within > maxWithin {
		c.add(path+".within", "must be %v to %v: so long people have to decide", time.Minute, maxWithin)
	}
	if e.Reason != "" && !e.reason {
		c.add(path+".reason", "must be required, or be left out")
	}
	if _, err := regexp.Compile(e.Ticket); err != nil {
		c.add(path+".ticket", "is not an expression of RE2: %v", err)
	}
	e.define()
	return e
}

func (c *checker) models(path string, models []string) {
	if len(models) == 0 {
		c.add(path, `models is empty; name at least one pattern, or "*" for every model`)
	}
	for i, m := range models {
		if m == "" || len(m) > maxPattern {
			c.add(fmt.Sprintf("%s[%d]", path, i), "a pattern has 1 to %d bytes", maxPattern)
		}
	}
}

// star tells whether a pattern matches every name.
func star(pattern string) bool { return pattern != "" && strings.Trim(pattern, "*") == "" }

// verbs reads the verbs of an entry. Those that are not about models can't be
// asked for: who could ask for approve or admin could give himself the rest.
func (c *checker) verbs(path string, e *entry) {
	if len(e.Verbs) == 0 {
		c.add(path, `verbs is empty; name at least one, or "*" for all verbs on models but shm`)
	}
	known := []string{"*"}
	for _, v := range access.Verbs() {
		if v <= access.Shm {
			known = append(known, v.String())
		}
	}
	for i, word := range e.Entry.Verbs {
		at := fmt.Sprintf("%s[%d]", path, i)
		v, ok := access.ParseVerb(word)
		switch {
		case word == "*":
			for _, v := range access.Verbs() {
				e.verbs[v] = e.verbs[v] || v.InStar()
			}
		case !ok:
			c.add(at, "unknown verb %q%s", word, access.DidYouMean(word, known))
		case v > access.Shm:
			c.add(at, "%s can't be asked for, only verbs on models; bind a role that has it", word)
		case whole(v) && !slices.ContainsFunc(e.Models, star):
			c.add(at, `%s is never about one model, so this would have no effect; it needs an entry with models: ["*"]`, word)
		default:
			e.verbs[v] = true
		}
	}
}

// groups checks the groups of a list, which must not be empty.
func (c *checker) groups(path, what string, groups []string) {
	if len(groups) == 0 {
		c.add(path, "is missing: name the groups of %s", what)
	}
	for i, g := range groups {
		if problem := access.GroupProblem(g, c.sources); problem != "" {
			c.add(fmt.Sprintf("%s[%d]", path, i), "%s", problem)
		}
	}
}
