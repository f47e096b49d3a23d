package secret

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/store"
)

// The kinds of items that the package keeps.
const (
	// KindCredential holds a sealed secret, its State the secret's [Kind].
	KindCredential store.Kind = "credential"
	// KindUse says when a credential was used last.
	KindUse store.Kind = "credential_use"
	// KindToken holds the sealed text of one of masking's tokens.
	KindToken store.Kind = "token"
)

// Person is who set a value, as he was then.
type Person struct {
	Issuer  string      `json:"issuer"`
	Subject string      `json:"subject"`
	Name    string      `json:"name,omitempty"`
	Kind    access.Kind `json:"kind,omitempty"`
}

// ID is "issuer#subject".
func (p Person) ID() string { return p.Issuer + "#" + p.Subject }

func personOf(p *access.Principal) Person {
	if p == nil {
		return Person{}
	}
	return Person{Issuer: p.Issuer, Subject: p.Subject, Name: p.Name, Kind: p.Kind}
}

// Info is what may be known of a stored secret.
type Info struct {
	Name    string
	Kind    Kind
	Version int64
	// Created is when the name was made, Rotated when its value was set last.
	Created, Rotated time.Time
	// KeyID is the key that it is sealed under.
	KeyID string
	// By set the value; Used is when a call last used it, to some minutes.
	By   Person
	Used time.Time
}

// record is the body of an item of [KindCredential].
type record struct {
	Version int64     `json:"version"`
	Created time.Time `json:"created"`
	Rotated time.Time `json:"rotated"`
	By      Person    `json:"by"`
	KeyID   string    `json:"key"`
	Sealed  []byte    `json:"sealed"`
}

func decode(item store.Item) (record, error) {
	var r record
	err := json.Unmarshal(item.Body, &r)
	return r, err
}

func (r *record) info(item store.Item) Info {
	return Info{
		Name: item.ID, Kind: Kind(item.State), Version: r.Version, Created: r.Created, Rotated: r.Rotated, KeyID: r.KeyID, By: r.By,
	}
}

// at is the place that a secret's value is sealed for: another name, kind or
// version can't have it.
func at(name string, kind Kind, version int64) []string {
	return []string{string(KindCredential), name, string(kind), strconv.FormatInt(version, 10)}
}

// seal makes the item's body.
func (r *record) seal(ring *Keyring, item *store.Item, value Bytes) (err error) {
	value.Open(func(b []byte) { r.Sealed, err = ring.Seal(b, at(item.ID, Kind(item.State), r.Version)...) })
	if err != nil {
		return err
	}
	r.KeyID = ring.KeyID()
	item.Body, err = json.Marshal(r)
	return err
}

// MaxName is how long a secret's name is at most.
const MaxName = 63

// CheckName says what is wrong with a secret's name.
func CheckName(name string) *access.Error {
	if name == "" || len(name) > MaxName || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != "" {
		return malformed("a secret's name must be 1 to 63 letters, digits and - _ .")
	}
	return nil
}
