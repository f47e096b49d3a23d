package secret

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/access"
)

// Config is how stored secrets are sealed, and how long they are open.
type Config struct {
	// Key refers to the key that seals stored secrets and vouches for grants, as
	// ${NAME} or file:PATH: 32 random bytes in base64, as `sluice secrets key new`
	// writes them. It must not lie where the store does.
	Key access.Secret `yaml:"key"`
	// OldKeys open what was sealed before the key was changed. What is stored is
	// sealed anew under key when Sluice starts.
	OldKeys []access.Secret `yaml:"old_keys"`
	// Transit unwraps keys whose text begins with "wrapped:".
	Transit *Transit `yaml:"transit"`
	// Idle is how long a credential stays open, and its connections stay there,
	// after the last call that used it.
	Idle time.Duration `yaml:"idle"`
	// Unconfirmed is how long an open credential is used while the store does not
	// say that it is still there.
	Unconfirmed time.Duration `yaml:"unconfirmed"`
}

// The defaults, and the bounds.
const (
	defaultIdle        = 5 * time.Minute
	defaultUnconfirmed = 15 * time.Minute
	minIdle            = time.Second
	minUnconfirmed     = 10 * time.Second
)

// SetDefaults fills in what is not written.
func (c *Config) SetDefaults() {
	if c.Idle == 0 {
		c.Idle = defaultIdle
	}
	if c.Unconfirmed == 0 {
		c.Unconfirmed = defaultUnconfirmed
	}
}

// Validate checks the settings by themselves; it reads no key.
func (c *Config) Validate() (problems []access.Problem) {
	add := func(path, format string, args ...any) {
		problems = append(problems, access.Problem{Path: path, Message: fmt.Sprintf(format, args...)})
	}
	if c.Key.IsZero() && len(c.OldKeys) > 0 {
		add("key", "is missing: old keys open and do not seal")
	}
	if c.Transit != nil {
		for _, p := range c.Transit.Validate() {
			add("transit."+p.Path, "%s", p.Message)
		}
	}
	if c.Idle < minIdle {
		add("idle", "must be at least %v", minIdle)
	}
	if c.Unconfirmed < minUnconfirmed {
		add("unconfirmed", "must be at least %v", minUnconfirmed)
	}
	return problems
}

var errNoKMS = errors.New("it is wrapped, and there is nothing to unwrap it; write secrets: { transit: { address: URL, key: NAME, token: file:PATH } }")

// LoadKeys reads the configured keys. One whose text begins with [Wrapped] is
// unwrapped by kms, which may be nil where there is none. Its errors name
// references and never what is in them.
func LoadKeys(ctx context.Context, c Config, kms KMS) (*Keyring, error) {
	keys, err := loadKeys(c, func(wrapped string) (Bytes, error) {
		if kms == nil {
			return Bytes{}, errNoKMS
		}
		key, err := kms.Unwrap(ctx, wrapped)
		if err != nil {
			return Bytes{}, fmt.Errorf("the KMS did not unwrap it: %w", err)
		}
		return key, nil
	})
	if err != nil {
		return nil, err
	}
	return NewKeyring(keys...)
}

// loadKeys reads the configured keys, the one that seals first.
func loadKeys(c Config, unwrap func(wrapped string) (Bytes, error)) (keys []Bytes, err error) {
	for i, ref := range append([]access.Secret{c.Key}, c.OldKeys...) {
		text, err := ref.Resolve()
		var key Bytes
		if wrapped, is := strings.CutPrefix(text, Wrapped); err == nil && is {
			key, err = unwrap(strings.TrimSpace(wrapped))
		} else if err == nil {
			key, err = ParseKey(text)
		}
		if err != nil {
			name := "secrets.key"
			if i > 0 {
				name = fmt.Sprintf("secrets.old_keys[%d]", i-1)
			}
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}
