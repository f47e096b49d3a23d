package guard

import (
	"crypto/sha256"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"

	"github.com/sluice-gateway/sluice/access"
)

// guard is a [Guard] as compiled.
type guard struct {
	Guard
	verbs      [access.NumVerbs]bool
	everyModel bool
	definition [sha256.Size]byte
	need       *access.Need // where it asks for approval

	program  cel.Program // of When; nil without
	facts    facts       // what it has to know of a request
	tensors  []string    // inputs that When names, whose data it reads
	metadata named       // what When names of the metadata
	hours    []window

	patterns   []*regexp.Regexp // of DenyList.Text
	textInputs []string
	values     []*regexp.Regexp // of DenyList.Parameters
}

// matches tells whether the guard is about a model.
func (g *guard) matches(model string) bool {
	return g.everyModel || slices.ContainsFunc(g.Models, func(p string) bool { return access.Match(p, model) })
}

// about tells whether the guard is about a caller.
func (g *guard) about(who *access.Principal) bool {
	if who == nil {
		return true // nobody that an exception could be for
	}
	in := func(groups, subjects []string) bool {
		return slices.ContainsFunc(groups, func(name string) bool { return slices.Contains(who.Groups, name) }) ||
			len(subjects) > 0 && slices.Contains(subjects, who.ID())
	}
	switch {
	case in(g.Except, g.ExceptSubjects):
		return false
	case len(g.Kinds) > 0 && !slices.Contains(g.Kinds, who.Kind):
		return false
	case len(g.Groups) == 0 && len(g.Subjects) == 0:
		return true
	}
	return in(g.Groups, g.Subjects)
}

func (g *guard) reads(f facts) bool { return g.facts&f != 0 }

// Compile checks the guards of files and compiles them into one policy. It
// reports all problems at once, in the order of the files; with any problem,
// there is no policy.
func Compile(files []File, opts Options) (*Policy, []access.FileProblem) {
	if opts.ReadFile == nil {
		opts.ReadFile = os.ReadFile
	}
	c := &checker{options: opts, names: map[string]string{}}
	p := &Policy{}
	for _, f := range files {
		c.file = f.Name
		for i := range f.Document.Guards {
			p.guards = append(p.guards, c.guard(i, &f.Document.Guards[i]))
		}
	}
	if len(c.problems) > 0 {
		return nil, c.problems
	}
	for _, g := range p.guards {
		for v, about := range g.verbs {
			p.verbs[v] = p.verbs[v] || about
		}
	}
	p.whole = *p.setsOf(func(g *guard, v access.Verb) bool { return g.everyModel || v != access.List })
	return p, nil
}

// define sets what a grant is bound to: everything that is written in the guard,
// and in the file that it names.
func (g *guard) define(file []byte) error {
	text, err := json.Marshal(g.Guard)
	if err != nil {
		return err
	}
	h := sha256.New()
	h.Write([]byte("sluice guard 1\n"))
	h.Write(text)
	h.Write([]byte{'\n'})
	h.Write(file)
	h.Sum(g.definition[:0])
	if a := g.Approve; a != nil {
		g.need = &access.Need{Guard: g.Name, Definition: g.definition, Terms: access.Terms{
			By: a.By, Count: a.Count, Within: a.Within, Grant: a.Grant, Reason: a.Reason == required,
			Ticket: a.Ticket, Mode: a.Mode, Scope: a.Scope, Uses: a.Uses,
		}}
	}
	return nil
}

// isStar tells whether a pattern is "*", also where it is written "**".
func isStar(text string) bool { return text != "" && strings.Trim(text, "*") == "" }
