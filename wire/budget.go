package wire

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/access"
)

const (
	// DefaultPerPrincipal is how many bytes one principal may have in flight:
	// a message of gRPC's greatest size (2 GiB), and room for others beside it.
	DefaultPerPrincipal = 3 << 30
	// DefaultAll is how many bytes all principals together may have in flight.
	DefaultAll = 8 << 30
	// MinBudget is the least that either limit may be: a small message must
	// pass, compressed and inflated.
	MinBudget = 1 << 20

	// retryAfter is what a refused caller is told to wait: messages in flight
	// last as long as an inference does.
	retryAfter = time.Second
)

// BudgetConfig limits the bytes of messages in flight: received or made, and
// not freed yet. What a compressed message inflates to counts.
type BudgetConfig struct {
	// All is the limit for all principals together, in bytes. Default: 8 GiB.
	All int64 `yaml:"all"`
	// PerPrincipal is the limit for each principal, in bytes. Default: 3 GiB.
	PerPrincipal int64 `yaml:"per_principal"`
}

// SetDefaults fills in what is not set.
func (c *BudgetConfig) SetDefaults() {
	if c.All == 0 {
		c.All = DefaultAll
	}
	if c.PerPrincipal == 0 {
		c.PerPrincipal = min(DefaultPerPrincipal, c.All)
	}
}

// Validate reports what is wrong with the limits, after SetDefaults.
func (c *BudgetConfig) Validate() (problems []access.Problem) {
	if c.All < MinBudget {
		problems = append(problems, access.Problem{Path: "all", Message: fmt.Sprintf("%d bytes are too few: the least is %d", c.All, MinBudget)})
	}
	if c.PerPrincipal < MinBudget || c.PerPrincipal > c.All {
		problems = append(problems, access.Problem{
			Path:    "per_principal",
			Message: fmt.Sprintf("%d bytes: must be from %d to the limit for all, %d", c.PerPrincipal, MinBudget, c.All),
		})
	}
	return problems
}

// Budget counts the bytes in flight and refuses what would be too many. It is
// safe for concurrent use.
type Budget struct {
	cfg  BudgetConfig
	used atomic.Int64

	mu       sync.Mutex
	accounts map[string]*Account
}

// NewBudget returns a budget with the limits of cfg, defaults filled in.
func NewBudget(cfg BudgetConfig) *Budget {
	cfg.SetDefaults()
	return &Budget{cfg: cfg, accounts: make(map[string]*Account)}
}

// InFlight is how many bytes are held now, by all.
func (b *Budget) InFlight() int64 { return b.used.Load() }

// Account returns the account of a principal, which all its calls share. Each
// call closes it once; it is forgotten when no call has it and nothing is held by it.
func (b *Budget) Account(principalID string) *Account {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.accounts[principalID]
	if a == nil {
		a = &Account{budget: b, id: principalID}
		b.accounts[principalID] = a
	}
	a.refs.Add(1)
	return a
}

// forget removes a if nothing needs it any more.
func (b *Budget) forget(a *Account) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a.refs.Load() == 0 && a.held.Load() == 0 && b.accounts[a.id] == a {
		delete(b.accounts, a.id)
	}
}

// Account is one principal's part of a [Budget]. It is safe for concurrent use.
type Account struct {
	budget *Budget
	id     string
	refs   atomic.Int64 // calls
	held   atomic.Int64 // bytes
}

// Close ends a call's use of the account. Messages charged to it may outlive that.
func (a *Account) Close() {
	if a.refs.Add(-1) == 0 {
		a.budget.forget(a)
	}
}

type accountKey struct{}

// WithAccount returns a context that carries a, for who receives messages on a
// call's behalf.
func WithAccount(ctx context.Context, a *Account) context.Context {
	return context.WithValue(ctx, accountKey{}, a)
}

// AccountFrom returns the context's account, or nil.
func AccountFrom(ctx context.Context) *Account {
	a, _ := ctx.Value(accountKey{}).(*Account)
	return a
}

// Calls is how many calls have the account open.
func (a *Account) Calls() int { return int(a.refs.Load()) }

// Held is how many bytes the principal has in flight.
func (a *Account) Held() int64 { return a.held.Load() }

// Acquire takes n bytes, or none and returns an Exhausted *access.Error. It
// does not wait: a caller that holds half a message must not wait for another.
func (a *Account) Acquire(n int) error {
	if !add(&a.held, int64(n), a.budget.cfg.PerPrincipal) {
		return a.refused(n)
	}
	if !add(&a.budget.used, int64(n), a.budget.cfg.All) {
		a.giveBack(n)
		return a.budget.refused(n)
	}
	return nil
}

// fits refuses, as Acquire would, what is more than is left now; it takes nothing.
func (a *Account) fits(n int) error {
	if int64(n) > a.budget.cfg.PerPrincipal-a.held.Load() {
		return a.refused(n)
	}
	if int64(n) > a.budget.cfg.All-a.budget.used.Load() {
		return a.budget.refused(n)
	}
	return nil
}

// Release gives back n bytes that were acquired.
func (a *Account) Release(n int) {
	a.budget.used.Add(-int64(n))
	a.giveBack(n)
}

func (a *Account) giveBack(n int) {
	if a.held.Add(-int64(n)) == 0 && a.refs.Load() == 0 {
		a.budget.forget(a)
	}
}

// add adds n to v unless that goes over limit.
func add(v *atomic.Int64, n, limit int64) bool {
	for {
		old := v.Load()
		if n > limit-old {
			return false
		}
		if v.CompareAndSwap(old, old+n) {
			return true
		}
	}
}

func (a *Account) refused(n int) error {
	return exhausted(fmt.Sprintf("%d more bytes are over your limit of %d bytes in flight: "+
		"send smaller messages or fewer at once, or wait for answers to those that are on their way", n, a.budget.cfg.PerPrincipal))
}

func (b *Budget) refused(n int) error {
	return exhausted(fmt.Sprintf("%d more bytes are over the limit of %d bytes in flight for all callers together: try again later", n, b.cfg.All))
}

func exhausted(message string) error {
	return &access.Error{Kind: access.Exhausted, Reason: access.ReasonInFlight, Message: message, RetryAfter: retryAfter}
}

// charge is what one or more messages over the same buffers hold together.
type charge struct {
	account *Account
	n       atomic.Int64
	refs    atomic.Int32
}

// add takes n more bytes.
func (c *charge) add(n int) error {
	if err := c.account.Acquire(n); err != nil {
		return err
	}
	c.n.Add(int64(n))
	return nil
}

// drop gives up one message's part; the last one gives all bytes back.
func (c *charge) drop() {
	if c.refs.Add(-1) == 0 {
		c.account.Release(int(c.n.Load()))
	}
}
