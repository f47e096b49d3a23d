package guard

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/access"
)

// Bounds on what a guard may say.
const (
	maxGuardName = 128
	maxPattern   = 1024
	maxReason    = 1024
	maxCount     = 20
	maxWithin    = 7 * 24 * time.Hour
	maxGrant     = 90 * 24 * time.Hour
	required     = "required"
)

// checker gathers what is wrong in the files, all of it.
type checker struct {
	options  Options
	names    map[string]string // guard -> file that has it
	file     string
	problems []access.FileProblem
}

func (c *checker) add(path, format string, args ...any) {
	c.problems = append(c.problems, access.FileProblem{File: c.file, Problem: access.Problem{Path: path, Message: fmt.Sprintf(format, args...)}})
}

// guard checks and compiles one guard. What it returns is whole where there was
// no problem.
func (c *checker) guard(number int, from *Guard) *guard {
	path := fmt.Sprintf("guards[%d]", number)
	g := &guard{Guard: *from}
	c.name(path+".name", g.Name)
	c.verbs(path+".verbs", g)
	c.models(path+".models", g)
	c.callers(path, g)
	for i, h := range g.Hours {
		w, err := parseHours(h)
		if err != nil {
			c.add(fmt.Sprintf("%s.hours[%d]", path, i), "%v", err)
		}
		g.hours = append(g.hours, w)
	}
	if g.When != "" {
		c.when(path+".when", g)
	}
	file := c.denyList(path+".deny_list", g)
	c.outcome(path, g)
	if err := g.define(file); err != nil {
		c.add(path, "%v", err)
	}
	return g
}

func (c *checker) name(path, name string) {
	first, twice := c.names[name]
	switch {
	case name == "":
		c.add(path, "a guard needs a name")
	case len(name) > maxGuardName:
		c.add(path, "a guard's name has at most %d bytes", maxGuardName)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || unicode.IsSpace(r) }):
		c.add(path, "a guard's name holds printable characters only, and no blanks: callers are shown it")
	case twice:
		c.add(path, "guard %q is already defined in %s", name, first)
	default:
		c.names[name] = c.file
	}
}

func (c *checker) verbs(path string, g *guard) {
	if len(g.Verbs) == 0 {
		c.add(path, `verbs is empty; name at least one, or "*" for all verbs on models but shm`)
	}
	for i, word := range g.Verbs {
		verb, ok := access.ParseVerb(word)
		switch {
		case word == "*":
			for _, v := range access.Verbs() {
				g.verbs[v] = g.verbs[v] || v.InStar()
			}
		case !ok:
			c.add(fmt.Sprintf("%s[%d]", path, i), "unknown verb %q%s", word, access.DidYouMean(word, verbNames()))
		case !guardable(verb):
			c.add(fmt.Sprintf("%s[%d]", path, i), "%s is a verb of the admin API, whose requests guards do not look at", word)
		default:
			g.verbs[verb] = true
		}
	}
	if g.verbs[access.Load] {
		g.verbs[access.LoadOverride] = true // a load with more in it
	}
}

func guardable(v access.Verb) bool { return v.InStar() || v == access.Shm }

func verbNames() []string {
	names := []string{"*"}
	for _, v := range access.Verbs() {
		if guardable(v) {
			names = append(names, v.String())
		}
	}
	return names
}

// models also refuses verbs that could have no effect where they stand.
func (c *checker) models(path string, g *guard) {
	if len(g.Models) == 0 {
		g.Models = []string{"*"}
	}
	for i, m := range g.Models {
		c.pattern(fmt.Sprintf("%s[%d]", path, i), m)
	}
	g.everyModel = slices.ContainsFunc(g.Models, isStar)
	for _, word := range g.Verbs {
		if v, ok := access.ParseVerb(word); ok && wholeVerb(v) && !g.everyModel {
			c.add(path, `%s is never about one model; a guard about it has models: ["*"], or none`, word)
		}
	}
}

func (c *checker) pattern(path, p string) {
	switch {
	case p == "":
		c.add(path, `an empty pattern matches nothing; write "*" for everything`)
	case len(p) > maxPattern:
		c.add(path, "a pattern has at most %d bytes", maxPattern)
	}
}

