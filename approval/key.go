package approval

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"maps"
	"slices"

	"github.com/sluice-gateway/sluice/access"
)

// key is what a grant and a call have in common: the digest of everything that an
// approval covers.
type key [sha256.Size]byte

func (k key) String() string { return hex.EncodeToString(k[:]) }

// parseKey takes a text of [key.String]; another one is a key that no call has.
func parseKey(text string) (k key) {
	if raw, err := hex.DecodeString(text); err == nil && len(raw) == len(k) {
		copy(k[:], raw)
	}
	return k
}

// digester hashes values one by one, each so that no two lists of values have
// the same bytes: numbers in 8 bytes, texts behind their length.
type digester struct {
	hash.Hash
	room [8]byte
	step [512]byte
}

func newDigester(domain string) *digester {
	d := &digester{Hash: sha256.New()}
	d.text(domain)
	return d
}

func (d *digester) number(n uint64) {
	binary.BigEndian.PutUint64(d.room[:], n)
	_, _ = d.Write(d.room[:])
}

func (d *digester) flag(b bool) {
	if b {
		d.number(1)
	} else {
		d.number(0)
	}
}

func (d *digester) bytes(b []byte) {
	d.number(uint64(len(b)))
	_, _ = d.Write(b)
}

// text hashes a text as bytes does, in steps: it may be long.
func (d *digester) text(s string) {
	d.number(uint64(len(s)))
	for len(s) > 0 {
		n := copy(d.step[:], s)
		_, _ = d.Write(d.step[:n])
		s = s[n:]
	}
}

func (d *digester) sum() (sum [sha256.Size]byte) {
	d.Sum(sum[:0])
	return sum
}

// key is what a grant for one of the call's needs has. A need of scope model
// leaves the content out, and nothing else.
func (a *Ask) key(n *access.Need) key {
	d := newDigester("sluice approval of a call 1")
	d.text(a.Principal.Issuer)
	d.text(a.Principal.Subject)
	d.text(a.Verb.String())
	d.text(a.Model)
	d.text(a.Backend)
	d.text(a.Version)
	d.text(n.Guard)
	d.bytes(n.Definition[:])
	d.number(uint64(len(n.Along)))
	for _, model := range slices.Sorted(slices.Values(n.Along)) {
		d.text(model)
	}
	if n.Terms.Scope == access.ScopeModel {
		d.text(string(access.ScopeModel))
	} else {
		d.text(string(access.ScopeCall))
		d.bytes(a.Digest[:])
		d.metadata(n.Metadata)
	}
	return d.sum()
}

// metadata hashes what a guard names of a call's metadata; nothing where it names none.
func (d *digester) metadata(all map[string][]string) {
	for _, key := range slices.Sorted(maps.Keys(all)) {
		d.text("metadata")
		d.text(key)
		d.number(uint64(len(all[key])))
		for _, value := range all[key] {
			d.text(value)
		}
	}
}

// aheadKey is the key of what is asked for ahead: the same question again has
// the same one.
func aheadKey(who *access.Principal, w *Want, definition key) key {
	d := newDigester("sluice access asked ahead 1")
	d.text(who.Issuer)
	d.text(who.Subject)
	d.text(w.Verb.String())
	d.text(w.Model)
	d.number(uint64(w.For))
	d.bytes(definition[:])
	return d.sum()
}
