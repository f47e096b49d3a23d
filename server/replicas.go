package server

import (
	"cmp"
	"fmt"

	"google.golang.org/grpc/credentials/insecure"

	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/backends/leased"
	replicas "github.com/sluice-gateway/sluice/backends/pool"
	"github.com/sluice-gateway/sluice/backends/rename"
	"github.com/sluice-gateway/sluice/config/tlsfiles"
)

// openBackend makes a backend of its replicas, without waiting for any.
func openBackend(c backends.Config, g gateway) (*replicas.Pool, error) {
	return replicas.New(poolOptions(c, g))
}

func poolOptions(c backends.Config, g gateway) replicas.Options {
	return replicas.Options{Config: c, Logger: g.log, Open: func(address, name string) (backends.Backend, error) {
		return openReplica(c, address, name, g)
	}}
}

// openReplica makes one replica. Where its address was looked up, name is whose
// it is, and who the replica's certificate has to be for.
func openReplica(c backends.Config, address, name string, g gateway) (backends.Backend, error) {
	if err := built(c); err != nil {
		return nil, err
	}
	if len(c.Credential.StoredSecrets()) == 0 {
		b, err := openConnection(c, address, name, g, nil)
		if err != nil {
			return nil, err
		}
		return rename.Wrap(b, c.Rename, c.Versions), nil
	}
	b, err := leased.New(leased.Options{Config: c, Secrets: g.secrets, Log: g.log, Open: func(shows leased.Shows) (backends.Backend, error) {
		return openConnection(c, address, name, g, &shows)
	}})
	if err != nil {
		return nil, err
	}
	return rename.Wrap(b, c.Rename, c.Versions), nil
}

// openConnection makes what speaks to one replica, which shows what of stored
// secrets is open, or what the configuration refers to itself.
func openConnection(c backends.Config, address, name string, g gateway, shows *leased.Shows) (backends.Backend, error) {
	r := replica{gateway: g, config: c, address: address, forwarder: backends.Forwarder{Allow: c.Metadata}, credentials: insecure.NewCredentials(), shows: shows}
	if c.Credential != nil && shows == nil {
		r.forwarder.Credential = c.Credential.Metadata
	}
	if c.TLS != nil || name != "" && c.HTTP() { // without it config.Validate wants plaintext: true, or https:// with the system's authorities
		if err := r.secure(name); err != nil {
			return nil, fmt.Errorf("backend %s: %w", c.Name, err)
		}
	}
	return constructors[c.Type](r)
}

// shown is what a connection's own questions show of stored secrets; nil where
// there are none.
func (r *replica) shown() func() (map[string]string, error) {
	if r.shows == nil {
		return nil
	}
	return r.shows.Metadata
}

// secure gives a replica what follows the configured files.
func (r *replica) secure(name string) error {
	var t backends.TLSConfig
	if r.config.TLS != nil {
		t = *r.config.TLS
	}
	files := tlsfiles.ClientFiles{CA: string(t.CA), Cert: string(t.Cert), Key: string(t.Key), ServerName: cmp.Or(t.ServerName, name)}
	if r.shows != nil {
		files.Shown = r.shows.Pair
	}
	var err error
	if r.dialTLS, err = tlsfiles.Dial(files, r.log); err != nil || r.config.TLS == nil {
		return err
	}
	r.credentials, err = tlsfiles.Client(files, r.log)
	return err
}