// callers checks who the guard is about.
func (c *checker) callers(path string, g *guard) {
	c.groups(path+".groups", g.Groups)
	c.groups(path+".except", g.Except)
	c.subjects(path+".subjects", g.Subjects)
	c.subjects(path+".except_subjects", g.ExceptSubjects)
	for i, k := range g.Kinds {
		if k != access.User && k != access.Service {
			c.add(fmt.Sprintf("%s.kinds[%d]", path, i), "must be user or service%s", access.DidYouMean(string(k), []string{"user", "service"}))
		}
	}
}

func (c *checker) groups(path string, groups []string) {
	for i, g := range groups {
		if problem := access.GroupProblem(g, c.options.Sources); problem != "" {
			c.add(fmt.Sprintf("%s[%d]", path, i), "%s", problem)
		}
	}
}

func (c *checker) subjects(path string, subjects []string) {
	for i, s := range subjects {
		if issuer, subject, ok := strings.Cut(s, "#"); !ok || issuer == "" || subject == "" {
			c.add(fmt.Sprintf("%s[%d]", path, i), "subject %q is not of the form issuer#subject, as in https://issuer.example#alice", s)
		}
	}
}

func (c *checker) when(path string, g *guard) {
	e, err := compileExpression(g.When)
	if err != nil {
		c.add(path, "%v", err)
		return
	}
	g.program, g.tensors, g.metadata = e.program, e.tensors, e.metadata
	g.facts |= e.facts
	if e.facts&factInputs != 0 && !g.verbs[access.Infer] {
		c.add(path, "looks at inputs or outputs, which only requests to infer have; the guard is not about that verb")
	}
	if e.facts&factOverride != 0 && !g.verbs[access.LoadOverride] {
		c.add(path, "looks at what a load pushes; the guard is not about load_override")
	}
}

// outcome checks what follows where the guard holds.
func (c *checker) outcome(path string, g *guard) {
	switch {
	case g.Deny != "" && g.Approve != nil:
		c.add(path, "deny and approve exclude each other")
	case g.Deny == "" && g.Approve == nil:
		c.add(path, `guard says neither deny: "reason" nor approve: {by: [...]}; one is needed, also with observe`)
	case len(g.Deny) > maxReason || strings.ContainsFunc(g.Deny, unicode.IsControl):
		c.add(path+".deny", "a reason is one line of at most %d bytes: callers are shown it", maxReason)
	}
	if g.Approve != nil {
		c.approve(path+".approve", g.Approve, g.Observe)
	}
}

func (c *checker) approve(path string, a *Approve, observe bool) {
	if len(a.By) == 0 {
		c.add(path+".by", "by is missing: name the groups whose members may agree")
	}
	c.groups(path+".by", a.By)
	if a.Count < 1 || a.Count > maxCount {
		c.add(path+".count", "must be from 1 to %d", maxCount)
	}
	if a.Within <= 0 || a.Within > maxWithin {
		c.add(path+".within", "must be positive, and at most 7d")
	}
	if a.Grant <= 0 || a.Grant > maxGrant {
		c.add(path+".grant", "must be positive, and at most 90d")
	}
	if a.Uses < 0 {
		c.add(path+".uses", "must be positive, or 0 for any number")
	}
	if a.Reason != "" && a.Reason != required {
		c.add(path+".reason", "must be required, or not there at all")
	}
	if _, err := regexp.Compile(a.Ticket); err != nil {
		c.add(path+".ticket", "%v", err)
	}
	if a.Mode != access.Wait && a.Mode != access.Ask {
		c.add(path+".mode", "must be wait or ask%s", access.DidYouMean(string(a.Mode), []string{"wait", "ask"}))
	}
	if a.Scope != access.ScopeCall && a.Scope != access.ScopeModel {
		c.add(path+".scope", "must be call or model%s", access.DidYouMean(string(a.Scope), []string{"call", "model"}))
	}
	if c.options.Stateless && !observe {
		c.add(path, "approvals have to be kept somewhere; write store: {sqlite: PATH} into the configuration")
	}
}
