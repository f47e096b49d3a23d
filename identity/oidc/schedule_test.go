package oidc_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/identity"
	"github.com/sluice-gateway/sluice/identity/identitytest"
	"github.com/sluice-gateway/sluice/identity/oidc"
)

// bubble runs test with an issuer and a provider of it under a clock of its own;
// every request of the provider goes through before first.
func bubble(t *testing.T, before func(issuer *identitytest.Issuer), test func(t *testing.T, issuer *identitytest.Issuer, p *oidc.Provider, who *identity.Set)) {
	t.Helper()
	k := identitytest.EC()
	identitytest.EC2()
	identitytest.Stranger()
	synctest.Test(t, func(t *testing.T) {
		issuer := identitytest.NewIssuer(t, identitytest.URL, k)
		if before != nil {
			before(issuer)
		}
		p := start(t, config(identitytest.Setup{Issuer: issuer, Name: "corp"}), oidc.Options{Transport: issuer})
		set, err := identity.NewSet([]identity.Source{p.Source()}, identity.Options{})
		if err != nil {
			t.Fatal(err)
		}
		test(t, issuer, p, set)
	})
}

// refused fails the test unless err is a refusal for reason.
func refused(t *testing.T, err error, reason string) *access.Error {
	t.Helper()
	e, ok := access.AsError(err)
	if !ok || e.Reason != reason {
		t.Fatalf("got %v, want a refusal for %s", err, reason)
	}
	return e
}

func TestKeysAreFetchedOnSchedule(t *testing.T) {
	bubble(t, nil, func(t *testing.T, issuer *identitytest.Issuer, _ *oidc.Provider, _ *identity.Set) {
		time.Sleep(20*identitytest.Refresh + time.Second)
		synctest.Wait()
		// The pauses are up to a tenth shorter, so that gateways do not fetch in step.
		if n := issuer.Fetches.Load(); n < 21 || n > 24 {
			t.Errorf("fetched %d times in 20 pauses", n)
		}
	})
}

func TestFetchesThatFailComeLessOften(t *testing.T) {
	k := identitytest.EC()
	synctest.Test(t, func(t *testing.T) {
		issuer := identitytest.NewIssuer(t, identitytest.URL, k)
		var tries []time.Duration
		began := time.Now()
		var mu sync.Mutex
		transport := roundTrip(func(*http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			tries = append(tries, time.Since(began).Round(time.Second))
			return nil, fmt.Errorf("no route to %s", strings.Repeat("host", 1000))
		})
		var log strings.Builder
		p := start(t, config(identitytest.Setup{Issuer: issuer, Name: "corp"}),
			oidc.Options{Transport: transport, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if got, want := fmt.Sprint(tries), "[0s 1s 3s 7s 15s 31s 1m1s 1m31s]"; got != want {
			t.Errorf("tried at %s, want %s", got, want)
		}
		if lines := strings.Count(log.String(), "\n"); lines != len(tries) || len(log.String()) > 700*lines {
			t.Errorf("%d lines of %d bytes in all", lines, log.Len())
		}
		set, err := identity.NewSet([]identity.Source{p.Source()}, identity.Options{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = set.Authenticate(t.Context(), issuer.Token(t, k, nil))
		if e := refused(t, err, access.ReasonIssuerAway); e.RetryAfter <= 0 || e.RetryAfter > 30*time.Second {
			t.Errorf("try again after %s", e.RetryAfter)
		}
	})
}

// TestStrangersBehindASlowIssuer has an issuer hang while strangers show keys
// that nobody knows: those wait for one fetch in a bounded number, and for a
// bounded time; who is known does not wait.
func TestStrangersBehindASlowIssuer(t *testing.T) {
	bubble(t, nil, func(t *testing.T, issuer *identitytest.Issuer, _ *oidc.Provider, who *identity.Set) {
		good := issuer.Token(t, identitytest.EC(), nil)
		if _, err := who.Authenticate(t.Context(), good); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		issuer.Hang.Store(true)
		var calls sync.WaitGroup
		var waiting atomic.Int64
		for n := range 500 {
			stranger := issuer.Token(t, identitytest.Stranger().As(fmt.Sprint("stranger", n)), nil)
			calls.Go(func() {
				at := time.Now()
				_, err := who.Authenticate(t.Context(), stranger)
				want, waited := access.ReasonTokenInvalid, time.Since(at)
				if waited > 0 {
					want = access.ReasonIssuerAway
					waiting.Add(1)
				}
				if e, ok := access.AsError(err); !ok || e.Reason != want || waited > 5*time.Second {
					t.Errorf("got %v after %s", err, waited)
				}
			})
		}
		synctest.Wait()
		at := time.Now()
		for _, token := range []string{good, issuer.Token(t, identitytest.EC(), map[string]any{"jti": "new"})} {
			if _, err := who.Authenticate(t.Context(), token); err != nil {
				t.Error(err)
			}
		}
		if waited := time.Since(at); waited > 0 {
			t.Errorf("an honest caller waited %s", waited)
		}
		calls.Wait()
		if n := waiting.Load(); n == 0 || n > 128 {
			t.Errorf("%d strangers waited", n)
		}
	})
}

// TestAKeyThatChangedUnderItsNameIsNoticed: who comes after the first refusal
// is judged by the new key, without waiting for the schedule.
func TestAKeyThatChangedUnderItsNameIsNoticed(t *testing.T) {
	bubble(t, nil, func(t *testing.T, issuer *identitytest.Issuer, _ *oidc.Provider, who *identity.Set) {
		synctest.Wait()
		time.Sleep(time.Minute)
		changed := identitytest.EC2().As(identitytest.EC().ID)
		issuer.Publish(t, changed)
		token := issuer.Token(t, changed, nil)
		_, err := who.Authenticate(t.Context(), token)
		refused(t, err, access.ReasonTokenInvalid)
		synctest.Wait()
		if _, err := who.Authenticate(t.Context(), token); err != nil {
			t.Error(err)
		}
	})
}

func TestACallerThatGoesDoesNotWait(t *testing.T) {
	bubble(t, func(issuer *identitytest.Issuer) { issuer.Hang.Store(true) },
		func(t *testing.T, issuer *identitytest.Issuer, _ *oidc.Provider, who *identity.Set) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			at := time.Now()
			_, err := who.Authenticate(ctx, issuer.Token(t, identitytest.EC(), nil))
			refused(t, err, access.ReasonIssuerAway)
			if waited := time.Since(at); waited != time.Second {
				t.Errorf("waited %s", waited)
			}
		})
}

func TestAClosedProviderAsksNobody(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, p *oidc.Provider){
		"closed":       func(_ *testing.T, p *oidc.Provider) { _ = p.Close() },
		"closed twice": func(_ *testing.T, p *oidc.Provider) { _, _ = p.Close(), p.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, issuer *identitytest.Issuer, p *oidc.Provider, who *identity.Set) {
				good := issuer.Token(t, identitytest.EC(), nil)
				if _, err := who.Authenticate(t.Context(), good); err != nil {
					t.Fatal(err)
				}
				end(t, p)
				before := issuer.Fetches.Load()
				time.Sleep(11 * time.Second)
				_, err := who.Authenticate(t.Context(), issuer.Token(t, identitytest.EC2(), nil))
				refused(t, err, access.ReasonIssuerAway)
				time.Sleep(identitytest.Refresh)
				if _, err := who.Authenticate(t.Context(), good); err != nil {
					t.Errorf("the keys at hand: %v", err)
				}
				time.Sleep(identitytest.Stale)
				_, err = who.Authenticate(t.Context(), good)
				refused(t, err, access.ReasonIssuerAway)
				if n := issuer.Fetches.Load() - before; n > 0 {
					t.Errorf("fetched %d times", n)
				}
			})
		})
	}
}

