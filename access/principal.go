package access

import (
	"sync/atomic"
	"time"
)

// Kind tells a person from a program.
type Kind string

// The kinds of principals.
const (
	User    Kind = "user"
	Service Kind = "service"
)

// Principal is who calls. A Principal is shared between all calls that show
// the same token, possibly at the same time: nobody writes to it after
// identity has made it, save for [Principal.Memo].
type Principal struct {
	// Issuer and Subject together name the principal for ever ("iss" and
	// "sub" of an OIDC token).
	Issuer, Subject string
	// Source is the name of the identity source that vouched for it, as
	// configured ("corp").
	Source string
	// Name is a human's word for it ("alice"); for display only, never
	// decided on.
	Name string
	Kind Kind
	// Groups are sorted and free of repeats. With more than one identity
	// source they are written "source:group".
	Groups []string
	// AuthTime is when the principal proved who it is, and Means how ("pwd",
	// "mfa": RFC 8176); both zero where the issuer does not say.
	AuthTime time.Time
	Means    []string
	// Expires is when the proof ends; new messages are refused from then on.
	Expires time.Time

	memo atomic.Pointer[Memo]
	id   atomic.Pointer[string]
}

// Memo is what package policy derives from a principal and wants to find
// again on its next call. Owner tells whose it is: a memo of another owner (an
// older policy) is to be ignored and replaced.
type Memo struct {
	Owner any
	Value any
}

// ID is "issuer#subject", the form that policy's subjects are written in. It is
// made once; Issuer and Subject must not change after it.
func (p *Principal) ID() string {
	if id := p.id.Load(); id != nil {
		return *id
	}
	id := p.Issuer + "#" + p.Subject
	p.id.Store(&id)
	return id
}

// Memo returns what [Principal.SetMemo] stored last, or nil. It is safe for
// concurrent use.
func (p *Principal) Memo() *Memo { return p.memo.Load() }

// SetMemo stores m. It is safe for concurrent use; the last call wins.
func (p *Principal) SetMemo(m *Memo) { p.memo.Store(m) }
