package identity_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/identity"
	"github.com/sluice-gateway/sluice/identity/identitytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// double is a verifier of function fields; one that is nil is good.
type double struct {
	ready    func(context.Context, *identity.Token) error
	verify   func(context.Context, *identity.Token) (identity.Verified, error)
	verified atomic.Int64
}

var _ identity.Verifier = (*double)(nil)

func (d *double) Ready(ctx context.Context, token *identity.Token) error {
	if d.ready == nil {
		return nil
	}
	return d.ready(ctx, token)
}

func (d *double) Verify(ctx context.Context, token *identity.Token) (identity.Verified, error) {
	d.verified.Add(1)
	if d.verify == nil {
		return vouch(token, nil), nil
	}
	return d.verify(ctx, token)
}

// vouch says that the token is good for an hour, signed by key.
func vouch(token *identity.Token, key *identity.Key, groups ...string) identity.Verified {
	return identity.Verified{
		Principal: &access.Principal{Subject: token.Subject, Groups: groups, Expires: time.Now().Add(time.Hour)},
		Key:       key,
	}
}

const url = "https://issuer.test"

// token is one of url with a subject; nobody in these tests checks its
// signature.
func token(subject string) string {
	return identitytest.MAC(nil, []byte(`{"alg":"ES256"}`), fmt.Appendf(nil, `{"iss":%q,"sub":%q}`, url, subject))
}

func setOf(t testing.TB, remembered int, sources ...identity.Source) *identity.Set {
	t.Helper()
	set, err := identity.NewSet(sources, identity.Options{Remembered: remembered})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func one(v identity.Verifier) identity.Source {
	return identity.Source{Name: "corp", Issuer: url, Verifier: v}
}

// mustRefuse fails the test unless err is a refusal for reason.
func mustRefuse(t *testing.T, err error, reason string) *access.Error {
	t.Helper()
	e, ok := access.AsError(err)
	if !ok || e.Reason != reason {
		t.Fatalf("got %v, want a refusal for %s", err, reason)
	}
	return e
}

func TestATokenIsVerifiedOnce(t *testing.T) {
	d := new(double)
	set := setOf(t, 0, one(d))
	first, err := set.Authenticate(t.Context(), token("alice"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := set.Authenticate(t.Context(), token("alice"))
	if err != nil || again != first || d.verified.Load() != 1 {
		t.Errorf("got %v, %v after %d verifications", again, err, d.verified.Load())
	}
	if first.ID() != url+"#alice" || first.Source != "corp" {
		t.Errorf("got %s of %s", first.ID(), first.Source)
	}
}

func TestARefusalIsNotRemembered(t *testing.T) {
	d := new(double)
	d.verify = func(_ context.Context, token *identity.Token) (identity.Verified, error) {
		if d.verified.Load() == 1 {
			return identity.Verified{}, identity.Invalid("no", nil)
		}
		return vouch(token, nil), nil
	}
	set := setOf(t, 0, one(d))
	_, err := set.Authenticate(t.Context(), token("alice"))
	mustRefuse(t, err, access.ReasonTokenInvalid)
	if _, err := set.Authenticate(t.Context(), token("alice")); err != nil {
		t.Error(err)
	}
}

func TestManyCallsWithOneNewTokenVerifyItOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &double{ready: func(context.Context, *identity.Token) error { time.Sleep(time.Second); return nil }}
		set := setOf(t, 0, one(d))
		raw := token("alice")
		var calls sync.WaitGroup
		for range 1000 {
			calls.Go(func() {
				if _, err := set.Authenticate(t.Context(), raw); err != nil {
					t.Error(err)
				}
			})
		}
		calls.Wait()
		if d.verified.Load() != 1 {
			t.Errorf("verified %d times", d.verified.Load())
		}
	})
}

func TestACallThatGivesUpTakesNobodyWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &double{ready: func(ctx context.Context, _ *identity.Token) error {
			select {
			case <-time.After(2 * time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}}
		set := setOf(t, 0, one(d))
		var calls sync.WaitGroup
		calls.Go(func() {
			hasty, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := set.Authenticate(hasty, token("alice"))
			if e := mustRefuse(t, err, access.ReasonIssuerAway); !errors.Is(e, context.DeadlineExceeded) {
				t.Errorf("the cause is %v", e.Cause)
			}
		})
		synctest.Wait()
		if _, err := set.Authenticate(t.Context(), token("alice")); err != nil {
			t.Error(err)
		}
		calls.Wait()
	})
}

func TestVerificationsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int64
		d := &double{verify: func(_ context.Context, token *identity.Token) (identity.Verified, error) {
			if n := running.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(time.Millisecond)
			running.Add(-1)
			return vouch(token, nil), nil
		}}
		set := setOf(t, 0, one(d))
		var refused, taken atomic.Int64
		var calls sync.WaitGroup
		for n := range 1000 {
			calls.Go(func() {
				if _, err := set.Authenticate(t.Context(), token(fmt.Sprint(n))); err != nil {
					if e := mustRefuse(t, err, access.ReasonStreams); e.Kind != access.Exhausted || e.RetryAfter == 0 {
						t.Errorf("got %+v", e)
					}
					refused.Add(1)
				} else {
					taken.Add(1)
				}
			})
		}
		calls.Wait()
		if most.Load() > 64 || taken.Load() < 256 || refused.Load() == 0 {
			t.Errorf("%d at once, %d taken, %d refused", most.Load(), taken.Load(), refused.Load())
		}
	})
}

func TestAVerifierThatPanicsIsARefusal(t *testing.T) {
	for name, d := range map[string]*double{
		"in Ready":  {ready: func(_ context.Context, token *identity.Token) error { panic(token.Raw) }},
		"in Verify": {verify: func(_ context.Context, token *identity.Token) (identity.Verified, error) { panic(token.Raw) }},
		"vouching for nobody": {verify: func(context.Context, *identity.Token) (identity.Verified, error) {
			return identity.Verified{}, nil
		}},
		"vouching for ever": {verify: func(context.Context, *identity.Token) (identity.Verified, error) {
			return identity.Verified{Principal: &access.Principal{Subject: "alice"}}, nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			raw := token("alice")
			_, err := setOf(t, 0, one(d)).Authenticate(t.Context(), raw)
			e := mustRefuse(t, err, access.ReasonInternal)
			if strings.Contains(e.Message+e.Cause.Error(), raw[:20]) {
				t.Errorf("the token is shown: %v, %v", e, e.Cause)
			}
		})
	}
}

func TestWhatIsRememberedIsForgotten(t *testing.T) {
	for name, c := range map[string]struct {
		then     func(set *identity.Set, key *identity.Key)
		verified int64
	}{
		"not before its time": {func(*identity.Set, *identity.Key) { time.Sleep(time.Hour - 1) }, 1},
		"when it expires":     {func(*identity.Set, *identity.Key) { time.Sleep(time.Hour) }, 2},
		"with its key":        {func(_ *identity.Set, key *identity.Key) { key.Withdraw() }, 2},
		"when its key is stale": {func(_ *identity.Set, key *identity.Key) {
			key.TrustUntil(time.Now().Add(time.Minute))
			time.Sleep(time.Minute)
		}, 2},
		"after others were shown": {func(set *identity.Set, _ *identity.Key) {
			for n := range 10 {
				_, _ = set.Authenticate(context.Background(), token(fmt.Sprint(n)))
			}
		}, 12},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				key := new(identity.Key)
				key.TrustUntil(time.Now().Add(24 * time.Hour))
				d := &double{verify: func(_ context.Context, token *identity.Token) (identity.Verified, error) {
					return vouch(token, key), nil
				}}
				set := setOf(t, 10, one(d))
				for range 2 {
					if _, err := set.Authenticate(t.Context(), token("alice")); err != nil {
						t.Fatal(err)
					}
				}
				c.then(set, key)
				if _, err := set.Authenticate(t.Context(), token("alice")); err != nil {
					t.Fatal(err)
				}
				if got := d.verified.Load(); got > c.verified || c.verified < 12 && got != c.verified {
					t.Errorf("verified %d times, want %d", got, c.verified)
				}
			})
		})
	}
}

