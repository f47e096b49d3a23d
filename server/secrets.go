package server

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-gateway/sluice/approval"
	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/masking"
	"github.com/sluice-gateway/sluice/notify"
	"github.com/sluice-gateway/sluice/secret"
	"github.com/sluice-gateway/sluice/secret/transit"
	"github.com/sluice-gateway/sluice/services/admin"
	"github.com/sluice-gateway/sluice/store"
)

// secrets are what the store keeps sealed; nil where it keeps none.
type secrets struct {
	credentials *secret.Credentials
	tokens      *secret.Tokens
	renew       func(context.Context) // writes what is vouched for by an old key anew
}

// loadKeys reads the keys that seal and vouch for what is kept, and has those that are
// wrapped unwrapped; nil without any.
func loadKeys(ctx context.Context, c secret.Config) (*secret.Keyring, error) {
	switch {
	case c.Key.IsZero():
		return nil, nil
	case c.Transit == nil:
		return secret.LoadKeys(ctx, c, nil)
	}
	trust, err := trusting(c.Transit.CA, "")
	if err != nil {
		return nil, fmt.Errorf("secrets.transit: %w", err)
	}
	by := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: trust, DisableKeepAlives: true}
	return secret.LoadKeys(ctx, c, transit.New(*c.Transit, by))
}

// vouched has what gives rights be what a gateway with the key has written. Without a
// key whoever writes to the database gives himself a grant.
func vouched(kept store.Store, ring *secret.Keyring, log *slog.Logger, found func(store.Kind, string, error)) store.Store {
	if kept == nil || ring == nil {
		return kept
	}
	return secret.NewAuthentic(kept, secret.AuthenticOptions{
		Ring: ring, Log: log, Found: found,
		Kinds: []store.Kind{approval.KindRequest, approval.KindGrant, approval.KindAsked, notify.KindLink, notify.KindCode},
	})
}

// unvouched records an item that gives nobody anything.
func (s *Server) unvouched(kind store.Kind, id string) {
	if s.audit != nil {
		s.audit.Record(&audit.Record{Kind: audit.KindAdmin, Time: time.Now(), Verdict: audit.Denied, Object: string(kind) + " " + id, Detail: "it was not written by a gateway with this key, and gives nobody anything"}, nil)
	}
}

// openSecrets makes what is sealed with the keys.
func (s *Server) openSecrets(cfg *config.Config, ring *secret.Keyring) {
	authentic, ok := s.store.(*secret.Authentic)
	if !ok {
		return
	}
	s.secrets = &secrets{
		renew: authentic.Renew,
		credentials: secret.New(secret.Options{
			Store: s.store, Ring: ring, Idle: cfg.Secrets.Idle, Unconfirmed: cfg.Secrets.Unconfirmed, Log: s.log,
			InUse: func(name string) string { return s.state.Load().cfg.SecretInUse(name) },
		}),
		tokens: secret.NewTokens(secret.TokenOptions{Store: s.store, Ring: ring, Log: s.log, Believed: s.clockBelieved}),
	}
	s.masking.KeepTokens(vault{s.secrets.tokens})
	s.registry.MustRegister(leases{s.secrets.credentials})
}

// run keeps what is open as the store has it, until ctx ends.
func (k *secrets) run(ctx context.Context) {
	if k == nil {
		return
	}
	var running sync.WaitGroup
	running.Go(func() { k.credentials.Run(ctx) })
	running.Go(func() { k.tokens.Run(ctx) })
	running.Go(func() { k.renew(ctx) })
	running.Wait()
}

// leased are the credentials that backends may lease; nil where none are kept.
func (k *secrets) leased() *secret.Credentials {
	if k == nil {
		return nil
	}
	return k.credentials
}

// vault keeps the tokens that masking makes.
type vault struct{ tokens *secret.Tokens }

var _ masking.Vault = vault{}

func (v vault) Keep(ctx context.Context, tokens []masking.Token) error {
	all := make([]secret.Token, len(tokens))
	for i, t := range tokens {
		all[i] = secret.Token{ID: t.ID, Model: t.Model, Entity: t.Entity, Text: t.Text, Keep: t.Keep}
	}
	return v.tokens.Keep(ctx, all)
}

// adminSecrets are the stored secrets as the admin API has them, nil for none.
func (k *secrets) adminSecrets() admin.Secrets {
	if k == nil {
		return nil
	}
	return k.credentials
}

// adminTokens are masking's tokens as the admin API has them, nil for none.
func (k *secrets) adminTokens() admin.Tokens {
	if k == nil {
		return nil
	}
	return k.tokens
}

// leases tells how many calls have which stored credential open.
type leases struct{ credentials *secret.Credentials }

var leasesDesc = prometheus.NewDesc("sluice_credential_leases", "Calls that have a stored credential open.", []string{"credential"}, nil)

// Describe tells what there is to collect.
func (leases) Describe(to chan<- *prometheus.Desc) { to <- leasesDesc }

// Collect tells it as it is now.
func (l leases) Collect(to chan<- prometheus.Metric) {
	for _, one := range l.credentials.Leases(false) {
		to <- prometheus.MustNewConstMetric(leasesDesc, prometheus.GaugeValue, float64(one.Count), one.Name)
	}
}
