package policy

import (
	"slices"

	"github.com/sluice-gateway/sluice/access"
)

// Outline is what a policy says of roles, for an administrator: all files together.
type Outline struct {
	Roles    []OutlinedRole
	Bindings []Binding
}

// OutlinedRole is a role, its entries as they hold: "*" among verbs is written out.
type OutlinedRole struct {
	Name    string
	Entries []Entry
}

// Outline returns roles sorted by name and bindings as written. The result is the
// caller's own.
func (p *Policy) Outline() Outline {
	var o Outline
	if p == nil {
		return o
	}
	for i := range p.roles {
		r := OutlinedRole{Name: p.roles[i].name}
		for _, e := range p.roles[i].entries {
			out := Entry{Deny: e.deny}
			for k := range e.patterns {
				out.Models = append(out.Models, e.patterns[k].text)
			}
			for _, v := range access.Verbs() {
				if e.verbs.has(v) {
					out.Verbs = append(out.Verbs, v.String())
				}
			}
			r.Entries = append(r.Entries, out)
		}
		o.Roles = append(o.Roles, r)
	}
	for _, b := range p.bindings {
		o.Bindings = append(o.Bindings, Binding{Role: b.Role, Groups: slices.Clone(b.Groups), Subjects: slices.Clone(b.Subjects)})
	}
	return o
}

// RolesOf returns the names of the roles that who holds, sorted.
func (p *Policy) RolesOf(who *access.Principal) []string {
	if p == nil {
		return nil
	}
	var names []string
	for _, number := range p.resolve(who).list {
		names = append(names, p.roles[number].name)
	}
	return names
}

// Somebody is a principal that nobody has vouched for, to ask a policy about; not
// for calls.
func Somebody(issuer, subject string, groups []string) *access.Principal {
	groups = slices.Clone(groups)
	slices.Sort(groups)
	return &access.Principal{Issuer: issuer, Subject: subject, Groups: slices.Compact(groups)}
}