func TestGroupsCarryTheirSource(t *testing.T) {
	groups := &double{verify: func(_ context.Context, token *identity.Token) (identity.Verified, error) {
		return vouch(token, nil, "b", "a", "b"), nil
	}}
	other := identity.Source{Name: "other", Issuer: "https://other.test", Verifier: new(double)}
	for name, c := range map[string]struct {
		set  *identity.Set
		want []string
	}{
		"one source":  {setOf(t, 0, one(groups)), []string{"a", "b"}},
		"two sources": {setOf(t, 0, one(groups), other), []string{"corp:a", "corp:b"}},
	} {
		t.Run(name, func(t *testing.T) {
			who, err := c.set.Authenticate(t.Context(), token("alice"))
			if err != nil || !slices.Equal(who.Groups, c.want) {
				t.Errorf("got %v, %v", who, err)
			}
		})
	}
}

func TestNewSetRefuses(t *testing.T) {
	good := one(new(double))
	for name, c := range map[string]struct {
		sources []identity.Source
		want    string
	}{
		"no name":       {[]identity.Source{{Issuer: url, Verifier: good.Verifier}}, "needs a name"},
		"no verifier":   {[]identity.Source{{Name: "corp", Issuer: url}}, "needs a name"},
		"a colon":       {[]identity.Source{{Name: "a:b", Issuer: url, Verifier: good.Verifier}}, "colon"},
		"one name":      {[]identity.Source{good, {Name: "corp", Issuer: "x", Verifier: good.Verifier}}, "two identity sources are named"},
		"one issuer":    {[]identity.Source{good, {Name: "b", Issuer: url, Verifier: good.Verifier}}, "have the issuer"},
		"an empty one":  {[]identity.Source{{}}, "needs a name"},
		"a good second": {[]identity.Source{{}, good}, "needs a name"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := identity.NewSet(c.sources, identity.Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestCurrent(t *testing.T) {
	var current identity.Current
	_, err := current.Authenticate(t.Context(), token("alice"))
	if e := mustRefuse(t, err, access.ReasonIssuerAway); e.Kind != access.Unavailable {
		t.Errorf("got kind %d", e.Kind)
	}
	first, second := new(double), new(double)
	for _, d := range []*double{first, second} {
		current.Replace(setOf(t, 0, one(d)))
		for range 2 {
			if _, err := current.Authenticate(t.Context(), token("alice")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if first.verified.Load() != 1 || second.verified.Load() != 1 {
		t.Errorf("verified %d and %d times: a new set begins with nothing remembered", first.verified.Load(), second.verified.Load())
	}
}

func TestKnownNeverVerifies(t *testing.T) {
	var current identity.Current
	raw, d := token("alice"), new(double)
	if current.Known(raw) != nil {
		t.Error("known without a set")
	}
	current.Replace(setOf(t, 0, one(d)))
	for _, unknown := range []string{"", raw, strings.Repeat("a", 1<<20)} {
		if current.Known(unknown) != nil || d.verified.Load() != 0 {
			t.Errorf("%.20q is known", unknown)
		}
	}
	who, err := current.Authenticate(t.Context(), raw)
	if err != nil || current.Known(raw) != who {
		t.Errorf("got %v, want %v, %v", current.Known(raw), who, err)
	}
}

func TestASetWithoutSourcesTakesNothing(t *testing.T) {
	_, err := setOf(t, 0).Authenticate(t.Context(), token("alice"))
	mustRefuse(t, err, access.ReasonTokenInvalid)
	_, err = setOf(t, 0).Authenticate(t.Context(), "")
	mustRefuse(t, err, access.ReasonTokenMissing)
}
