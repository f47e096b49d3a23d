package policy

import "github.com/sluice-gateway/sluice/access"

// What a Decision's Rule says where no role decided.
const (
	ruleNone     = "needs no role"
	ruleNoRole   = "no role allows it"
	ruleNoPolicy = "there is no policy"
)

// Which verbs, in a call without a model, are decided by the pattern "*"
// alone; the others are decided by whatever pattern they stand with.
var (
	allowByStar = ^setOf(access.List)
	denyByStar  = wholeVerbs | setOf(access.List)
)

// Decide says whether who may do verb to model; model is "" for a call that
// names none. It allocates nothing for a principal that it has decided about
// before, and its time hardly depends on how many roles and patterns there
// are. A nil principal has no roles.
func (p *Policy) Decide(who *access.Principal, verb access.Verb, model string) access.Decision {
	switch {
	case verb == access.None:
		return access.Decision{Allowed: true, Rule: ruleNone}
	case p == nil:
		return access.Decision{Reason: access.ReasonNoRole, Rule: ruleNoPolicy}
	case who == nil || int(verb) >= access.NumVerbs:
		return access.Decision{Reason: access.ReasonNoRole, Rule: ruleNoRole}
	}
	c := p.caller(who)
	if q := (probe{caller: c, mine: c.deny, want: setOf(verb)}); p.deny.ask(&q, verb, model, denyByStar) {
		return access.Decision{Reason: access.ReasonDeniedByRole, Rule: p.roles[q.role].denies}
	}
	if q := (probe{caller: c, mine: c.allow, want: setOf(verb)}); p.allow.ask(&q, verb, model, allowByStar) {
		return access.Decision{Allowed: true, Rule: p.roles[q.role].allows}
	}
	return access.Decision{Reason: access.ReasonNoRole, Rule: ruleNoRole}
}

// Anywhere decides on verb where it is about no one model yet: it is allowed where
// any entry allows it on some model, and not denied on all. What the caller gets to
// see then is to be decided model by model.
func (p *Policy) Anywhere(who *access.Principal, verb access.Verb) access.Decision {
	if p == nil || who == nil || verb == access.None || int(verb) >= access.NumVerbs {
		return access.Decision{Reason: access.ReasonNoRole, Rule: ruleNoRole}
	}
	c := p.caller(who)
	if q := (probe{caller: c, mine: c.deny, want: setOf(verb)}); p.deny.ask(&q, verb, "", setOf(verb)) {
		return access.Decision{Reason: access.ReasonDeniedByRole, Rule: p.roles[q.role].denies}
	}
	if q := (probe{caller: c, mine: c.allow, want: setOf(verb)}); p.allow.ask(&q, verb, "", 0) {
		return access.Decision{Allowed: true, Rule: p.roles[q.role].allows}
	}
	return access.Decision{Reason: access.ReasonNoRole, Rule: ruleNoRole}
}

// ask answers q for one verb. A call without a model, or with a verb that is
// never about one, is answered by "*" itself if the verb is in byStar, and
// else by whatever pattern has the verb.
func (x *index) ask(q *probe, verb access.Verb, model string, byStar verbSet) bool {
	switch whole := model == "" || wholeVerbs.has(verb); {
	case !whole:
		x.find(q, model)
	case !byStar.has(verb):
		q.take(x.any)
	case x.star != nil:
		q.take(x.star)
	}
	return q.got != 0
}

// Visible tells whether a list may show model to who: some verb that can be
// about a model is allowed on it, and list is not denied on it.
func (p *Policy) Visible(who *access.Principal, model string) bool {
	if p == nil || who == nil || model == "" {
		return false
	}
	c := p.caller(who)
	denied := probe{caller: c, mine: c.deny, want: modelVerbs, every: true}
	p.deny.find(&denied, model)
	if denied.got.has(access.List) {
		return false
	}
	allowed := probe{caller: c, mine: c.allow, want: modelVerbs &^ denied.got}
	p.allow.find(&allowed, model)
	return allowed.got != 0
}
