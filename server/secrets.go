package server

import (
	"context"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/masking"
	"github.com/sluice-gateway/sluice/secret"
	"github.com/sluice-gateway/sluice/services/admin"
)

// secrets are what the store keeps sealed; nil where it keeps none.
type secrets struct {
	credentials *secret.Credentials
	tokens      *secret.Tokens
}

// openSecrets reads the keys, and makes what is sealed with them.
func (s *Server) openSecrets(ctx context.Context, cfg *config.Config) error {
	if !cfg.KeepsSecrets() || s.store == nil {
		return nil
	}
	ring, err := secret.LoadKeys(ctx, cfg.Secrets, nil)
	if err != nil {
		return err
	}
	s.secrets = &secrets{
		credentials: secret.New(secret.Options{
			Store: s.store, Ring: ring, Idle: cfg.Secrets.Idle, Unconfirmed: cfg.Secrets.Unconfirmed, Log: s.log,
			InUse: func(name string) string { return s.state.Load().cfg.SecretInUse(name) },
		}),
		tokens: secret.NewTokens(secret.TokenOptions{Store: s.store, Ring: ring, Log: s.log}),
	}
	s.masking.KeepTokens(vault{s.secrets.tokens})
	s.registry.MustRegister(leases{s.secrets.credentials})
	return nil
}

// run keeps what is open as the store has it, until ctx ends.
func (k *secrets) run(ctx context.Context) {
	if k == nil {
		return
	}
	var running sync.WaitGroup
	running.Go(func() { k.credentials.Run(ctx) })
	running.Go(func() { k.tokens.Run(ctx) })
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
