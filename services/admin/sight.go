package admin

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/approval"
)

// holds tells whether who may do verb on the gateway as a whole.
func (s *Service) holds(who *access.Principal, verb access.Verb) bool {
	return s.Policy.Decide(who, verb, "").Allowed
}

// seesAll tells whether who may see what everybody asked for and was given.
func (s *Service) seesAll(who *access.Principal) bool {
	return s.holds(who, access.Admin) || s.holds(who, access.AuditRead)
}

// seesRequest tells whether who gets to see a request: his own, and those that a
// group of his decides about. Whether he may decide himself is another question
// ([Service.mayDecide]): who may not is told why.
func seesRequest(who *access.Principal, all bool, r *approval.Request) bool {
	return all || r.Requester.Is(who) || inGroups(who, r.By)
}

// seesGrant tells whether who gets to see a grant: his own, those that he has
// approved, and those that he may revoke.
func seesGrant(who *access.Principal, all bool, g *approval.Grant) bool {
	return all || g.MayRevoke(who) || slices.ContainsFunc(g.Approvals, func(v approval.Vote) bool { return v.By.Is(who) })
}

// mayDecide says why who may not approve or deny r, or nil: it takes a person of
// the request's groups, to whom no role denies the verb approve on its model. The
// groups give the right: who wrote them said who decides.
func (s *Service) mayDecide(who *access.Principal, r *approval.Request) *access.Error {
	if refused := r.MayApprove(who); refused != nil {
		return refused
	}
	if d := s.Policy.Decide(who, access.Approve, r.Model); d.Reason == access.ReasonDeniedByRole || s.Policy.Policy() == nil {
		return s.Policy.Refusal(who, access.Approve, r.Model, d)
	}
	return nil
}

// decide is mayDecide, written down in the call.
func (s *Service) decide(call *access.Call, r *approval.Request) *access.Error {
	refused := s.mayDecide(call.Principal, r)
	if refused != nil {
		call.Decision = access.Decision{Reason: refused.Reason, Rule: "not an approver of the request"}
		return refused
	}
	call.Decision = access.Decision{Allowed: true, Rule: "approver of the request"}
	return nil
}

func inGroups(who *access.Principal, groups []string) bool {
	return who != nil && slices.ContainsFunc(groups, func(g string) bool {
		_, in := slices.BinarySearch(who.Groups, g)
		return in
	})
}

func malformed(format string, args ...any) *access.Error {
	return &access.Error{Kind: access.Malformed, Reason: access.ReasonMalformed, Message: fmt.Sprintf(format, args...)}
}

// notFound is the answer about what is not there, or is not the caller's to see.
func notFound(what, id, list string) *access.Error {
	return &access.Error{
		Kind: access.NotFound, Reason: access.ReasonNotFound,
		Message: fmt.Sprintf("there is no %s %s, or it is not yours to see; %s", what, access.Quote(id), list),
	}
}

// asNotFound makes one text of what a store says about what is not there.
func asNotFound(err error, what, id, list string) error {
	if e, ok := access.AsError(err); ok && e.Kind == access.NotFound {
		return notFound(what, id, list)
	}
	return err
}

// Limits of what callers write, in bytes.
const (
	maxReason = 500
	maxTicket = 200
	maxID     = 200
)

// checkText bounds a text for people, and keeps what moves a terminal's cursor
// out of it.
func checkText(field, text string, most int) *access.Error {
	switch {
	case len(text) > most:
		return malformed("%s is longer than %d bytes", field, most)
	case !utf8.ValidString(text), strings.ContainsFunc(text, func(r rune) bool {
		return unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Bidi_Control, r)
	}):
		return malformed("%s holds control characters; use printable text", field)
	}
	return nil
}

// checkReason is checkText of a reason and a ticket.
func checkReason(reason, ticket string) *access.Error {
	if refused := checkText("reason", reason, maxReason); refused != nil {
		return refused
	}
	return checkText("ticket", ticket, maxTicket)
}

// checkID refuses what can't be an object's id before anybody looks for it.
func checkID(id string) *access.Error {
	if id == "" {
		return malformed("id is missing")
	}
	return checkText("id", id, maxID)
}

// maxDuration bounds what anybody may ask for; engines have bounds of their own.
const maxDuration = 10 * 365 * 24 * time.Hour

// duration reads an optional, positive duration; not set is 0.
func duration(d *durationpb.Duration) (time.Duration, *access.Error) {
	if d == nil {
		return 0, nil
	}
	if d.CheckValid() != nil || d.AsDuration() <= 0 || d.AsDuration() > maxDuration {
		return 0, malformed("duration must be positive and at most %v", maxDuration)
	}
	return d.AsDuration(), nil
}

// verbOf reads a verb's name.
func verbOf(name string) (access.Verb, *access.Error) {
	verb, ok := access.ParseVerb(name)
	if !ok {
		return access.None, malformed("%s is not a verb; verbs are %s", access.Quote(name), verbNames())
	}
	return verb, nil
}

func verbNames() string {
	var names []string
	for _, v := range access.Verbs() {
		names = append(names, v.String())
	}
	return strings.Join(names, ", ")
}

// question reads a verb and a model; no model is a call without one.
func question(verb, model string) (access.Verb, *access.Error) {
	v, refused := verbOf(verb)
	if refused == nil && model != "" {
		refused = access.CheckModelName(model)
	}
	return v, refused
}
