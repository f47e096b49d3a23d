package policy

import "github.com/sluice-gateway/sluice/access"

// caller returns what p knows of who. It is worked out once for a principal
// and kept in the principal's memo, until another policy asks.
func (p *Policy) caller(who *access.Principal) *caller {
	if m := who.Memo(); m != nil && m.Owner == any(p.mark) {
		return m.Value.(*caller)
	}
	c := p.resolve(who)
	who.SetMemo(&access.Memo{Owner: p.mark, Value: c})
	return c
}

// resolve finds the principal's roles by its groups and by who it is.
func (p *Policy) resolve(who *access.Principal) *caller {
	set := newBitset(len(p.roles))
	for _, g := range who.Groups {
		for _, r := range p.groups[g] {
			set.add(r)
		}
	}
	for _, r := range p.subjects[subject{who.Issuer, who.Subject}] {
		set.add(r)
	}
	list := set.members()
	return &caller{set: set, list: list, allow: p.allow.itemsOf(list), deny: p.deny.itemsOf(list)}
}
