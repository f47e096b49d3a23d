package secret

import (
	"context"
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
	if c.Idle < minIdle {
		add("idle", "must be at least %v", minIdle)
	}
	if c.Unconfirmed < minUnconfirmed {
		add("unconfirmed", "must be at least %v", minUnconfirmed)
	}
	return problems
}

// KMS is a service that holds a key which nobody can read, and wraps others with
// it. Both methods are bounded by their context.
type KMS interface {
	Wrap(ctx context.Context, key Bytes) (wrapped string, err error)
	Unwrap(ctx context.Context, wrapped string) (key Bytes, err error)
}

// Wrapped begins the text of a key that a KMS has wrapped.
const Wrapped = "wrapped:"

// LoadKeys reads the configured keys. One whose text begins with [Wrapped] is
// unwrapped by kms, which may be nil where there is none. Its errors name
// references and never what is in them.
func LoadKeys(ctx context.Context, c Config, kms KMS) (*Keyring, error) {
	var keys []Bytes
	for i, ref := range append([]access.Secret{c.Key}, c.OldKeys...) {
		key, err := loadKey(ctx, ref, kms)
		if err != nil {
			name := "secrets.key"
			if i > 0 {
				name = fmt.Sprintf("secrets.old_keys[%d]", i-1)
			}
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		keys = append(keys, key)
	}
	return NewKeyring(keys...)
}

func loadKey(ctx context.Context, ref access.Secret, kms KMS) (Bytes, error) {
	text, err := ref.Resolve()
	if err != nil {
		return Bytes{}, err
	}
	wrapped, is := strings.CutPrefix(text, Wrapped)
	switch {
	case !is:
		return ParseKey(text)
	case kms == nil:
		return Bytes{}, fmt.Errorf("it is wrapped, and this program has no KMS to unwrap it")
	}
	key, err := kms.Unwrap(ctx, wrapped)
	if err != nil {
		return Bytes{}, fmt.Errorf("the KMS did not unwrap it: %w", err)
	}
	return key, nil
}
