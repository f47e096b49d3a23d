package identitytest

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sluice-gateway/sluice/access"
)

// taken are the tokens that have to be taken.
func (s suite) taken(t *testing.T) {
	for _, k := range []Key{
		RSA(), RSA().With(jose.RS384), RSA().With(jose.RS512), RSA().With(jose.PS256), RSA().With(jose.PS384),
		RSA().With(jose.PS512), EC(), EC384(), EC521(), Ed(),
	} {
		s.with(t, string(k.Algorithm), []Key{k}, func(t *testing.T, p *play) {
			who := p.takes(t, p.issuer.Token(t, k, nil))
			if who.ID() != URL+"#"+Subject || who.Source != "corp" || who.Kind != access.User {
				t.Errorf("got %s of %s, %s", who.ID(), who.Source, who.Kind)
			}
			if want := time.Now().Add(time.Hour + Skew); !who.Expires.Equal(want) {
				t.Errorf("the proof ends at %s, want %s", who.Expires, want)
			}
		})
	}
	for name, header := range map[string]map[string]any{
		"without a kid":            {"kid": nil},
		"without a typ":            {"typ": nil},
		"typ JWT":                  {"typ": "JWT"},
		"typ with its prefix":      {"typ": "application/AT+jwt"},
		"unknown header parameter": {"x-more": map[string]any{"a": 1}},
	} {
		s.bubble(t, name, func(t *testing.T, p *play) {
			p.takes(t, Sign(t, EC(), header, p.issuer.Claims(nil)))
		})
	}
	s.bubble(t, "one of several audiences", func(t *testing.T, p *play) {
		p.takes(t, p.issuer.Token(t, EC(), map[string]any{"aud": []string{"account", Audience}}))
	})
	s.bubble(t, "a token seen before gives the same principal", func(t *testing.T, p *play) {
		token := p.issuer.Token(t, EC(), nil)
		if first := p.takes(t, token); p.takes(t, token) != first {
			t.Error("got two principals")
		}
	})
}

// times are the edges of exp, nbf and iat: a token is taken up to one second
// inside of the skew, and refused from the skew on. Each is asked twice, so that
// what is remembered has the same end as what is not.
func (s suite) times(t *testing.T) {
	second := time.Second
	for name, c := range map[string]struct {
		claim  string
		at     time.Duration // from now
		reason string
	}{
		"exp a second inside of the skew": {"exp", second - Skew, ""},
		"exp at the skew":                 {"exp", -Skew, access.ReasonTokenExpired},
		"exp long ago":                    {"exp", -time.Hour, access.ReasonTokenExpired},
		"nbf at the skew":                 {"nbf", Skew, ""},
		"nbf a second beyond the skew":    {"nbf", Skew + second, access.ReasonTokenInvalid},
		"iat at the skew":                 {"iat", Skew, ""},
		"iat a second beyond the skew":    {"iat", Skew + second, access.ReasonTokenInvalid},
	} {
		s.bubble(t, name, func(t *testing.T, p *play) {
			claims := map[string]any{"iat": time.Now().Add(-2 * time.Hour).Unix()}
			claims[c.claim] = time.Now().Add(c.at).Unix()
			token := p.issuer.Token(t, EC(), claims)
			for range 2 {
				if c.reason == "" {
					p.takes(t, token)
				} else {
					p.refuses(t, token, c.reason, "")
				}
			}
		})
	}
	s.bubble(t, "a remembered token ends with its time", func(t *testing.T, p *play) {
		token := p.issuer.Token(t, EC(), map[string]any{"exp": time.Now().Add(time.Minute).Unix()})
		p.takes(t, token)
		time.Sleep(time.Minute + Skew - time.Second)
		p.takes(t, token)
		time.Sleep(time.Second)
		p.refuses(t, token, access.ReasonTokenExpired, "get a new one")
	})
}

// keys are keys that come, change and go.
func (s suite) keys(t *testing.T) {
	s.bubble(t, "a new key is taken at once", func(t *testing.T, p *play) {
		p.takes(t, p.issuer.Token(t, EC(), nil))
		time.Sleep(time.Minute)
		p.issuer.Publish(t, EC(), EC2())
		p.takes(t, p.issuer.Token(t, EC2(), nil))
		p.takes(t, p.issuer.Token(t, EC(), nil))
	})
	s.bubble(t, "a withdrawn key stops to work within the schedule", func(t *testing.T, p *play) {
		known, unknown := p.issuer.Token(t, EC(), nil), p.issuer.Token(t, EC(), map[string]any{"jti": "2"})
		p.takes(t, known)
		p.issuer.Publish(t, EC2())
		time.Sleep(Refresh)
		synctest.Wait()
		p.refuses(t, known, access.ReasonTokenInvalid, "does not publish")
		p.refuses(t, unknown, access.ReasonTokenInvalid, "does not publish")
		p.takes(t, p.issuer.Token(t, EC2(), nil))
	})
	s.bubble(t, "a key that changed under its name stops to work", func(t *testing.T, p *play) {
		old := p.issuer.Token(t, EC(), nil)
		p.takes(t, old)
		p.issuer.Publish(t, EC2().As(EC().ID))
		time.Sleep(Refresh)
		synctest.Wait()
		p.refuses(t, old, access.ReasonTokenInvalid, "signature does not fit")
		p.takes(t, p.issuer.Token(t, EC2().As(EC().ID), nil))
	})
	s.bubble(t, "the last key withdrawn", func(t *testing.T, p *play) {
		token := p.issuer.Token(t, EC(), nil)
		p.takes(t, token)
		p.issuer.Publish(t)
		time.Sleep(Refresh)
		synctest.Wait()
		p.refuses(t, token, access.ReasonTokenInvalid, "does not publish")
	})
	s.bubble(t, "strangers' keys cause no flood and no waiting", s.flood)
}

