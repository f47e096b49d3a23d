package identitytest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/access/accesstest"
	"github.com/sluice-gateway/sluice/identity"
)

// URL is the issuer of the suite.
const URL = "https://issuer.test"

// Setup is what a provider under test is made of. It has to take the tokens of
// Issuer for [Audience] with [Skew], fetch the keys every [Refresh] through
// Issuer as the transport, believe them for [Stale], and log to Logger.
type Setup struct {
	Issuer *Issuer
	Name   string
	Logger *slog.Logger
}

// Factory makes the source under test and has t close it. It runs inside a
// synctest bubble.
type Factory func(t *testing.T, setup Setup) identity.Source

// Run plays the whole suite with the provider that make makes.
func Run(t *testing.T, make Factory) {
	s := suite{make}
	t.Run("taken", s.taken)
	t.Run("times", s.times)
	t.Run("hostile", s.hostile)
	t.Run("keys", s.keys)
	t.Run("away", s.away)
	t.Run("several issuers", s.several)
}

type suite struct{ factory Factory }

// bubble runs test under a clock of its own, with an issuer that publishes
// EC and RSA.
func (s suite) bubble(t *testing.T, name string, test func(t *testing.T, p *play)) {
	t.Helper()
	s.with(t, name, []Key{EC(), RSA()}, test)
}

// with is bubble with other keys, which are made outside of it: that takes real
// time.
func (s suite) with(t *testing.T, name string, keys []Key, test func(t *testing.T, p *play)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { test(t, s.play(t, NewIssuer(t, URL, keys...))) })
	})
}

// play is one provider with its issuer.
type play struct {
	issuer *Issuer
	who    *identity.Set
	log    *accesstest.Log
}

func (s suite) play(t *testing.T, issuers ...*Issuer) *play {
	t.Helper()
	p := &play{issuer: issuers[0], log: new(accesstest.Log)}
	var sources []identity.Source
	for n, issuer := range issuers {
		name := "corp"
		if n > 0 {
			name = fmt.Sprintf("other%d", n)
		}
		sources = append(sources, s.factory(t, Setup{Issuer: issuer, Name: name, Logger: slog.New(slog.NewTextHandler(p.log, nil))}))
	}
	var err error
	if p.who, err = identity.NewSet(sources, identity.Options{}); err != nil {
		t.Fatal(err)
	}
	return p
}

// takes fails the test unless token is taken.
func (p *play) takes(t *testing.T, token string) *access.Principal {
	t.Helper()
	who, err := p.who.Authenticate(t.Context(), token)
	if err != nil {
		t.Fatalf("refused: %v (cause: %v)", err, errors.Unwrap(err))
	}
	return who
}

// refuses fails the test unless token is refused with reason, and with text
// in what the caller sees, without leaking the token.
func (p *play) refuses(t *testing.T, token, reason, text string) {
	t.Helper()
	who, err := p.who.Authenticate(context.WithoutCancel(t.Context()), token)
	if err == nil {
		t.Fatalf("taken, as %s", who.ID())
	}
	e, ok := access.AsError(err)
	if !ok {
		t.Fatalf("refused with a %T: %v", err, err)
	}
	if e.Reason != reason || !strings.Contains(e.Message, text) {
		t.Errorf("refused with %s %q, want %s %q", e.Reason, e.Message, reason, text)
	}
	if want := kinds[reason]; e.Kind != want {
		t.Errorf("refused with kind %d, want %d", e.Kind, want)
	}
	p.leaks(t, token, e)
}

var kinds = map[string]access.ErrorKind{
	access.ReasonTokenMissing: access.Unauthenticated, access.ReasonTokenInvalid: access.Unauthenticated,
	access.ReasonTokenExpired: access.Unauthenticated, access.ReasonIssuerAway: access.Unavailable,
}

// leaks fails the test if a part of the token is in what the caller, the
// record or the log gets.
func (p *play) leaks(t *testing.T, token string, e *access.Error) {
	t.Helper()
	shown := e.Message + fmt.Sprint(errors.Unwrap(e)) + p.log.String()
	for part := range strings.SplitSeq(token, ".") {
		if len(part) >= 8 && strings.Contains(shown, part[:8]) {
			t.Errorf("a part of the token is shown: %.2000s", shown)
		}
	}
	if len(e.Message) > 300 {
		t.Errorf("the message is %d bytes long", len(e.Message))
	}
}
