package approval

import (
	"log/slog"
	"sync"
	"sync/atomic"
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
	// MayApprove decides whether a person may approve on a model, whatever his groups:
	// when he does, when the last one does, and at each use of the grant. Without it
	// everybody may.
	MayApprove func(who *access.Principal, model string) bool
}

// Rules are what approvals depend on that a reload replaces.
type Rules struct {
	// Access is compiled from the keys access; nil lets nobody ask ahead.
	Access *Policy
	// Guards are the definitions of all guards that ask for approval, by name. A
	// grant or a request of another definition ends.
	Guards map[string][32]byte
}

// holds tells whether what was made by a guard or an access entry still is what
// that says.
func (r *Rules) holds(source Source, guard string, definition key) bool {
	switch source {
	case FromGuard:
		now, there := r.Guards[guard]
		return there && now == definition
	case FromAccess:
		return r.Access.has(definition)
	}
	return source == FromBreakGlass
}

// Engine decides on approvals. All its methods are safe for concurrent use.
type Engine struct {
	store         store.Store
	config        Config
	log           *slog.Logger
	clock         clock
	mayBreakGlass func(who *access.Principal, model string) bool
	mayApprove    func(who *access.Principal, model string) bool

	rules   atomic.Pointer[Rules]
	mirror  *mirror
	waiting *waiting

	// loaded is closed once the store's grants were read, stopped once Run ends.
	loaded, stopped chan struct{}
	// replaced rouses Run when rules were; unswept are those since its last sweep.
	replaced  chan struct{}
	unsweptMu sync.Mutex
	unswept   []*Rules

	told  sync.Map // ids of items that can't be read
	tolds atomic.Int64
}

// New returns an engine. It lets nobody through before [Engine.Run] has read the
// store. Without [Engine.Replace], no guard and no access entry is known to it.
func New(o EngineOptions) *Engine {
	o.Config.SetDefaults()
	e := &Engine{
		store: o.Store, config: o.Config, log: o.Log, clock: newClock(o.Now), mayBreakGlass: o.MayBreakGlass, mayApprove: o.MayApprove,
		mirror: newMirror(), waiting: newWaiting(o.Config.HeldPerPrincipal, o.Config.Held),
		loaded: make(chan struct{}), stopped: make(chan struct{}), replaced: make(chan struct{}, 1),
	}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if e.mayBreakGlass == nil {
		e.mayBreakGlass = func(*access.Principal, string) bool { return false }
	}
	if e.mayApprove == nil {
		e.mayApprove = func(*access.Principal, string) bool { return true }
	}
	e.rules.Store(&Rules{})
	return e
}

// maxUnswept bounds how many sets of rules are remembered while the store is away.
const maxUnswept = 64

// Replace puts rules in force, and ends the grants and requests that depend on
// what is not in them any more; that happens in the background, in [Engine.Run].
// What depends on a rule that has changed and changed back ends too.
func (e *Engine) Replace(r *Rules) {
	e.unsweptMu.Lock()
	if len(e.unswept) < maxUnswept {
		e.unswept = append(e.unswept, r)
	} else {
		e.unswept[maxUnswept-1] = r
	}
	e.rules.Store(r)
	e.unsweptMu.Unlock()
	select {
	case e.replaced <- struct{}{}:
	default:
	}
}
