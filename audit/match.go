package audit

import (
	"slices"
	"strings"
)

// Matches tells whether a record is what the query asks for, words and cursors
// aside. Logs find candidates by their indexes and ask this for certainty.
func (q *Query) Matches(r *Record) bool {
	return q.inTime(r) && q.byWhom(r) && q.ofWhat(r) && q.withEnd(r)
}

func (q *Query) inTime(r *Record) bool {
	return (q.Since.IsZero() || !r.Time.Before(q.Since)) && (q.Until.IsZero() || r.Time.Before(q.Until))
}

func is(want, have string) bool { return want == "" || want == have }

func (q *Query) byWhom(r *Record) bool {
	return is(q.Replica, r.Replica) && is(q.Session, r.Session) && is(q.Call, r.Call) &&
		q.principal(r) &&
		(q.Group == "" || slices.Contains(r.Groups, q.Group))
}

func (q *Query) principal(r *Record) bool {
	if strings.Contains(q.Principal, "#") {
		return q.Principal == r.PrincipalID()
	}
	return is(q.Principal, r.Subject)
}

func (q *Query) ofWhat(r *Record) bool {
	return is(q.Model, r.Model) && is(q.Verb, r.Verb) && is(q.Object, r.Object) &&
		(len(q.Kinds) == 0 || slices.Contains(q.Kinds, r.Kind))
}

func (q *Query) withEnd(r *Record) bool {
	return (q.Verdict == 0 || q.Verdict == r.Verdict) && is(q.Rule, r.Rule) && is(q.Guard, r.Guard) &&
		(q.Status == nil || *q.Status == r.Status) && q.approved(r.Approval) && q.masked(r)
}

func (q *Query) approved(a *Approval) bool {
	if q.Approval == "" && q.Approver == "" {
		return true
	}
	return a != nil && (q.Approval == "" || q.Approval == a.Request || q.Approval == a.Grant) &&
		(q.Approver == "" || slices.Contains(a.Approvers, q.Approver))
}

func (q *Query) masked(r *Record) bool {
	if q.Entity == "" {
		return true
	}
	return r.Masked[q.Entity] > 0 || r.Observed[q.Entity] > 0
}
