// Package transit has the key of stored secrets unwrapped by the transit engine of
// HashiCorp Vault or OpenBao, over its HTTP API. It decrypts, and does nothing else: the
// token needs no more than "update" on that one path.
package transit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/secret"
)

const (
	// attempts is how often the server is asked before a start fails, first and most how
	// long it is waited between.
	attempts  = 5
	first     = 500 * time.Millisecond
	most      = 4 * time.Second
	maxAnswer = 64 << 10
	// shown bounds what is repeated of the server's own words, in bytes.
	shown = 200
)

// KMS unwraps with one key of one server. It is safe for concurrent use.
type KMS struct {
	cfg    secret.Transit
	client *http.Client
	pause  func(context.Context, time.Duration) error
}

var _ secret.KMS = (*KMS)(nil)

// New returns a KMS; it connects when there is something to unwrap.
func New(cfg secret.Transit, by http.RoundTripper) *KMS {
	cfg.SetDefaults()
	// A redirect would take the token elsewhere.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &KMS{cfg: cfg, client: &http.Client{Transport: by, CheckRedirect: stay}, pause: pause}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// refusal is an answer that asking again does not change.
type refusal struct{ error }

// Unwrap decrypts a key that the server has wrapped ("vault:v1:…"). A server that is
// away, sealed or busy is asked again, [attempts] times in all. Errors say what to do, and
// hold neither token nor key.
func (k *KMS) Unwrap(ctx context.Context, wrapped string) (key secret.Bytes, err error) {
	wait := first
	for i := range attempts {
		if i > 0 {
			if stopped := k.pause(ctx, wait); stopped != nil {
				return secret.Bytes{}, errors.Join(err, stopped)
			}
			wait = min(2*wait, most)
		}
		if key, err = k.ask(ctx, wrapped); err == nil {
			return key, nil
		}
		var final refusal
		if errors.As(err, &final) || ctx.Err() != nil {
			return secret.Bytes{}, err
		}
	}
	return secret.Bytes{}, fmt.Errorf("%w (asked %d times)", err, attempts)
}

// ask asks once. The token is read anew: what writes it may have renewed it.
func (k *KMS) ask(ctx context.Context, wrapped string) (secret.Bytes, error) {
	token, err := k.cfg.Token.Resolve()
	if err != nil {
		return secret.Bytes{}, refusal{fmt.Errorf("secrets.transit.token: %w", err)}
	}
	ctx, cancel := context.WithTimeout(ctx, k.cfg.Timeout)
	defer cancel()
	body, err := json.Marshal(map[string]string{"ciphertext": wrapped})
	if err != nil {
		return secret.Bytes{}, refusal{err}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, k.cfg.DecryptURL(), bytes.NewReader(body))
	if err != nil {
		return secret.Bytes{}, refusal{errors.New("secrets.transit.address is not a URL")}
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Vault-Request", "true") // agents may ask for it: no browser sends it
	r.Header.Set("X-Vault-Token", token)
	if k.cfg.Namespace != "" {
		r.Header.Set("X-Vault-Namespace", k.cfg.Namespace)
	}
	answer, err := k.client.Do(r)
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("%s does not answer; look at secrets.transit: %w", k.cfg.Address, err)
	}
	defer func() { _ = answer.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("%s breaks off its answer: %w", k.cfg.Address, err)
	}
	defer clear(data)
	if answer.StatusCode != http.StatusOK {
		return secret.Bytes{}, k.refused(answer.StatusCode, data)
	}
	return plaintext(data)
}

// plaintext takes the key out of an answer.
func plaintext(data []byte) (secret.Bytes, error) {
	var said struct {
		Data struct {
			Plaintext []byte `json:"plaintext"` // base64, as encoding/json has it
		} `json:"data"`
	}
	bad := refusal{fmt.Errorf("the answer holds no key of %d bytes; wrap one with %s", secret.KeySize, howto)}
	if json.Unmarshal(data, &said) != nil || len(said.Data.Plaintext) == 0 {
		return secret.Bytes{}, bad
	}
	if key := said.Data.Plaintext; len(key) == secret.KeySize {
		return secret.NewBytes(key), nil
	}
	// A key as `sluice secrets key new` writes it, wrapped as the text that it is.
	key, err := secret.ParseKey(strings.TrimSpace(string(said.Data.Plaintext)))
	if err != nil {
		return secret.Bytes{}, bad
	}
	return key, nil
}

const howto = "vault write -field=ciphertext -f transit/datakey/wrapped/NAME"

// refused puts a status into words that say what to do.
func (k *KMS) refused(status int, data []byte) error {
	why := fmt.Errorf("%s says %d%s", k.cfg.Address, status, words(data))
	at := k.cfg.Mount + "/decrypt/" + k.cfg.Key
	switch {
	case status == http.StatusForbidden:
		return refusal{fmt.Errorf("%w: the token is not valid any more, or its policy lacks update on %s", why, at)}
	case status == http.StatusNotFound:
		return refusal{fmt.Errorf("%w: no transit engine is mounted at %s; look at secrets.transit.mount and namespace", why, k.cfg.Mount)}
	case status == http.StatusBadRequest:
		return refusal{fmt.Errorf("%w: what is wrapped was not wrapped by this key, or its version is not kept; look at secrets.transit.key", why)}
	case status >= 300 && status < 400:
		return refusal{fmt.Errorf("%w: it redirects, and the token is sent nowhere else; write the address of the active server", why)}
	case status == http.StatusServiceUnavailable:
		return fmt.Errorf("%w: it is sealed or in maintenance; unseal it", why)
	case status == http.StatusTooManyRequests || status == http.StatusPreconditionFailed || status >= 500:
		return why
	}
	return refusal{why}
}

// words are the server's own, as much of them as is printable.
func words(data []byte) string {
	var said struct {
		Errors []string `json:"errors"`
	}
	if json.Unmarshal(data, &said) != nil || len(said.Errors) == 0 {
		return ""
	}
	text := strings.Join(strings.Fields(strings.Join(said.Errors, "; ")), " ")
	return fmt.Sprintf(" (%.*q)", shown, text)
}
