package secret

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/store"
)

// Token is a token of masking's that stands for a text.
type Token struct {
	// ID is the token itself; it has no space.
	ID string
	// Model is whose answer had the text, Entity what it was found as.
	Model, Entity string
	// Text is only read.
	Text []byte
	// Keep is how long the text is kept; 0 is for ever.
	Keep time.Duration
}

// Limits of tokens.
const (
	// MaxReveal is how many tokens one question may have.
	MaxReveal = 100
	// MaxReveals is how many one principal may ask about in an hour.
	MaxReveals = 1000
	// maxWrites is how many answers may wait for their tokens to be written.
	maxWrites = 1024
	// keepTimeout bounds how long an answer waits for that.
	keepTimeout = 10 * time.Second
	// knownTokens is about how many tokens are remembered as written.
	knownTokens = 1 << 16
)

// TokenOptions are what tokens need.
type TokenOptions struct {
	Store store.Store
	Ring  *Keyring
	Log   *slog.Logger
	// Now is the clock; time.Now if nil.
	Now func() time.Time
	// Believed tells whether the clock is right, as far as one can know: while it may not
	// be, no token is deleted. nil believes it.
	Believed func() bool
}

// Tokens keeps the texts that tokens stand for, sealed in the store. It is safe
// for concurrent use; [Tokens.Run] must run beside it.
type Tokens struct {
	o     TokenOptions
	queue chan *write

	mu         sync.Mutex
	known, old map[string]time.Time // items that are written, and when they end
	asked      map[string]int       // tokens that each principal has asked about
	askedFrom  time.Time            // since when
}

// NewTokens returns tokens on a store; nothing is read yet.
func NewTokens(o TokenOptions) *Tokens {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Believed == nil {
		o.Believed = func() bool { return true }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Tokens{o: o, queue: make(chan *write, maxWrites), known: make(map[string]time.Time), asked: make(map[string]int)}
}

// errBusy is a store that can't keep up.
var errBusy = errors.New("secret: too many answers wait for their tokens to be written")

// itemID is the item of a token that a model's answer had: who may reveal tokens
// of one model learns none of another's.
func itemID(token, model string) string { return token + " " + model }

// Keep writes tokens down and returns when they are there durably, or an error:
// then the answer that holds them must not leave. Those that are known to be
// there cost no write.
func (t *Tokens) Keep(ctx context.Context, tokens []Token) error {
	w := &write{done: make(chan error, 1)}
	now := t.o.Now()
	for i := range tokens {
		one := &tokens[i]
		id := itemID(one.ID, one.Model)
		if t.isKnown(id, now, one.Keep) {
			continue
		}
		sealed, err := t.o.Ring.Seal(one.Text, tokenAt(id, one.Entity)...)
		if err != nil {
			return err
		}
		item := store.Item{Kind: KindToken, ID: id, State: one.Entity, Body: sealed}
		if one.Keep > 0 {
			item.Expires = now.Add(one.Keep)
		}
		w.items = append(w.items, item)
	}
	if len(w.items) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	select {
	case t.queue <- w:
	default:
		return errBusy
	}
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func tokenAt(id, entity string) []string { return []string{string(KindToken), id, entity} }

// isKnown tells whether a token is written, and stays for long enough: of one that
// is still in use the end moves on.
func (t *Tokens) isKnown(id string, now time.Time, keep time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	ends, found := t.known[id]
	if !found {
		ends, found = t.old[id]
	}
	return found && (ends.IsZero() || keep > 0 && ends.Sub(now) > keep/2)
}

// learn remembers what is written.
func (t *Tokens) learn(items []store.Item) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, item := range items {
		if len(t.known) >= knownTokens/2 {
			t.known, t.old = make(map[string]time.Time), t.known
		}
		t.known[item.ID] = item.Expires
	}
}

// Revealed is what a token stands for.
type Revealed struct {
	Token, Entity string
	Text          Bytes
}

// Reveal says what tokens stand for, as far as answers of model had them; without
// a model, of any. Those that are not known, or kept no longer, are left out.
func (t *Tokens) Reveal(ctx context.Context, who *access.Principal, model string, tokens []string) ([]Revealed, error) {
	if len(tokens) == 0 || len(tokens) > MaxReveal {
		return nil, malformed("ask about 1 to 100 tokens at once")
	}
	if !t.mayAsk(who, len(tokens)) {
		return nil, &access.Error{
			Kind: access.Exhausted, Reason: access.ReasonReveals, RetryAfter: time.Hour,
			Message: "you have revealed 1000 tokens within an hour, which is all that one person may; go on later",
		}
	}
	var found []Revealed
	for _, token := range tokens {
		one, err := t.reveal(ctx, token, model)
		if err != nil {
			return nil, err
		}
		if one != nil {
			found = append(found, *one)
		}
	}
	return found, nil
}

// mayAsk counts what who asks about.
func (t *Tokens) mayAsk(who *access.Principal, n int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.o.Now()
	if past := now.Sub(t.askedFrom); past < 0 || past >= time.Hour {
		clear(t.asked)
		t.askedFrom = now
	}
	if t.asked[who.ID()]+n > MaxReveals {
		return false
	}
	t.asked[who.ID()] += n
	return true
}

// IsToken tells whether a text has the form of a token.
func IsToken(text string) bool {
	at := strings.LastIndex(text, "_tok_")
	if at < 0 {
		return false
	}
	entity, rest := text[:at], text[at+len("_tok_"):]
	return entity != "" && len(text) <= 256 && len(rest) == 26 && strings.Trim(rest, "abcdefghijklmnopqrstuvwxyz234567") == "" &&
		strings.Trim(entity, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") == ""
}

func (t *Tokens) reveal(ctx context.Context, token, model string) (*Revealed, error) {
	if !IsToken(token) {
		return nil, nil
	}
	// Nothing sorts between "token " and the items of the token.
	q := store.Query{Kind: KindToken, After: token + " ", Limit: 1}
	item, err := store.Item{}, error(nil)
	if model != "" {
		item, err = t.o.Store.Get(ctx, KindToken, itemID(token, model))
	} else {
		var items []store.Item
		if items, err = t.o.Store.List(ctx, q); err == nil && len(items) > 0 && strings.HasPrefix(items[0].ID, token+" ") {
			item = items[0]
		}
	}
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && item.ID == "":
		return nil, nil
	case err != nil:
		return nil, storeError(err, "")
	case !item.Expires.IsZero() && !item.Expires.After(t.o.Now()):
		return nil, nil
	}
	text, err := t.o.Ring.Open(item.Body, tokenAt(item.ID, item.State)...)
	if err != nil {
		t.o.Log.LogAttrs(ctx, slog.LevelError, "a token's text can't be opened", slog.String("entity", item.State), slog.Any("error", err))
		return nil, nil
	}
	return &Revealed{Token: token, Entity: item.State, Text: text}, nil
}
