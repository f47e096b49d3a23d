package policy

import "github.com/sluice-gateway/sluice/access"

// Holders are who may do a verb to a model, as far as a policy can tell: the
// members of groups are the identity source's to know. Someone who is also
// in a denied group, or a denied subject, may not.
type Holders struct {
	Verb  string `json:"verb"`
	Model string `json:"model"`
	// Roles are all that would allow it, bound or not.
	Roles []string `json:"roles"`
	// Groups and Subjects are those that hold such a role, and Denied those
	// that hold one that denies.
	Groups         []string `json:"groups"`
	Subjects       []string `json:"subjects"`
	DeniedGroups   []string `json:"denied_groups"`
	DeniedSubjects []string `json:"denied_subjects"`
}

// WhoCan says who may do verb to model. All lists are sorted and none is nil.
func (p *Policy) WhoCan(verb access.Verb, model string) *Holders {
	h := &Holders{
		Verb: verb.String(), Model: model, Roles: []string{},
		Groups: []string{}, Subjects: []string{}, DeniedGroups: []string{}, DeniedSubjects: []string{},
	}
	if p == nil {
		return h
	}
	if names, _ := p.RolesFor(verb, model, len(p.roles)); names != nil {
		h.Roles = names
	}
	for _, g := range sortedKeys(p.groups) {
		file(p.Decide(&access.Principal{Groups: []string{g}}, verb, model), g, &h.Groups, &h.DeniedGroups)
	}
	for _, text := range p.boundSubjects() {
		s := parseSubject(text)
		file(p.Decide(&access.Principal{Issuer: s.issuer, Subject: s.subject}, verb, model), text, &h.Subjects, &h.DeniedSubjects)
	}
	return h
}

// file puts name where the decision about it belongs, if anywhere.
func file(d access.Decision, name string, allowed, denied *[]string) {
	switch {
	case d.Allowed:
		*allowed = append(*allowed, name)
	case d.Reason == access.ReasonDeniedByRole:
		*denied = append(*denied, name)
	}
}

func (p *Policy) boundSubjects() []string {
	set := map[string]bool{}
	for s := range p.subjects {
		set[s.issuer+"#"+s.subject] = true
	}
	return sortedKeys(set)
}
