package merkle

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Key signs the statements of one log. Its name is the log's: who loses the key
// begins another log. It is safe for concurrent use, [Key.Remember] aside.
type Key struct {
	signer note.Signer
	public string
	path   string
}

const (
	private   fs.FileMode = 0o600
	forOthers fs.FileMode = 0o077
)

// OpenKey reads the key in a file, or makes one and the file if there is none.
func OpenKey(path string) (*Key, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if text, err = makeKey(path); err != nil {
			return nil, fmt.Errorf("making the audit key: %w", err)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("reading the audit key: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading the audit key: %w", err)
	}
	if info.Mode()&forOthers != 0 {
		return nil, fmt.Errorf("the audit key %s can be read by others than its owner (%v); run chmod 600 on it", path, info.Mode().Perm())
	}
	k, err := ParseKey(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("the audit key %s: %w", path, err)
	}
	k.path = path
	return k, nil
}

// makeKey writes a new key for a log of a new name. A file that has come
// meanwhile is another's.
func makeKey(path string) ([]byte, error) {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	secret, _, err := note.GenerateKey(rand.Reader, "sluice/"+hex.EncodeToString(id[:]))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, private)
	if err != nil {
		return nil, err
	}
	_, err = f.WriteString(secret + "\n")
	err = errors.Join(err, f.Sync(), f.Close())
	return []byte(secret), err
}

// errKey does not repeat what was written: it is a secret.
var errKey = errors.New("is not a note's private key")

// ParseKey reads a key in the form of sumdb/note.
func ParseKey(secret string) (*Key, error) {
	signer, err := note.NewSigner(secret)
	if err != nil {
		return nil, errKey
	}
	parts := strings.SplitN(secret, "+", 5)
	seed, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	if err != nil || len(seed) != 1+ed25519.SeedSize {
		return nil, errKey
	}
	pub, _ := ed25519.NewKeyFromSeed(seed[1:]).Public().(ed25519.PublicKey)
	public, err := note.NewEd25519VerifierKey(signer.Name(), pub)
	if err != nil {
		return nil, errKey
	}
	return &Key{signer: signer, public: public}, nil
}

// Origin is the name of the key's log.
func (k *Key) Origin() string { return k.signer.Name() }

// Public is what checks the key's statements, in the form of sumdb/note.
func (k *Key) Public() string { return k.public }

// Sign signs a statement about the key's log.
func (k *Key) Sign(s Statement) ([]byte, error) {
	s.Origin = k.Origin()
	return note.Sign(&note.Note{Text: s.Text()}, k.signer)
}

// Remember keeps a signed statement beside the key, so that a log which is put
// back to an older state is noticed when it is opened; and of the tree that it is
// about the right edge, if of is not nil.
func (k *Key) Remember(signed []byte, of *Tree) error {
	if k.path == "" {
		return nil
	}
	name := k.lastPath()
	f, err := os.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, private)
	if err != nil {
		return err
	}
	_, err = f.Write(signed)
	// Synced before it gets its name: after a loss of power it would be empty, and no
	// gateway starts on what is no statement.
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	err = os.Rename(name+".new", name)
	if of != nil {
		err = errors.Join(err, k.keepEdge(of))
	}
	return err
}

// Last is what was remembered last; a zero Size is nothing. With it comes the tree
// that it is about, to go on with, or nil if that was not remembered.
func (k *Key) Last() (Statement, *Tree, error) {
	if k.path == "" {
		return Statement{}, nil, nil
	}
	signed, err := os.ReadFile(k.lastPath())
	if errors.Is(err, fs.ErrNotExist) {
		return Statement{}, nil, nil
	}
	if err != nil {
		return Statement{}, nil, err
	}
	s, err := Open(signed, k.public)
	if err != nil {
		return s, nil, err
	}
	return s, k.edge(s), nil
}

func (k *Key) lastPath() string { return k.path + lastEnding }

const lastEnding = ".last"

// Remembered is the signed statement that lies beside the key in a file, as it is
// there; nil if there is none. The key itself is not read.
func Remembered(path string) ([]byte, error) {
	signed, err := os.ReadFile(path + lastEnding)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return signed, err
}
