package notify

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/store"
)

// The kinds of items of links.
const (
	KindLink store.Kind = "slack_link"
	KindCode store.Kind = "slack_code"
	KindSeen store.Kind = "slack_seen"
)

// codeFor is how long a code is good for.
const codeFor = 10 * time.Minute

// ErrNoLink is the answer where nobody is linked, or no code is that one, or not
// any more.
var ErrNoLink = errors.New("not linked")

// Outsider is a user of another system, as that system has vouched for him by its
// signature: Channel is the entry of notify whose secret made it, so that one
// workspace does not speak for another.
type Outsider struct {
	Channel string `json:"channel"`
	Team    string `json:"team"`
	User    string `json:"user"`
	// Name is for display; it decides nothing.
	Name string `json:"name,omitempty"`
	// For is how long a link of his lasts.
	For time.Duration `json:"for"`
}

func (o *Outsider) key() string { return hashed(o.Channel, o.Team, o.User) }

// hashed makes an ID of texts of any length, which does not show them.
func hashed(texts ...string) string {
	all, _ := json.Marshal(texts) // of texts, never fails; and "a","b" is not "ab"
	sum := sha256.Sum256(all)
	return hex.EncodeToString(sum[:])
}

// person is a principal as a link keeps it: who he was when he made it.
type person struct {
	Issuer   string    `json:"issuer"`
	Subject  string    `json:"subject"`
	Source   string    `json:"source"`
	Name     string    `json:"name"`
	Groups   []string  `json:"groups"`
	AuthTime time.Time `json:"auth_time,omitzero"`
	Means    []string  `json:"means,omitempty"`
}

type linked struct {
	Outsider Outsider `json:"outsider"`
	Person   person   `json:"person"`
}

// Links tie users of other systems to people who log in here. A code goes from
// the other system to the person, and from him to us with his token: so both have
// vouched. It is safe for concurrent use, on several replicas.
type Links struct {
	store store.Store
	now   func() time.Time
}

// NewLinks keeps links in s.
func NewLinks(s store.Store) *Links { return &Links{store: s, now: time.Now} }

// Code makes a code for o, in the place of the one that he had. It is shown to
// him alone, and good once, for a few minutes.
func (l *Links) Code(ctx context.Context, o Outsider) (string, error) {
	before, err := l.store.List(ctx, store.Query{Kind: KindCode, Owner: o.key(), Limit: page})
	if err != nil {
		return "", err
	}
	code := strings.ToLower(rand.Text())
	body, err := json.Marshal(o)
	if err != nil {
		return "", err
	}
	// By its hash: who reads the database can link nobody.
	changes := []store.Change{{Item: store.Item{Kind: KindCode, ID: hashed(code), Owner: o.key(), Expires: l.now().Add(codeFor), Body: body}}}
	for _, old := range before {
		changes = append(changes, store.Change{Item: old, Delete: true})
	}
	return code, l.store.Apply(ctx, changes...)
}

// Look says whom a code would link: who shows it has to see that, since a code
// that somebody else sent him would let that one speak in his name.
func (l *Links) Look(ctx context.Context, code string) (Outsider, error) {
	_, o, err := l.look(ctx, code)
	return o, err
}

func (l *Links) look(ctx context.Context, code string) (item store.Item, o Outsider, err error) {
	item, err = l.store.Get(ctx, KindCode, hashed(strings.ToLower(strings.TrimSpace(code))))
	if errors.Is(err, store.ErrNotFound) || err == nil && !l.now().Before(item.Expires) {
		return item, o, ErrNoLink
	}
	if err != nil {
		return item, o, err
	}
	return item, o, json.Unmarshal(item.Body, &o)
}

// Link links who shows the code, and uses the code up. Only people are linked; an
// outsider has one link, the last. It says how long it lasts.
func (l *Links) Link(ctx context.Context, code string, who *access.Principal) (until time.Time, err error) {
	if who == nil || who.Kind != access.User {
		return until, &access.Error{Kind: access.PermissionDenied, Reason: access.ReasonNoRole, Message: "only people can be linked, not services"}
	}
	used, o, err := l.look(ctx, code)
	if err != nil {
		return until, err
	}
	body, err := json.Marshal(linked{Outsider: o, Person: person{
		Issuer: who.Issuer, Subject: who.Subject, Source: who.Source, Name: who.Name, Groups: who.Groups, AuthTime: who.AuthTime, Means: who.Means,
	}})
	if err != nil {
		return until, err
	}
	until = l.now().Add(o.For)
	link := store.Item{Kind: KindLink, ID: o.key(), Owner: owner(who.ID()), Expires: until, Body: body}
	before, err := l.store.Get(ctx, KindLink, link.ID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return until, err
	}
	link.Revision = before.Revision // also of one that nobody has vouched for
	err = l.store.Apply(ctx, store.Change{Item: used, Delete: true}, store.Change{Item: link})
	if errors.Is(err, store.ErrConflict) {
		return until, ErrNoLink // used by another at the same time
	}
	return until, err
}

// owner keeps an identity of any length within what a store takes.
func owner(id string) string {
	if len(id) > store.MaxText {
		return hashed(id)
	}
	return id
}

// Find says who o is, with the groups that he had when he linked himself.
func (l *Links) Find(ctx context.Context, o Outsider) (*access.Principal, error) {
	item, err := l.store.Get(ctx, KindLink, o.key())
	if errors.Is(err, store.ErrNotFound) || err == nil && !l.now().Before(item.Expires) {
		return nil, ErrNoLink
	}
	if err != nil {
		return nil, err
	}
	var link linked
	if err := json.Unmarshal(item.Body, &link); err != nil {
		return nil, err
	}
	if link.Outsider.Channel != o.Channel || link.Outsider.Team != o.Team || link.Outsider.User != o.User {
		return nil, ErrNoLink
	}
	p := link.Person
	return &access.Principal{
		Issuer: p.Issuer, Subject: p.Subject, Source: p.Source, Name: p.Name, Kind: access.User, Groups: p.Groups,
		AuthTime: p.AuthTime, Means: p.Means, Expires: item.Expires,
	}, nil
}

// Unlink ends all links of who, and says how many there were.
func (l *Links) Unlink(ctx context.Context, who *access.Principal) (int, error) {
	items, err := l.store.List(ctx, store.Query{Kind: KindLink, Owner: owner(who.ID())})
	if err != nil || len(items) == 0 {
		return 0, err
	}
	changes := make([]store.Change, len(items))
	for i, item := range items {
		changes[i] = store.Change{Item: item, Delete: true}
	}
	return len(items), l.store.Apply(ctx, changes...)
}

// Once tells whether key comes for the first time, on any replica, until a time.
func (l *Links) Once(ctx context.Context, key string, until time.Time) (bool, error) {
	err := l.store.Apply(ctx, store.Change{Item: store.Item{Kind: KindSeen, ID: hashed(key), Expires: until}})
	if errors.Is(err, store.ErrConflict) {
		return false, nil
	}
	return err == nil, err
}