func TestAProviderClosedWhileItsIssuerHangs(t *testing.T) {
	bubble(t, func(issuer *identitytest.Issuer) { issuer.Hang.Store(true) },
		func(t *testing.T, issuer *identitytest.Issuer, p *oidc.Provider, who *identity.Set) {
			var caller sync.WaitGroup
			caller.Go(func() {
				_, err := who.Authenticate(t.Context(), issuer.Token(t, identitytest.EC(), nil))
				refused(t, err, access.ReasonIssuerAway)
			})
			synctest.Wait()
			at := time.Now()
			_ = p.Close()
			caller.Wait()
			if waited := time.Since(at); waited > 0 {
				t.Errorf("waited %s", waited)
			}
		})
}

// TestNobodyWaitsForAnIssuerThatWasAway: once a fetch failed, who comes while the
// next one hangs is told at once.
func TestNobodyWaitsForAnIssuerThatWasAway(t *testing.T) {
	bubble(t, func(issuer *identitytest.Issuer) { issuer.Down.Store(true) },
		func(t *testing.T, issuer *identitytest.Issuer, _ *oidc.Provider, who *identity.Set) {
			synctest.Wait()
			issuer.Hang.Store(true)
			time.Sleep(1500 * time.Millisecond)
			at := time.Now()
			_, err := who.Authenticate(t.Context(), issuer.Token(t, identitytest.EC(), nil))
			refused(t, err, access.ReasonIssuerAway)
			if waited := time.Since(at); waited > 0 {
				t.Errorf("waited %s", waited)
			}
		})
}

// TestAKeyThatEndsBetweenReadyAndVerify is not trusted for the moment that
// lies between.
func TestAKeyThatEndsBetweenReadyAndVerify(t *testing.T) {
	bubble(t, nil, func(t *testing.T, issuer *identitytest.Issuer, p *oidc.Provider, _ *identity.Set) {
		token, err := identity.Parse(issuer.Token(t, identitytest.EC(), nil))
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Ready(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Verify(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		issuer.Down.Store(true)
		time.Sleep(identitytest.Stale)
		_, err = p.Verify(t.Context(), token)
		refused(t, err, access.ReasonTokenInvalid)
	})
}

func BenchmarkNewToken(b *testing.B) {
	for _, k := range []identitytest.Key{identitytest.RSA(), identitytest.EC(), identitytest.EC384(), identitytest.Ed()} {
		b.Run(string(k.Algorithm), func(b *testing.B) {
			issuer := identitytest.NewIssuer(b, identitytest.URL, k)
			p, err := oidc.New(b.Context(), config(identitytest.Setup{Issuer: issuer, Name: "corp"}), oidc.Options{Transport: issuer})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = p.Close() }()
			raw := issuer.Token(b, k, map[string]any{"groups": []string{"a", "b"}})
			b.ReportAllocs()
			for b.Loop() {
				token, err := identity.Parse(raw)
				if err == nil {
					err = p.Ready(b.Context(), token)
				}
				if err == nil {
					_, err = p.Verify(b.Context(), token)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
