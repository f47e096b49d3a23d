package server

import (
	"cmp"
	"fmt"

	"google.golang.org/grpc/credentials/insecure"

	"github.com/sluice-gateway/sluice/backends"
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
	r := replica{gateway: g, config: c, address: address, forwarder: backends.Forwarder{Allow: c.Metadata}, credentials: insecure.NewCredentials()}
	if c.Credential != nil {
		r.forwarder.Credential = c.Credential.Metadata
	}
	if c.TLS != nil || name != "" && c.HTTP() { // without it config.Validate wants plaintext: true, or https:// with the system's authorities
		if err := r.secure(name); err != nil {
			return nil, fmt.Errorf("backend %s: %w", c.Name, err)
		}
	}
	b, err := constructors[c.Type](r)
	if err != nil {
		return nil, err
	}
	return rename.Wrap(b, c.Rename, c.Versions), nil
}

// secure gives a replica what follows the configured files.
func (r *replica) secure(name string) error {
	var t backends.TLSConfig
	if r.config.TLS != nil {
		t = *r.config.TLS
	}
	files := tlsfiles.ClientFiles{CA: string(t.CA), Cert: string(t.Cert), Key: string(t.Key), ServerName: cmp.Or(t.ServerName, name)}
	var err error
	if r.dialTLS, err = tlsfiles.Dial(files, r.log); err != nil || r.config.TLS == nil {
		return err
	}
	r.credentials, err = tlsfiles.Client(files, r.log)
	return err
}
