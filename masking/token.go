package masking

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/access"
)

// Token is a token that action tokenize has written in the place of a text.
type Token struct {
	// ID is the token: "EMAIL_tok_" and 26 letters and digits.
	ID string
	// Model is whose answer had the text, Entity what it was found as.
	Model, Entity string
	// Text is what stood there, escapes read as what they stand for. It is wiped
	// when it has been kept.
	Text []byte
	// Keep is how long the text is to be kept; 0 is for ever.
	Keep time.Duration
}

// Vault keeps what tokens stand for. It is safe for concurrent use.
type Vault interface {
	// Keep returns when all tokens are kept durably. It doesn't hold on to texts. An
	// error is an answer that must not leave.
	Keep(ctx context.Context, tokens []Token) error
}

const (
	// tokenMark is between a token's entity and its letters.
	tokenMark = "_tok_"
	// tokenBytes is how many bytes of the HMAC a token shows, in base 32.
	tokenBytes = 16
	// maxTokenText is the longest text that a token can stand for, in bytes.
	maxTokenText = 16 << 10
)

var tokenLetters = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// KeepTokens has the tokens of all policies kept by v. Without it, an answer
// with tokens does not leave.
func (e *Engine) KeepTokens(v Vault) {
	e.vault.Store(&v)
	e.Policy().KeepTokens(v)
}

// KeepTokens is [Engine.KeepTokens] for a policy that no engine has.
func (p *Policy) KeepTokens(v Vault) {
	if p != nil {
		p.vault.Store(&v)
	}
}

// beginToken starts a token: entity and value make it, under the rule's key. What
// tells forms of one value apart is left out as it is of a hash.
func (w *writer) beginToken() {
	w.mac = hmac.New(sha256.New, w.use.action.key)
	w.mac.Write([]byte("sluice token\x00" + w.use.entity + "\x00"))
	w.clear = w.clear[:0]
}

// addClear takes a character of the text that the token will stand for.
func (w *writer) addClear(r rune) {
	if len(w.clear) <= maxTokenText {
		w.clear = utf8.AppendRune(w.clear, r)
	}
}

// token is what stands in the match's place. A text that is too long to be kept is
// redacted.
func (w *writer) token() string {
	if len(w.clear) > maxTokenText {
		w.clear = w.clear[:0]
		return "[" + w.use.entity + "]"
	}
	return w.use.entity + tokenMark + tokenLetters.EncodeToString(w.mac.Sum(nil)[:tokenBytes])
}

// finish ends the match that is going on, and returns what is written at its end. Of
// a token, text and all are to be kept before the answer leaves; where only somebody
// tries a rule or writes a record, nothing leaves and nothing is kept.
func (k *masker) finish(u *use) string {
	text := k.open.end()
	if u.action.kind != actionTokenize {
		return text
	}
	if k.tally != nil && !u.observe && strings.Contains(text, tokenMark) {
		k.tally.tokens = append(k.tally.tokens, Token{
			ID: text, Model: k.t.plan.model, Entity: u.entity, Text: append([]byte(nil), k.open.clear...), Keep: u.action.keep,
		})
	}
	clear(k.open.clear)
	return text
}

// keepTokens has the tokens of an answer kept. The error is a refusal: nothing of the
// answer may leave.
func (p *Plan) keepTokens(ctx context.Context, c *Counts) *access.Error {
	if len(c.tokens) == 0 {
		return nil
	}
	tokens := c.tokens
	c.tokens = nil
	defer func() {
		for i := range tokens {
			clear(tokens[i].Text)
		}
	}()
	refused := &access.Error{
		Kind: access.Unavailable, Reason: access.ReasonBlocked, RetryAfter: time.Second,
		Message: "the answer was withheld: what its tokens stand for could not be kept; try again later",
	}
	v := p.policy.vault.Load()
	if v == nil {
		refused.Message = "the answer was withheld: this gateway has nowhere to keep what its tokens stand for"
		return refused
	}
	if err := (*v).Keep(ctx, tokens); err != nil {
		refused.Cause = err
		return refused
	}
	return nil
}