// flood shows a thousand keys that nobody published, over 20 s.
func (s suite) flood(t *testing.T, p *play) {
	good := p.issuer.Token(t, EC(), nil)
	p.takes(t, good)
	began, before := time.Now(), p.issuer.Fetches.Load()
	for n := range 1000 {
		if n%50 == 0 {
			time.Sleep(time.Second)
		}
		at := time.Now()
		p.refuses(t, p.issuer.Token(t, Stranger().As("stranger-"+time.Duration(n).String()), nil), access.ReasonTokenInvalid, "does not publish")
		if waited := time.Since(at); waited > 0 {
			t.Fatalf("waited %s", waited)
		}
	}
	if n, most := p.issuer.Fetches.Load()-before, int64(time.Since(began)/(10*time.Second))+1; n > most {
		t.Errorf("the issuer was asked %d times in %s", n, time.Since(began))
	}
	p.takes(t, good)
}

// away is an issuer that cannot be reached.
func (s suite) away(t *testing.T) {
	key := EC()
	s.downAtStart(t, key)
	s.bubble(t, "later, the keys at hand are believed for a while", func(t *testing.T, p *play) {
		known := p.issuer.Token(t, EC(), nil)
		p.takes(t, known)
		p.issuer.Down.Store(true)
		time.Sleep(Stale - Refresh)
		p.takes(t, known)
		p.takes(t, p.issuer.Token(t, EC(), map[string]any{"jti": "2"}))
		time.Sleep(Refresh)
		p.refuses(t, known, access.ReasonIssuerAway, "try again")
		p.issuer.Down.Store(false)
		time.Sleep(time.Minute)
		p.takes(t, known)
	})
	s.bubble(t, "later, an unknown key cannot be judged", func(t *testing.T, p *play) {
		p.takes(t, p.issuer.Token(t, EC(), nil))
		p.issuer.Down.Store(true)
		time.Sleep(Refresh)
		p.refuses(t, p.issuer.Token(t, EC2(), nil), access.ReasonIssuerAway, "try again")
	})
}

func (s suite) downAtStart(t *testing.T, key Key) {
	t.Helper()
	start := func(name string, test func(t *testing.T, p *play)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				issuer := NewIssuer(t, URL, key)
				issuer.Down.Store(name == "at start")
				issuer.Hang.Store(name != "at start")
				test(t, s.play(t, issuer))
			})
		})
	}
	start("at start", func(t *testing.T, p *play) {
		token := p.issuer.Token(t, key, nil)
		p.refuses(t, token, access.ReasonIssuerAway, "try again")
		p.issuer.Down.Store(false)
		time.Sleep(time.Minute)
		p.takes(t, token)
	})
	start("hanging from the start", func(t *testing.T, p *play) {
		at := time.Now()
		p.refuses(t, p.issuer.Token(t, key, nil), access.ReasonIssuerAway, "try again")
		if waited := time.Since(at); waited > 5*time.Second {
			t.Errorf("waited %s", waited)
		}
	})
}

// several are issuers that must not speak for each other, nor take each other
// down.
func (s suite) several(t *testing.T) {
	key, other := EC(), EC2()
	two := func(name string, test func(t *testing.T, p *play, second *Issuer)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				second := NewIssuer(t, "https://second.test", other)
				test(t, s.play(t, NewIssuer(t, URL, key), second), second)
			})
		})
	}
	two("each with its own groups", func(t *testing.T, p *play, second *Issuer) {
		groups := map[string]any{"groups": []string{"admin", "admin", "a"}}
		if got := p.takes(t, p.issuer.Token(t, key, groups)).Groups; !slices.Equal(got, []string{"corp:a", "corp:admin"}) {
			t.Errorf("got %v", got)
		}
		if got := p.takes(t, second.Token(t, other, groups)).Groups; !slices.Equal(got, []string{"other1:a", "other1:admin"}) {
			t.Errorf("got %v", got)
		}
	})
	two("one signs in the name of the other", func(t *testing.T, p *play, _ *Issuer) {
		p.refuses(t, p.issuer.Token(t, other, nil), access.ReasonTokenInvalid, "does not publish")
		p.refuses(t, p.issuer.Token(t, other.As(key.ID), nil), access.ReasonTokenInvalid, "signature does not fit")
	})
	two("one hangs", func(t *testing.T, p *play, second *Issuer) {
		second.Hang.Store(true)
		synctest.Wait()
		at := time.Now()
		p.takes(t, p.issuer.Token(t, key, nil))
		if waited := time.Since(at); waited > 0 {
			t.Errorf("waited %s for the other issuer", waited)
		}
	})
	two("one that nobody configured", func(t *testing.T, p *play, _ *Issuer) {
		third := NewIssuer(t, "https://third.test", key)
		p.refuses(t, third.Token(t, key, nil), access.ReasonTokenInvalid, "issuer is not one")
	})
}
