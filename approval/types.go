package approval

import (
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/store"
)

// The kinds of items that the package keeps.
const (
	// KindRequest and KindGrant hold a [Request] and a [Grant] as JSON.
	KindRequest store.Kind = "request"
	KindGrant   store.Kind = "grant"
	// KindAsked says which request was the last for a call, so that the same
	// call joins it on every replica.
	KindAsked store.Kind = "asked"
	// KindBreakGlass counts a person's break-glass.
	KindBreakGlass store.Kind = "break_glass"
	// KindNotification is the outbox: an [access.Notification] as JSON, in the state
	// [Due] until it was sent.
	KindNotification store.Kind = "notification"
)

// Due is the state of a notification that is still to be sent.
const Due = "due"

// State is what has become of a request or of a grant.
type State string

// The states of requests. Only a pending one changes, and once.
const (
	Pending  State = "pending"
	Approved State = "approved"
	Denied   State = "denied"
	Expired  State = "expired"
	// Cancelled is one that its requester took back.
	Cancelled State = "cancelled"
	// Void is a request or grant whose guard or access entry says something else now.
	Void State = "void"
)

// The states of grants; [Expired] and [Void] are two more. Only a live one
// changes, and once.
const (
	Live    State = "live"
	Used    State = "used"
	Revoked State = "revoked"
)

// Source says where a request or grant comes from.
type Source string

// The sources.
const (
	// FromGuard is of a call that a guard holds.
	FromGuard Source = "guard"
	// FromAccess is access that was asked for ahead.
	FromAccess Source = "access"
	// FromBreakGlass is a grant that somebody gave himself.
	FromBreakGlass Source = "break_glass"
)

// Person is a principal as it is kept: who he was then.
type Person struct {
	Issuer  string      `json:"issuer"`
	Subject string      `json:"subject"`
	Name    string      `json:"name,omitempty"`
	Kind    access.Kind `json:"kind"`
}

// ID is "issuer#subject".
func (p Person) ID() string { return p.Issuer + "#" + p.Subject }

// Is tells whether the person is who: issuer and subject decide, no name does.
func (p Person) Is(who *access.Principal) bool {
	return who != nil && p.Issuer == who.Issuer && p.Subject == who.Subject
}

func (p Person) same(other Person) bool {
	return p.Issuer == other.Issuer && p.Subject == other.Subject
}

func personOf(who *access.Principal) Person {
	return Person{Issuer: who.Issuer, Subject: who.Subject, Name: who.Name, Kind: who.Kind}
}

// Vote is one person's approval or denial.
type Vote struct {
	By Person `json:"by"`
	// Groups are those that he was in.
	Groups []string  `json:"groups,omitempty"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason,omitempty"`
	// For is how long the approver lets the grant last, if not as long as asked.
	For time.Duration `json:"for,omitempty"`
}

// Request is one request for approval, as it is kept and shown. Text that the
// requester chose is cut to its bounds; prompts are masked.
type Request struct {
	ID     string `json:"id"`
	Source Source `json:"source"`
	State  State  `json:"state"`
	// Requester asked; For are the groups of whose members he has to be one still
	// when he uses an access grant.
	Requester Person   `json:"requester"`
	For       []string `json:"for,omitempty"`
	// Verb, Model, Version and Backend are what is asked for; Digest (hexadecimal) is
	// of all that the approval covers.
	Verb    string `json:"verb"`
	Model   string `json:"model,omitempty"`
	Version string `json:"version,omitempty"`
	Backend string `json:"backend,omitempty"`
	Digest  string `json:"digest"`
	// Along are models that the call takes with it, and that the guard is about.
	Along []string `json:"along,omitempty"`
	// Guard is the guard that asks, Definition (hexadecimal) what it, or the
	// access entry, said then.
	Guard      string `json:"guard,omitempty"`
	Definition string `json:"definition"`
	// By to Uses are the terms; Lasts is how long the grant will.
	By     []string      `json:"by"`
	Count  int           `json:"count"`
	Within time.Duration `json:"within"`
	Lasts  time.Duration `json:"lasts"`
	Mode   access.Mode   `json:"mode,omitempty"`
	Scope  access.Scope  `json:"scope,omitempty"`
	Uses   int           `json:"uses,omitempty"`
	// Reason and Ticket are the requester's.
	Reason string `json:"reason,omitempty"`
	Ticket string `json:"ticket,omitempty"`
	// Covers is what the approver is shown of the call; nil with scope model.
	Covers *Summary `json:"covers,omitempty"`
	// Origin is where the call came from.
	Origin Origin `json:"origin,omitzero"`

	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	// Approvals and Denial are what people said; the requester's own denial is his
	// taking it back. Ended is when it was over, however.
	Approvals []Vote    `json:"approvals,omitempty"`
	Denial    *Vote     `json:"denial,omitempty"`
	Ended     time.Time `json:"ended,omitzero"`
	// Grant is the id of the grant that the approval made.
	Grant string `json:"grant,omitempty"`
}

// Origin is where a call came from.
type Origin struct {
	RPC     string `json:"rpc,omitempty"`
	Peer    string `json:"peer,omitempty"`
	Session string `json:"session,omitempty"`
}

// Grant is a time-boxed permission.
type Grant struct {
	ID     string `json:"id"`
	Source Source `json:"source"`
	State  State  `json:"state"`
	// Holder may use it; with For, only as a member of one of these groups.
	Holder Person   `json:"holder"`
	For    []string `json:"for,omitempty"`
	// Request is the request that it was given on; empty for break-glass.
	Request    string       `json:"request,omitempty"`
	Guard      string       `json:"guard,omitempty"`
	Definition string       `json:"definition,omitempty"`
	Verb       string       `json:"verb"`
	Model      string       `json:"model,omitempty"`
	Version    string       `json:"version,omitempty"`
	Scope      access.Scope `json:"scope,omitempty"`
	// Key (hexadecimal) is what a call must have to be let through by it.
	Key string `json:"key"`
	// By are the groups whose members could approve it, and may revoke it.
	By        []string `json:"by,omitempty"`
	Approvals []Vote   `json:"approvals,omitempty"`
	Reason    string   `json:"reason,omitempty"`
	Ticket    string   `json:"ticket,omitempty"`
	// Uses is how many calls it is good for (0 is any number), Used how many of
	// them are gone; only counted ones count.
	Uses int `json:"uses,omitempty"`
	Used int `json:"used,omitempty"`
	// Granted and Until bound it; it never lasts longer than the time between.
	Granted time.Time `json:"granted"`
	Until   time.Time `json:"until"`
	// Ended is when it was over, however; Revocation is who revoked it and why.
	Ended      time.Time `json:"ended,omitzero"`
	Revocation *Vote     `json:"revocation,omitempty"`
}

// MayRevoke tells whether who may revoke the grant without being an
// administrator: its holder may, and the people who could have approved it.
func (g *Grant) MayRevoke(who *access.Principal) bool {
	return g.Holder.Is(who) || who != nil && who.Kind == access.User && inGroups(who, g.By)
}

// inGroups tells whether who is in one of the groups.
func inGroups(who *access.Principal, groups []string) bool {
	return slices.ContainsFunc(groups, func(g string) bool {
		_, in := slices.BinarySearch(who.Groups, g)
		return in
	})
}
