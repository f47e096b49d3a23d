package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Sizes, in bytes. A sealed secret is format, key id, salt, ciphertext and tag.
const (
	// KeySize is that of a key.
	KeySize  = 32
	idSize   = 8
	saltSize = 32
	format   = 1
	overhead = 1 + idSize + saltSize + 16
)

// What keys are derived for.
const (
	forID   = "sluice: id of a key"
	forItem = "sluice: key of one sealed item"
)

var (
	// ErrUnknownKey is what was sealed under a key that the ring does not have.
	ErrUnknownKey = errors.New("secret: it is sealed under a key that is not configured")
	// ErrForged is what was changed, or moved to another place, since it was sealed.
	ErrForged = errors.New("secret: it is not what was sealed here")
)

// Keyring seals and opens. Its first key seals, all of them open. It is safe for
// concurrent use.
//
// Each sealing derives a key of its own from a random salt (HKDF-SHA-256), so
// that AES-256-GCM is used once with each and no nonce can repeat, however much
// is sealed.
type Keyring struct{ keys []ringKey }

type ringKey struct {
	id  [idSize]byte
	key Bytes
}

// NewKeyring makes a ring of keys of [KeySize] bytes, which it takes over.
func NewKeyring(keys ...Bytes) (*Keyring, error) {
	if len(keys) == 0 {
		return nil, errors.New("secret: a ring needs a key")
	}
	r := &Keyring{}
	for _, k := range keys {
		if k.Len() != KeySize {
			return nil, fmt.Errorf("secret: a key has %d bytes, not %d", KeySize, k.Len())
		}
		id, err := derive(k, nil, forID, idSize)
		if err != nil {
			return nil, err
		}
		if r.find(id) != nil {
			return nil, errors.New("secret: the same key is there twice")
		}
		r.keys = append(r.keys, ringKey{[idSize]byte(id), k})
	}
	return r, nil
}

// KeyID names the key that seals. It tells nothing of the key.
func (r *Keyring) KeyID() string { return hex.EncodeToString(r.keys[0].id[:]) }

func (r *Keyring) find(id []byte) *ringKey {
	for i := range r.keys {
		if subtle.ConstantTimeCompare(r.keys[i].id[:], id) == 1 {
			return &r.keys[i]
		}
	}
	return nil
}

// Seal encrypts plain for the place that at names: what is sealed opens with the
// same at alone.
func (r *Keyring) Seal(plain []byte, at ...string) ([]byte, error) {
	k := &r.keys[0]
	out := make([]byte, 1+idSize+saltSize, overhead+len(plain))
	out[0] = format
	copy(out[1:], k.id[:])
	_, _ = rand.Read(out[1+idSize:]) // never fails: it ends the program instead
	aead, err := k.aead(out[1+idSize:])
	if err != nil {
		return nil, err
	}
	return aead.Seal(out, make([]byte, aead.NonceSize()), plain, place(at)), nil
}

// Open decrypts what [Keyring.Seal] has sealed for the same place. The error is
// [ErrUnknownKey] or [ErrForged].
func (r *Keyring) Open(sealed []byte, at ...string) (Bytes, error) {
	if len(sealed) < overhead || sealed[0] != format {
		return Bytes{}, ErrForged
	}
	k := r.find(sealed[1 : 1+idSize])
	if k == nil {
		return Bytes{}, ErrUnknownKey
	}
	head := 1 + idSize + saltSize
	aead, err := k.aead(sealed[1+idSize : head])
	if err != nil {
		return Bytes{}, err
	}
	plain, err := aead.Open(make([]byte, 0, len(sealed)-overhead), make([]byte, aead.NonceSize()), sealed[head:], place(at))
	if err != nil {
		return Bytes{}, ErrForged
	}
	return NewBytes(plain), nil
}

// Current tells whether something is sealed under the key that seals now.
func (r *Keyring) Current(sealed []byte) bool {
	return len(sealed) >= overhead && subtle.ConstantTimeCompare(sealed[1:1+idSize], r.keys[0].id[:]) == 1
}

func (k *ringKey) aead(salt []byte) (cipher.AEAD, error) {
	key, err := derive(k.key, salt, forItem, KeySize)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func derive(key Bytes, salt []byte, purpose string, size int) (out []byte, err error) {
	key.Open(func(b []byte) { out, err = hkdf.Key(sha256.New, b, salt, purpose, size) })
	return out, err
}

// place is the associated data: each part with its length before it, so that no
// two places are the same bytes.
func place(at []string) []byte {
	var out []byte
	for _, part := range at {
		out = binary.BigEndian.AppendUint32(out, uint32(len(part)))
		out = append(out, part...)
	}
	return out
}

// NewKey makes the text of a fresh key, as [ParseKey] reads it.
func NewKey() string {
	key := make([]byte, KeySize)
	_, _ = rand.Read(key) // never fails: it ends the program instead
	defer clear(key)
	return base64.StdEncoding.EncodeToString(key)
}

// errKeyText does not repeat what was written: it may be a key.
var errKeyText = fmt.Errorf("it is no key: a key is %d random bytes in base64, as `sluice secrets key new` writes one", KeySize)

// ParseKey reads a key's text: 32 bytes in base64.
func ParseKey(text string) (Bytes, error) {
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(text), "="))
	if err != nil || len(raw) != KeySize {
		return Bytes{}, errKeyText
	}
	return NewBytes(raw), nil
}
