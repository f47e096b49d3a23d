package backends

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/sluice-gateway/sluice/access"
)

// UnmarshalText takes the name of a stored credential.
func (c *CredentialConfig) UnmarshalText(name []byte) error {
	c.Stored = string(name)
	return nil
}

// StoredSecrets are the names of all stored secrets that the credential needs,
// each once; none where it comes from environment and files alone.
func (c *CredentialConfig) StoredSecrets() (names []string) {
	if c == nil {
		return nil
	}
	add := func(name string) {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	add(c.Stored)
	add(c.Bearer.Stored())
	if c.Basic != nil {
		add(c.Basic.Password.Stored())
	}
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		add(c.Headers[name].Stored())
	}
	return names
}

// Metadata reads the credential's secrets now and returns the metadata to show,
// names in lower case. Its errors are for the log: they name variables and files.
func (c *CredentialConfig) Metadata() (map[string]string, error) { return c.MetadataWith(nil) }

// MetadataWith is Metadata where stored gives the values of stored secrets. What
// [CredentialConfig.Stored] says is not part of it.
func (c *CredentialConfig) MetadataWith(stored func(name string) (string, error)) (map[string]string, error) {
	if c == nil {
		return nil, nil
	}
	shown := make(map[string]string, len(c.Headers)+1)
	for name, secret := range c.Headers {
		value, err := headerValue(secret, stored)
		if err != nil {
			return nil, fmt.Errorf("credential header %s: %w", name, err)
		}
		shown[name] = value
	}
	var err error
	switch {
	case c.Basic != nil:
		var password string
		password, err = resolve(c.Basic.Password, stored)
		shown["authorization"] = "Basic " + base64.StdEncoding.EncodeToString([]byte(c.Basic.Username+":"+password))
	case !c.Bearer.IsZero():
		var token string
		token, err = headerValue(c.Bearer, stored)
		shown["authorization"] = "Bearer " + token
	}
	if err != nil {
		return nil, fmt.Errorf("credential: %w", err)
	}
	return shown, nil
}

func resolve(s access.Secret, stored func(name string) (string, error)) (string, error) {
	if name := s.Stored(); name != "" && stored != nil {
		return stored(name)
	}
	return s.Resolve()
}

func headerValue(s access.Secret, stored func(name string) (string, error)) (string, error) {
	value, err := resolve(s, stored)
	if err != nil {
		return "", err
	}
	for i := range len(value) {
		if value[i] < ' ' || value[i] > '~' {
			return "", errors.New("the secret has bytes that a header cannot carry")
		}
	}
	return value, nil
}
