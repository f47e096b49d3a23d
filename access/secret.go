package access

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// redacted is what a [Secret] shows of itself, whoever asks.
const redacted = "[REDACTED]"

// maxSecret bounds what is read of a file that holds a secret, in bytes.
const maxSecret = 64 << 10

// errPlain does not repeat what was written: it may be the secret itself.
var errPlain = errors.New("a secret is written by reference only, as ${NAME} for an environment variable, file:PATH, or secret:NAME for a stored one; plain text is refused")

var (
	envRef    = regexp.MustCompile(`^\$\{([A-Za-z_][A-Za-z0-9_]*)\}$`)
	storedRef = regexp.MustCompile(`^secret:([A-Za-z0-9._-]{1,63})$`)
)

// Secret is a reference to something that nobody may see, as a configuration
// writes it: "${NAME}" for an environment variable, "file:PATH", or
// "secret:NAME" for one that is stored, which only a backend's credential can
// be. It holds no secret itself; [Secret.Resolve] reads it for each use, so that
// a rotated file counts at once. However a Secret is printed, logged or
// marshalled, it shows "[REDACTED]".
type Secret struct{ env, file, stored string }

// UnmarshalText takes a reference; it refuses anything else without
// repeating it.
func (s *Secret) UnmarshalText(text []byte) error {
	ref := string(text)
	if m := envRef.FindStringSubmatch(ref); m != nil {
		*s = Secret{env: m[1]}
		return nil
	}
	if path, ok := strings.CutPrefix(ref, "file:"); ok && path != "" {
		*s = Secret{file: path}
		return nil
	}
	if m := storedRef.FindStringSubmatch(ref); m != nil {
		*s = Secret{stored: m[1]}
		return nil
	}
	return errPlain
}

// Anchor makes a relative file: reference relative to dir, the folder of the
// configuration that it was written in.
func (s *Secret) Anchor(dir string) {
	if s.file != "" && !filepath.IsAbs(s.file) {
		s.file = filepath.Join(dir, s.file)
	}
}

// IsZero tells whether there is no reference.
func (s Secret) IsZero() bool { return s == Secret{} }

// Stored is the name of the stored secret that is referred to; "" where the
// reference is another.
func (s Secret) Stored() string { return s.stored }

// Resolve reads the secret now, less line ends after it. Its errors name the
// variable or the file, never what is in it; an empty secret is an error.
func (s Secret) Resolve() (string, error) {
	value, from, err := s.read()
	if err != nil {
		return "", err
	}
	if value = strings.TrimRight(value, "\r\n"); value == "" {
		return "", fmt.Errorf("%s is empty", from)
	}
	return value, nil
}

func (s Secret) read() (value, from string, err error) {
	switch {
	case s.env != "":
		value, set := os.LookupEnv(s.env)
		if !set {
			return "", "", fmt.Errorf("environment variable %s is not set", s.env)
		}
		return value, "environment variable " + s.env, nil
	case s.file != "":
		value, err := readAtMost(s.file, maxSecret)
		return value, "file " + s.file, err
	case s.stored != "":
		return "", "", errors.New("secret:NAME can't be used here, only in the credential of a backend; write ${NAME} or file:PATH")
	}
	return "", "", errors.New("no secret is configured")
}

func readAtMost(path string, limit int64) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return "", err
	}
	if int64(len(b)) > limit {
		return "", fmt.Errorf("file %s is longer than %d bytes", path, limit)
	}
	return string(b), nil
}

// String returns "[REDACTED]".
func (s Secret) String() string { return redacted }

// Format writes "[REDACTED]" for every verb, %#v and %x included.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue is what slog shows.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText is what JSON and other encoders show.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalYAML is what YAML encoders show.
func (s Secret) MarshalYAML() (any, error) { return redacted, nil }
