package secret

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/access"
)

// KMS is a service that holds a key which nobody can read, and opens others that it
// has wrapped. It is bounded by its context.
type KMS interface {
	Unwrap(ctx context.Context, wrapped string) (key Bytes, err error)
}

// Wrapped begins the text of a key that a KMS has wrapped.
const Wrapped = "wrapped:"

// Transit says where the transit engine of HashiCorp Vault or OpenBao is that unwraps
// keys when Sluice starts.
type Transit struct {
	// Address is the server's URL, as https://vault:8200. Plain http is for an agent on
	// the gateway's own host.
	Address string `yaml:"address"`
	// Mount is where the engine is mounted. Default: transit.
	Mount string `yaml:"mount"`
	// Key is the name of the key in the engine.
	Key string `yaml:"key"`
	// Namespace is sent along if it is set.
	Namespace string `yaml:"namespace"`
	// Token refers to what the server is shown, as file:PATH. It needs update on
	// MOUNT/decrypt/KEY and nothing else.
	Token access.Secret `yaml:"token"`
	// CA is a PEM file of the authorities that may have signed the server's
	// certificate; without it, the system's.
	CA access.File `yaml:"ca"`
	// Timeout bounds each of the five times that the server is asked. Default: 5s.
	Timeout time.Duration `yaml:"timeout"`
}

const (
	defaultMount   = "transit"
	defaultTimeout = 5 * time.Second
	maxTimeout     = time.Minute
)

// SetDefaults fills in what is not set.
func (t *Transit) SetDefaults() {
	if t.Mount == "" {
		t.Mount = defaultMount
	}
	if t.Timeout == 0 {
		t.Timeout = defaultTimeout
	}
}

// Validate reports what is wrong, after SetDefaults.
func (t *Transit) Validate() (problems []access.Problem) {
	add := func(path, message string) {
		problems = append(problems, access.Problem{Path: path, Message: message})
	}
	u, err := url.Parse(t.Address)
	switch {
	case err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" || u.Scheme != "https" && u.Scheme != "http":
		add("address", "must be a URL such as https://vault:8200")
	case u.Scheme == "http" && !local(u.Hostname()):
		add("address", "must be https: the token and the key would cross the network in clear text; http is for an agent on 127.0.0.1")
	}
	if t.Key == "" || strings.ContainsAny(t.Key, "/?#%") || t.Key == "." || t.Key == ".." {
		add("key", "must be the name of a key of the engine, as sluice")
	}
	if strings.Trim(t.Mount, "/") != t.Mount || t.Mount == "" || strings.ContainsAny(t.Mount, "?#%") || strings.Contains(t.Mount, "..") {
		add("mount", "must be where the engine is mounted, as transit")
	}
	if t.Token.IsZero() {
		add("token", "is missing; write file:PATH")
	}
	if t.Timeout < time.Second || t.Timeout > maxTimeout {
		add("timeout", fmt.Sprintf("must be 1s to %v", maxTimeout))
	}
	return problems
}

func local(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// DecryptURL is where the engine decrypts.
func (t *Transit) DecryptURL() string {
	return strings.TrimSuffix(t.Address, "/") + "/v1/" + t.Mount + "/decrypt/" + url.PathEscape(t.Key)
}

// CheckKeys tells whether [LoadKeys] would find keys, as far as that can be told without
// asking a KMS.
func CheckKeys(c Config) error {
	keys, err := loadKeys(c, func(string) (Bytes, error) {
		if c.Transit == nil {
			return Bytes{}, errNoKMS
		}
		return Bytes{}, nil
	})
	if err != nil {
		return err
	}
	// Of those that are here none may be there twice.
	if keys = slices.DeleteFunc(keys, func(k Bytes) bool { return k.Len() == 0 }); len(keys) > 0 {
		_, err = NewKeyring(keys...)
	}
	return err
}
