// Package login gets people's tokens by the OAuth device flow (RFC 8628), keeps
// them in the keyring of their desktop or in a file that only they can read, and
// gets new ones when they run out.
//
// A token is kept for one server, by its URL, and is given out for that server
// alone. What keyrings and files do not do: a program that runs as the same user
// can read them.
package login

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/zalando/go-keyring"
)

// ErrNone is the answer where no token is kept for a server.
var ErrNone = errors.New("no token is kept for this server")

// Token is what is kept for one server.
type Token struct {
	// Server is the admin API's URL, as "https://sluice.example:8003".
	Server  string    `json:"server"`
	Access  string    `json:"access_token"`
	Refresh string    `json:"refresh_token,omitempty"`
	Expires time.Time `json:"expires,omitzero"`
	// Where and as what client it was got, and is got anew.
	Issuer        string `json:"issuer"`
	ClientID      string `json:"client_id"`
	TokenEndpoint string `json:"token_endpoint"`
}

// service is what the keyring shows tokens under.
const service = "sluice"

// Keep is where tokens are kept. It is for one goroutine at a time.
type Keep struct {
	// Dir is the folder of files, made if missing.
	Dir string
	// Keyring tells that the desktop's keyring is tried first.
	Keyring bool
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

// Open returns the user's own: the keyring, unless SLUICE_KEYRING is "off" or
// there is none, and files under $XDG_CONFIG_HOME/sluice.
func Open() *Keep {
	k := &Keep{Keyring: os.Getenv("SLUICE_KEYRING") != "off"}
	if runtime.GOOS == "linux" && os.Getenv("DBUS_SESSION_BUS_ADDRESS") == "" {
		k.Keyring = false // no desktop: looking for one could start a bus
	}
	if dir, err := os.UserConfigDir(); err == nil {
		k.Dir = filepath.Join(dir, "sluice")
	}
	return k
}

// Save keeps t in place of what was kept for its server, and says where.
func (k *Keep) Save(t Token) (where string, err error) {
	body, err := json.Marshal(t)
	if err != nil {
		return "", err
	}
	if k.Keyring && keyring.Set(service, t.Server, string(body)) == nil {
		_ = os.Remove(k.path(t.Server)) // of a time without a keyring
		return "the keyring", nil
	}
	path := k.path(t.Server)
	return path, k.write(path, body)
}

// Load reads what is kept for a server; [ErrNone] if nothing is.
func (k *Keep) Load(server string) (Token, error) {
	if k.Keyring {
		if body, err := keyring.Get(service, server); err == nil {
			return parse([]byte(body), server)
		}
	}
	body, err := readPrivate(k.path(server))
	if errors.Is(err, fs.ErrNotExist) {
		return Token{}, ErrNone
	}
	if err != nil {
		return Token{}, err
	}
	return parse(body, server)
}

// Delete forgets what is kept for a server; [ErrNone] if nothing was.
func (k *Keep) Delete(server string) error {
	found := k.Keyring && keyring.Delete(service, server) == nil
	err := os.Remove(k.path(server))
	switch {
	case err == nil || found && errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return ErrNone
	}
	return err
}

// parse refuses a token that is kept under another server's name: somebody moved it.
func parse(body []byte, server string) (Token, error) {
	var t Token
	if err := json.Unmarshal(body, &t); err != nil || t.Server != server || t.Access == "" {
		return Token{}, errors.New("what is kept for " + server + " is no token; run \"sluice login\" again")
	}
	return t, nil
}

// path is the file of one server, each with its own, so that two programs at once
// do not write over each other's.
func (k *Keep) path(server string) string {
	sum := sha256.Sum256([]byte(server))
	return filepath.Join(k.Dir, "token-"+hex.EncodeToString(sum[:8])+".json")
}

const (
	private       fs.FileMode = 0o600
	privateFolder fs.FileMode = 0o700
	maxFile                   = 1 << 20
)

// write puts the file in place whole, readable for nobody else at any time.
func (k *Keep) write(path string, body []byte) (err error) {
	if k.Dir == "" {
		return errors.New("there is no folder to keep a token in; set HOME or XDG_CONFIG_HOME")
	}
	if err := os.MkdirAll(k.Dir, privateFolder); err != nil {
		return err
	}
	f, err := os.CreateTemp(k.Dir, ".token-*") // with 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(body)
	if err = errors.Join(err, f.Chmod(private), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// readPrivate reads a file that nobody else may read.
func readPrivate(path string) ([]byte, error) {
	about, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if runtime.GOOS != "windows" && about.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others: run \"sluice logout\", and have the issuer withdraw the token", path)
	}
	if about.Size() > maxFile {
		return nil, fmt.Errorf("%s is no token", path)
	}
	return os.ReadFile(path)
}
