package secret_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/secret"
)

func TestSealAndOpen(t *testing.T) {
	r := ring(t, "a")
	for _, plain := range []string{"", "x", strings.Repeat("secret", 1000)} {
		one, err := r.Seal([]byte(plain), "kind", "name", "1")
		if err != nil {
			t.Fatal(err)
		}
		two, err := r.Seal([]byte(plain), "kind", "name", "1")
		if err != nil || bytes.Equal(one, two) || len(plain) > 4 && bytes.Contains(one, []byte(plain)) {
			t.Errorf("%.10q is sealed alike twice, or to be seen: %v", plain, err)
		}
		got, err := r.Open(one, "kind", "name", "1")
		if err != nil || got.Text() != plain {
			t.Errorf("%.10q opens as %.10q, %v", plain, got.Text(), err)
		}
	}
}

// TestWhatWasMovedDoesNotOpen: a sealed value belongs to its place.
func TestWhatWasMovedDoesNotOpen(t *testing.T) {
	r := ring(t, "a")
	sealed, err := r.Seal([]byte("hunter2"), "credential", "gpu", "bearer", "1")
	if err != nil {
		t.Fatal(err)
	}
	for name, place := range map[string][]string{
		"another name":        {"credential", "cpu", "bearer", "1"},
		"another version":     {"credential", "gpu", "bearer", "2"},
		"another kind":        {"credential", "gpu", "text", "1"},
		"another cut":         {"credential", "gpub", "earer", "1"},
		"parts run together":  {"credentialgpubearer1"},
		"one part more":       {"credential", "gpu", "bearer", "1", ""},
		"none":                nil,
		"parts of their bits": {"credential\x00\x00\x00\x03gpu", "bearer", "1"},
	} {
		if got, err := r.Open(sealed, place...); !errors.Is(err, secret.ErrForged) {
			t.Errorf("%s: opens as %q, %v", name, got.Text(), err)
		}
	}
}

// TestWhatWasChangedDoesNotOpen, whichever bit it was, nor a part of it.
func TestWhatWasChangedDoesNotOpen(t *testing.T) {
	r := ring(t, "a")
	sealed, err := r.Seal([]byte("x"), "p")
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(sealed) * 8 {
		b := bytes.Clone(sealed)
		b[i/8] ^= 1 << (i % 8)
		if _, err := r.Open(b, "p"); err == nil {
			t.Fatalf("bit %d may be changed", i)
		}
	}
	for n := range len(sealed) {
		if _, err := r.Open(sealed[:n], "p"); err == nil {
			t.Fatalf("%d bytes of it open", n)
		}
	}
	if _, err := r.Open(append(sealed, 0), "p"); err == nil {
		t.Error("it may be longer")
	}
}

// TestRotatedKeys: the first key seals, all open, a key that is gone opens nothing.
func TestRotatedKeys(t *testing.T) {
	old, both, gone := ring(t, "a"), ring(t, "ba"), ring(t, "b")
	sealed, err := old.Seal([]byte("x"), "p")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := both.Open(sealed, "p"); err != nil || got.Text() != "x" || both.Current(sealed) || !old.Current(sealed) {
		t.Errorf("under the old key: %v", err)
	}
	if _, err := gone.Open(sealed, "p"); !errors.Is(err, secret.ErrUnknownKey) {
		t.Errorf("under a key that is gone: %v", err)
	}
	if both.KeyID() != gone.KeyID() || both.KeyID() == old.KeyID() || len(both.KeyID()) != 16 {
		t.Errorf("ids are %s, %s, %s", old.KeyID(), both.KeyID(), gone.KeyID())
	}
}

func TestKeyringRefuses(t *testing.T) {
	key := func(n int) secret.Bytes { return secret.NewBytes(make([]byte, n)) }
	for name, keys := range map[string][]secret.Bytes{
		"none": nil, "short": {key(31)}, "long": {key(33)}, "empty": {{}}, "twice": {key(32), key(32)},
	} {
		if _, err := secret.NewKeyring(keys...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestKeyTexts(t *testing.T) {
	fresh := secret.NewKey()
	if fresh == secret.NewKey() {
		t.Error("two keys are the same")
	}
	for name, c := range map[string]struct {
		text string
		good bool
	}{
		"fresh": {fresh, true}, "without padding": {strings.TrimRight(fresh, "="), true}, "on a line": {fresh + "\n", true},
		"empty": {"", false}, "short": {"aGVsbG8=", false}, "hexadecimal": {strings.Repeat("ab", 32), false}, "words": {"hunter2 hunter2", false},
	} {
		got, err := secret.ParseKey(c.text)
		if (err == nil) != c.good || c.good && got.Len() != secret.KeySize || err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %d bytes, %v", name, got.Len(), err)
		}
	}
}

// kms wraps by turning bits.
type kms struct{ away bool }

func (k kms) Unwrap(_ context.Context, wrapped string) (secret.Bytes, error) {
	if k.away {
		return secret.Bytes{}, errors.New("away")
	}
	return secret.ParseKey(wrapped)
}

func TestLoadKeys(t *testing.T) {
	dir := t.TempDir()
	ref := func(name, text string) access.Secret {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var s access.Secret
		if err := s.UnmarshalText([]byte("file:" + path)); err != nil {
			t.Fatal(err)
		}
		return s
	}
	a, b := ref("a", keyText('a')+"\n"), ref("b", keyText('b'))
	wrapped, bad := ref("wrapped", secret.Wrapped+keyText('c')), ref("bad", "hunter2")
	for name, c := range map[string]struct {
		config secret.Config
		kms    secret.KMS
		err    string
	}{
		"one":                {secret.Config{Key: a}, nil, ""},
		"an old one":         {secret.Config{Key: a, OldKeys: []access.Secret{b}}, nil, ""},
		"none":               {secret.Config{}, nil, "secrets.key: no secret is configured"},
		"bad":                {secret.Config{Key: bad}, nil, "secrets.key: it is no key"},
		"bad old one":        {secret.Config{Key: a, OldKeys: []access.Secret{b, bad}}, nil, "secrets.old_keys[1]: it is no key"},
		"twice":              {secret.Config{Key: a, OldKeys: []access.Secret{a}}, nil, "twice"},
		"wrapped":            {secret.Config{Key: wrapped}, kms{}, ""},
		"wrapped, no KMS":    {secret.Config{Key: wrapped}, nil, "nothing to unwrap it"},
		"wrapped, KMS away":  {secret.Config{Key: wrapped}, kms{away: true}, "did not unwrap"},
		"an old wrapped one": {secret.Config{Key: a, OldKeys: []access.Secret{wrapped}}, kms{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := secret.LoadKeys(t.Context(), c.config, c.kms)
			if (err == nil) != (c.err == "") || err != nil && (!strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "hunter2")) || (r == nil) == (err == nil) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestConfig(t *testing.T) {
	var c secret.Config
	c.SetDefaults()
	if len(c.Validate()) != 0 {
		t.Errorf("the defaults have problems: %v", c.Validate())
	}
	c = secret.Config{OldKeys: make([]access.Secret, 1), Idle: 1, Unconfirmed: 1}
	if got := len(c.Validate()); got != 3 {
		t.Errorf("%d problems, want 3", got)
	}
}
