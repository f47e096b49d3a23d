package policy

import (
	"fmt"
	"strings"

	"github.com/sluice-gateway/sluice/access"
)

// Policy is a compiled set of policy files. It never changes, and is safe for
// concurrent use. A nil Policy denies everything.
type Policy struct {
	roles    []role // sorted by name; a role's number is its place
	bindings []binding
	groups   map[string][]uint32
	subjects map[subject][]uint32

	allow, deny *index
	// mark is the owner of the memos that this policy leaves with principals.
	// It is not the policy itself, so that a principal that stays away does
	// not keep an old policy in memory.
	mark *byte
}

type role struct {
	name    string
	file    string
	entries []entry
	// What a Decision's Rule says where this role decides, made once.
	allows, denies string
}

// entry is an [Entry] as compiled.
type entry struct {
	patterns []pattern
	verbs    verbSet
	deny     bool
}

// binding is a [Binding] and where it is written.
type binding struct {
	Binding
	file  string
	place int
}

// subject is one principal.
type subject struct{ issuer, subject string }

// parseSubject cuts at the first "#": an issuer is a URL without fragment,
// and what follows may hold anything.
func parseSubject(text string) subject {
	issuer, sub, _ := strings.Cut(text, "#")
	return subject{issuer, sub}
}

// Compile checks files and compiles them into one policy. It reports all
// problems at once, in the order of the files; with any problem, there is no
// policy. No files at all make a policy that denies everything.
func Compile(files []File, opts Options) (*Policy, []access.FileProblem) {
	if problems := check(files, opts); len(problems) > 0 {
		return nil, problems
	}
	p := &Policy{groups: map[string][]uint32{}, subjects: map[subject][]uint32{}, mark: new(byte)}
	p.addRoles(files)
	numbers := map[string]uint32{}
	for i := range p.roles {
		numbers[p.roles[i].name] = uint32(i)
	}
	for _, f := range files {
		for i, b := range f.Document.Bindings {
			p.bindings = append(p.bindings, binding{b, f.Name, i})
			p.bind(b, numbers[b.Role])
		}
	}
	p.allow, p.deny = p.index(false), p.index(true)
	return p, nil
}

// addRoles numbers the roles by their names, so that the order of files and of
// Go's maps leaves no trace.
func (p *Policy) addRoles(files []File) {
	byName := map[string]role{}
	for _, f := range files {
		for name, entries := range f.Document.Roles {
			r := role{name: name, file: f.Name}
			r.allows, r.denies = r.rule(false), r.rule(true)
			for _, e := range entries {
				r.entries = append(r.entries, compileEntry(e))
			}
			byName[name] = r
		}
	}
	for _, name := range sortedKeys(byName) {
		p.roles = append(p.roles, byName[name])
	}
}

// compileEntry takes an entry that was checked: a word that is no verb is "*".
func compileEntry(e Entry) entry {
	out := entry{deny: e.Deny}
	for _, m := range e.Models {
		out.patterns = append(out.patterns, parsePattern(m))
	}
	for _, word := range e.Verbs {
		if verb, ok := access.ParseVerb(word); ok {
			out.verbs |= setOf(verb)
		} else {
			out.verbs |= starVerbs
		}
	}
	if out.deny && out.verbs.has(access.Load) {
		out.verbs |= setOf(access.LoadOverride) // a load with more in it
	}
	return out
}

func (p *Policy) bind(b Binding, role uint32) {
	for _, g := range b.Groups {
		p.groups[g] = append(p.groups[g], role)
	}
	for _, s := range b.Subjects {
		key := parseSubject(s)
		p.subjects[key] = append(p.subjects[key], role)
	}
}

// index gathers the entries that deny, or those that allow.
func (p *Policy) index(deny bool) *index {
	byPattern := map[string][]grant{}
	for i := range p.roles {
		for _, e := range p.roles[i].entries {
			if e.deny != deny {
				continue
			}
			for _, pat := range e.patterns {
				byPattern[pat.text] = append(byPattern[pat.text], grant{uint32(i), e.verbs})
			}
		}
	}
	return newIndex(byPattern, len(p.roles))
}

// rule is what a Decision's Rule says where r decides.
func (r *role) rule(deny bool) string {
	if deny {
		return "deny in role " + r.name
	}
	return "role " + r.name
}

// where is where the binding stands, as in "policy.yaml: bindings[0]".
func (b *binding) where() string { return at(b.file, fmt.Sprintf("bindings[%d]", b.place)) }

// place is where the entry stands, as in "policy.yaml: roles.viewer[0]".
func (r *role) place(entry int) string {
	return at(r.file, fmt.Sprintf("%s[%d]", rolePath(r.name), entry))
}

// at is a path in a file, as messages show it.
func at(file, path string) string {
	if file == "" {
		return path
	}
	return file + ": " + path
}
