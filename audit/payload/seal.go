package payload

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Sealer wraps the keys of days with a key that the log does not have; package
// secret's keyring is one. What Seal gives, Open gives back for the same
// associated data alone. It is safe for concurrent use.
type Sealer interface {
	Seal(aad, plain []byte) ([]byte, error)
	Open(aad, sealed []byte) ([]byte, error)
}

// ErrSealed is the error of a payload that its key does not open: it is another
// record's, or was changed.
var ErrSealed = errors.New("payload: does not open with its key")

// keySize is the size of a data key, and of the keys made of it, in bytes.
const keySize = 32

// maxContent is the longest encoding that is opened, in bytes: a capture's cap
// and what masking makes of it.
const maxContent = 4 * maxCap

// dataKey is the key of a day, in use.
type dataKey struct {
	id    string
	seal  cipher.AEAD
	words []byte
}

// newDataKey makes two keys of one, so that a hash of a word says nothing of what
// is sealed.
func newDataKey(id string, key []byte) (*dataKey, error) {
	if len(key) != keySize {
		return nil, ErrSealed
	}
	sealing, err := hkdf.Key(sha256.New, key, nil, "sluice payload seal v1", keySize)
	if err != nil {
		return nil, err
	}
	words, err := hkdf.Key(sha256.New, key, nil, "sluice payload words v1", keySize)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(sealing)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &dataKey{id: id, seal: aead, words: words}, nil
}

// aad binds what is sealed to its place: another record's payload does not open
// in it.
func (k *dataKey) aad(payload string) []byte {
	return []byte("sluice payload v1\x00" + k.id + "\x00" + payload)
}

// hash is a word's hash under the key.
func hash(key []byte, text string) uint64 { return hasher(key)(text) }

// hasher is hash for many words, of which each costs a fraction of the first. It is
// not safe for concurrent use.
func hasher(key []byte) func(text string) uint64 {
	mac := hmac.New(sha256.New, key)
	var sum [sha256.Size]byte
	var word []byte
	return func(text string) uint64 {
		mac.Reset()
		word = append(word[:0], text...)
		mac.Write(word)
		return binary.BigEndian.Uint64(mac.Sum(sum[:0]))
	}
}

// box compresses and seals. It is safe for concurrent use.
type box struct {
	deflate *zstd.Encoder
	inflate *zstd.Decoder
	scratch sync.Pool // of *scratch
}

// scratch is what a content is encoded and compressed in. It holds what is masked
// already, and is never longer than maxScratch while nobody uses it.
type scratch struct{ plain, small []byte }

const maxScratch = 1 << 20

func newBox() (*box, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(defaultCap), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxContent))
	if err != nil {
		return nil, err
	}
	return &box{deflate: enc, inflate: dec}, nil
}

func (b *box) seal(k *dataKey, id string, content *Content) []byte {
	s, _ := b.scratch.Get().(*scratch)
	if s == nil {
		s = new(scratch)
	}
	s.plain = content.append(s.plain[:0])
	s.small = b.deflate.EncodeAll(s.plain, s.small[:0])
	body := k.seal.Seal(nil, nil, s.small, k.aad(id))
	if max(cap(s.plain), cap(s.small)) <= maxScratch {
		b.scratch.Put(s)
	}
	return body
}

func (b *box) open(k *dataKey, id string, body []byte) ([]byte, error) {
	small, err := k.seal.Open(nil, nil, body, k.aad(id))
	if err != nil {
		return nil, ErrSealed
	}
	return b.inflate.DecodeAll(small, nil)
}

// close ends the decoder's goroutines.
func (b *box) close() {
	_ = b.deflate.Close()
	b.inflate.Close()
}
