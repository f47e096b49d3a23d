package server

import (
	"context"
	"errors"
	"log/slog"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/identity"
	"github.com/sluice-gateway/sluice/identity/oidc"
)

// sources are the identity providers of one configuration, with what they hold
// open.
type sources struct {
	set       *identity.Set
	providers []*oidc.Provider
}

// openIdentity starts the providers. Their issuers need not be reachable: one
// that is not is an error of its own tokens only.
func openIdentity(ctx context.Context, cfg config.Identity, log *slog.Logger) (*sources, error) {
	s := new(sources)
	var list []identity.Source
	for _, c := range cfg.OIDC {
		p, err := oidc.New(ctx, c, oidc.Options{Logger: log})
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		s.providers = append(s.providers, p)
		list = append(list, p.Source())
	}
	set, err := identity.NewSet(list, identity.Options{})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.set = set
	return s, nil
}

// Close ends the providers. Calls that were let in go on.
func (s *sources) Close() error {
	var errs []error
	for _, p := range s.providers {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}
