package config

import (
	"strings"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/secret"
)

// HasStore tells whether state is kept at all.
func (c *Config) HasStore() bool { return c.Store.SQLite != "" || !c.Store.Postgres.IsZero() }

// KeepsSecrets tells whether secrets can be stored: there is a store, and a key
// that is not in it.
func (c *Config) KeepsSecrets() bool { return c.HasStore() && !c.Secrets.Key.IsZero() }

// noTokens says why what tokens stand for can't be kept, "" where it can.
func (c *Config) noTokens() string {
	if c.KeepsSecrets() {
		return ""
	}
	return "what tokens stand for is kept sealed, which needs a store and a key: write store: { sqlite: PATH } and secrets: { key: file:PATH } in sluice.yaml"
}

// secrets checks the keys, and that who names a stored secret can have one.
func (f *found) secrets(c *Config) {
	f.under("secrets", c.Secrets.Validate())
	if !c.Secrets.Key.IsZero() && !c.HasStore() {
		f.add("secrets.key", "seals what is in the store, and there is none; write store: { sqlite: PATH }")
	}
	for i := range c.Backends {
		path := indexed("backends", i)
		if names := c.Backends[i].Credential.StoredSecrets(); len(names) > 0 && !c.KeepsSecrets() {
			f.add(path+".credential", "is a stored secret, which needs a store and a key: write store: { sqlite: PATH } and secrets: { key: file:PATH }")
		}
	}
}

// SecretInUse says what in the configuration names a stored secret, "" for nothing.
func (c *Config) SecretInUse(name string) string {
	var by []string
	for i := range c.Backends {
		for _, used := range c.Backends[i].Credential.StoredSecrets() {
			if used == name {
				by = append(by, "backend "+c.Backends[i].Name)
			}
		}
	}
	return strings.Join(by, ", ")
}

// keys reads the keys, so that a check finds what the start would.
func (f *found) keys(c *Config) {
	if c.Secrets.Key.IsZero() {
		return
	}
	if err := secret.CheckKeys(c.Secrets); err != nil {
		path, text, _ := strings.Cut(err.Error(), ": ")
		f.under("", []access.Problem{{Path: path, Message: text}})
	}
}
