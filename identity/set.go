package identity

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/sluice-gateway/sluice/access"
)

const (
	// DefaultRemembered is how many verified tokens a [Set] remembers; one
	// takes about 1 KiB.
	DefaultRemembered = 10_000
	// maxPending is how many unknown tokens of one source wait for a
	// processor; each takes some 100 µs.
	maxPending = 256
	// patience bounds how long one unknown token may take in all.
	patience = 10 * time.Second
)

// Options are what a [Set] can be told; the zero value is good.
type Options struct {
	// Remembered is how many verified tokens are remembered.
	Remembered int
	// Now is the clock, time.Now if nil.
	Now func() time.Time
}

// Set is the [Authenticator] over any number of sources. It remembers a
// verified token under its SHA-256 until the token expires or its key is not
// trusted any more. Unknown tokens are verified once however many calls show
// them at the same time, and by half of the processors at most, so that a
// flood of them cannot starve the calls whose tokens are known.
//
// It has no goroutine of its own between calls and need not be closed; the
// verifiers belong to who made them.
type Set struct {
	sources map[string]*source
	known   *cache
	flights singleflight.Group
	working chan struct{}
	now     func() time.Time
}

var _ Authenticator = (*Set)(nil)

type source struct {
	Source
	pending chan struct{}
	prefix  string // before each group
}

// NewSet makes a Set of sources. With more than one, groups are written
// "source:group", so that no issuer speaks for another. Two sources with one
// name or one issuer, and a name that holds a colon, are errors.
func NewSet(sources []Source, options Options) (*Set, error) {
	if options.Remembered <= 0 {
		options.Remembered = DefaultRemembered
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	s := &Set{
		sources: make(map[string]*source, len(sources)),
		known:   newCache(options.Remembered),
		working: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
		now:     options.Now,
	}
	names := make(map[string]bool, len(sources))
	for _, one := range sources {
		if err := s.add(one, names, len(sources) > 1); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *Set) add(one Source, names map[string]bool, several bool) error {
	switch {
	case one.Name == "" || one.Issuer == "" || one.Verifier == nil:
		return errors.New("an identity source needs a name, an issuer and a verifier")
	case strings.Contains(one.Name, ":"):
		return fmt.Errorf("the name of identity source %q must not hold a colon", one.Name)
	case names[one.Name]:
		return fmt.Errorf("two identity sources are named %q", one.Name)
	case s.sources[one.Issuer] != nil:
		return fmt.Errorf("two identity sources have the issuer %q", one.Issuer)
	}
	names[one.Name] = true
	added := &source{Source: one, pending: make(chan struct{}, maxPending)}
	if several {
		added.prefix = one.Name + ":"
	}
	s.sources[one.Issuer] = added
	return nil
}

// Authenticate returns who the token proves. A token seen before costs one
// SHA-256 and no allocation.
func (s *Set) Authenticate(ctx context.Context, token string) (*access.Principal, error) {
	switch {
	case token == "":
		return nil, Missing()
	case len(token) > MaxToken:
		return nil, tooLong()
	}
	d := digestOf(token)
	if who := s.known.get(&d, s.now()); who != nil {
		return who, nil
	}
	return s.meet(ctx, d, token)
}

// Known returns whom the token proved before, if that still counts, or nil. It
// never waits, so that it can be asked where waiting would hold up a whole
// connection (gRPC's tap handle); a token that is not known is for Authenticate.
func (s *Set) Known(token string) *access.Principal {
	if len(token) > MaxToken {
		return nil
	}
	d := digestOf(token)
	return s.known.get(&d, s.now())
}

// meet verifies a token that is not known, together with all other calls that
// show it now. The work goes on when one of them gives up.
func (s *Set) meet(ctx context.Context, d digest, raw string) (*access.Principal, error) {
	token, err := Parse(raw)
	if err != nil {
		return nil, err
	}
	from := s.sources[token.Issuer]
	if from == nil {
		return nil, Invalid("its issuer is not one that this gateway knows: send an access token of a configured issuer", nil)
	}
	result := s.flights.DoChan(string(d[:]), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		return s.verify(ctx, from, d, token)
	})
	select {
	case r := <-result:
		who, _ := r.Val.(*access.Principal)
		return who, r.Err
	case <-ctx.Done():
		return nil, Away(from.Name, 0, context.Cause(ctx))
	}
}

func (s *Set) verify(ctx context.Context, from *source, d digest, token *Token) (who *access.Principal, err error) {
	defer func() {
		if p := recover(); p != nil {
			// The panic's value may quote the token.
			who, err = nil, broken("a verifier panicked")
		}
	}()
	if err := from.Verifier.Ready(ctx, token); err != nil {
		return nil, err
	}
	select {
	case from.pending <- struct{}{}:
		defer func() { <-from.pending }()
	default:
		return nil, busy()
	}
	select {
	case s.working <- struct{}{}:
		defer func() { <-s.working }()
	case <-ctx.Done():
		return nil, busy()
	}
	verified, err := from.Verifier.Verify(ctx, token)
	if err != nil {
		return nil, err
	}
	return s.remember(from, d, verified)
}

func (s *Set) remember(from *source, d digest, verified Verified) (*access.Principal, error) {
	who := verified.Principal
	if who == nil || who.Subject == "" || who.Expires.IsZero() {
		return nil, broken("a verifier vouched for nobody")
	}
	who.Issuer, who.Source = from.Issuer, from.Name
	for i, group := range who.Groups {
		who.Groups[i] = from.prefix + group
	}
	slices.Sort(who.Groups)
	who.Groups = slices.Compact(who.Groups)
	s.known.put(&entry{of: d, until: who.Expires.UnixNano(), who: who, key: verified.Key}, s.now())
	return who, nil
}
