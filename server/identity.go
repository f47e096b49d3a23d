package server

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"slices"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/identity"
	"github.com/sluice-gateway/sluice/identity/oidc"
)

// sources are the identity providers of one configuration.
type sources struct {
	set       *identity.Set
	configs   []oidc.Config
	providers []*oidc.Provider
}

// openIdentity starts the providers, taking over from before what is configured
// as it was: it has its keys. Their issuers need not be reachable; one that is
// not is an error of its own tokens only.
func openIdentity(ctx context.Context, cfg config.Identity, before *sources, log *slog.Logger) (*sources, error) {
	s := &sources{configs: cfg.OIDC}
	var list []identity.Source
	for _, c := range cfg.OIDC {
		p, err := before.same(c), error(nil)
		if p == nil {
			p, err = oidc.New(ctx, c, oidc.Options{Logger: log})
		}
		if err != nil {
			return nil, errors.Join(err, s.closeAllBut(before))
		}
		s.providers = append(s.providers, p)
		list = append(list, p.Source())
	}
	var err error
	if s.set, err = identity.NewSet(list, identity.Options{}); err != nil {
		return nil, errors.Join(err, s.closeAllBut(before))
	}
	return s, nil
}

// same returns the provider of a configuration equal to c.
func (s *sources) same(c oidc.Config) *oidc.Provider {
	if s == nil {
		return nil
	}
	for i, have := range s.configs {
		if reflect.DeepEqual(have, c) {
			return s.providers[i]
		}
	}
	return nil
}

// closeAllBut ends the providers that other does not have. Calls that were let
// in go on.
func (s *sources) closeAllBut(other *sources) error {
	var errs []error
	for _, p := range s.providers {
		if other == nil || !slices.Contains(other.providers, p) {
			errs = append(errs, p.Close())
		}
	}
	return errors.Join(errs...)
}
