package approval

import (
	"context"
	"log/slog"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/store"
)

// EngineOptions are what an [Engine] is made of.
type EngineOptions struct {
	Store  store.Store
	Config Config
	Log    *slog.Logger
	// Now is the clock; time.Now if nil.
	Now func() time.Time
	// MayBreakGlass decides the verb break_glass, when somebody breaks the glass and
	// at each use. Without it nobody may.
	MayBreakGlass func(who *access.Principal, model string) bool
}

// Rules are what approvals depend on that a reload replaces.
type Rules struct {
	// Access is compiled from the keys access; nil lets nobody ask ahead.
	Access *Policy
	// Guards are the definitions of all guards that ask for approval, by name. A
	// grant or a request of another definition ends.
	Guards map[string][32]byte
}

// Engine decides on approvals. All its methods are safe for concurrent use.
type Engine struct {
	opts EngineOptions
}

// New returns an engine. It lets nobody through before [Engine.Run] has read the
// store.
func New(o EngineOptions) *Engine {
	return &Engine{opts: o}
}

// Run keeps the engine up to date until ctx ends: it hears of changes of other
// replicas, ends what has expired, and deletes what is old. When ctx ends, the
// calls that are held end with UNAVAILABLE and the ids of their requests, and so
// does each that would have to wait from then on.
func (e *Engine) Run(ctx context.Context) { <-ctx.Done() }

// Replace puts rules in force, and ends the grants and requests that depend on
// what is not in them any more; that happens in the background, in [Engine.Run].
func (e *Engine) Replace(*Rules) {}

// Ask is a call, or one message of a stream, that needs approval.
type Ask struct {
	Principal *access.Principal
	Verb      access.Verb
	// Model, Version and Backend are as asked for: the public name, the version as
	// it was written, and the backend that has the model.
	Model, Version, Backend string
	// Needs are what guards ask for; there is at least one.
	Needs []*access.Need
	// Digest is of the call's content (see [DigestInfer]); a need of scope model
	// leaves it out.
	Digest [32]byte
	// Reason and Ticket are what the requester says for it.
	Reason, Ticket string
	// Origin is where the call came from.
	Origin Origin
	// Show makes what the approver sees; it is called at most once, and only where
	// a request is made.
	Show func() *Summary
	// Recheck decides the call again when it has waited: token, policy, guards. It
	// returns what is needed now; an error ends the call.
	Recheck func() ([]*access.Need, error)
}

// Admit lets a call through that has all the grants it needs, and uses them.
// Else it makes a request for each that is missing, or joins the one that the
// same call made before, and waits for people; where it can't wait (mode ask, a
// deadline that is too near, too many held), the error is FAILED_PRECONDITION or
// RESOURCE_EXHAUSTED and has the requests' ids. Where ctx ends first, it is
// ctx's error.
func (e *Engine) Admit(ctx context.Context, a *Ask) (*access.Approval, error) {
	return nil, errUnbuilt
}

// Answer is what an approver says.
type Answer struct {
	Reason string
	// Digest, if not empty, is that of the request which was looked at: nothing
	// happens if it is another.
	Digest string
	// For, if not zero, is how long the grant lasts: not longer than was asked for.
	For time.Duration
}

// Approve adds who's approval to a request. When it was the last one that was
// needed, the grant is there and held calls go on. The request is as it is now,
// also beside an error that says that others were faster.
func (e *Engine) Approve(ctx context.Context, who *access.Principal, id string, a Answer) (*Request, error) {
	return nil, errUnbuilt
}

// Deny denies a pending request, whatever others have said before. The same call
// is refused until the request would have expired. The requester takes back his
// own so, and may ask again.
func (e *Engine) Deny(ctx context.Context, who *access.Principal, id string, a Answer) (*Request, error) {
	return nil, errUnbuilt
}

// Get returns a request; who may see it is the caller's to decide.
func (e *Engine) Get(ctx context.Context, id string) (*Request, error) { return nil, errUnbuilt }

// Filter says which requests or grants are asked for. Empty fields ask for all.
type Filter struct {
	State State
	// Owner is the id of the requester or holder ("issuer#subject").
	Owner string
	// After is the last id of the page before; Limit is at most [store.MaxPage].
	After string
	Limit int
}

// List returns a page of requests, oldest first.
func (e *Engine) List(ctx context.Context, f Filter) ([]*Request, error) { return nil, errUnbuilt }

// Watch sends each pending request, and then each request that changes, as it is
// then, until ctx ends, which closes the channel. A slow reader gets the newest
// state of each, not every one between.
func (e *Engine) Watch(ctx context.Context) <-chan *Request { return nil }

// Want is access that is asked for ahead.
type Want struct {
	Verb  access.Verb
	Model string
	// For is how long the grant is to last; 0 is as long as may be.
	For            time.Duration
	Reason, Ticket string
}

// RequestAccess asks for what no role gives: where an access entry lets who ask,
// the request is pending. The same question again returns the same request.
func (e *Engine) RequestAccess(ctx context.Context, who *access.Principal, w Want) (*Request, error) {
	return nil, errUnbuilt
}

// BreakGlass gives who a grant at once, if he may and has not done so too often. It
// lets him through where no role does and where guards ask for approval, and is
// loud: notified, logged, and marked in each record. A guard or role that denies
// still does.
func (e *Engine) BreakGlass(ctx context.Context, who *access.Principal, w Want) (*Grant, error) {
	return nil, errUnbuilt
}

// GetGrant returns a grant; who may see it is the caller's to decide.
func (e *Engine) GetGrant(ctx context.Context, id string) (*Grant, error) { return nil, errUnbuilt }

// ListGrants returns a page of grants, oldest first.
func (e *Engine) ListGrants(ctx context.Context, f Filter) ([]*Grant, error) { return nil, errUnbuilt }

// Revoke ends a live grant at once: no call uses it any more, and a stream that did
// is cut at its next message. admin tells that who was found to hold the verb
// admin; without it he has to be one of [Grant.MayRevoke].
func (e *Engine) Revoke(ctx context.Context, who *access.Principal, id, reason string, admin bool) (*Grant, error) {
	return nil, errUnbuilt
}

// Allows finds a grant that lets who do verb on model although no role does: nil
// if there is none. It is in memory, and must not be asked where a role denies.
// The result is shared and must not be written to.
func (e *Engine) Allows(who *access.Principal, verb access.Verb, model string) *access.Approval {
	return nil
}

// MayAsk tells whether an access entry lets who ask for verb on model, so that a
// refusal can say so.
func (e *Engine) MayAsk(who *access.Principal, verb access.Verb, model string) bool { return false }

// Held is how many calls this replica holds for a request.
func (e *Engine) Held(request string) int { return 0 }

// Sees tells whether who has a grant of any verb on model, which makes it visible
// to him.
func (e *Engine) Sees(who *access.Principal, model string) bool { return false }

// Revoked returns a function that tells whether a grant was revoked since, which
// costs nothing to ask; nil for a grant that is not live.
func (e *Engine) Revoked(grant string) func() bool { return nil }

var errUnbuilt = &access.Error{Kind: access.Unimplemented, Reason: access.ReasonInternal, Message: "approvals are not built yet"}
