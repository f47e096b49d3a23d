package leased

import (
	"encoding/base64"
	"slices"
	"strings"

	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access"
)

// minHidden is how long a part of a credential is at least that is looked for in a
// server's words: shorter ones are in words of every kind.
const minHidden = 4

// hidden are the texts that nobody may learn of what is shown: each value, and
// what it is made of.
func hidden(shown map[string]string) (all []string) {
	add := func(text string) {
		if len(text) >= minHidden {
			all = append(all, text)
		}
	}
	for _, value := range shown {
		scheme, rest, split := strings.Cut(value, " ")
		if !split {
			rest = value
		}
		add(rest)
		if scheme != "Basic" {
			continue
		}
		if pair, err := base64.StdEncoding.DecodeString(rest); err == nil {
			_, password, _ := strings.Cut(string(pair), ":")
			add(password)
		}
	}
	return all
}

// scrub takes the credential out of the words of a server that quotes what it was
// shown; the details of such a status are left out.
func (u *use) scrub(err error) error {
	if err == nil || len(u.shown) == 0 {
		return err
	}
	secrets := hidden(u.shown)
	if own, is := access.AsError(err); is {
		if own.Cause == nil || !quotes(own.Cause.Error(), secrets) {
			return err
		}
		scrubbed := *own
		scrubbed.Cause = &quiet{own.Cause, without(own.Cause.Error(), secrets)}
		return &scrubbed
	}
	st, ok := status.FromError(err)
	if !ok || !quotes(st.Message(), secrets) && !quotes(st.Proto().String(), secrets) {
		return err
	}
	return status.Error(st.Code(), without(st.Message(), secrets))
}

func quotes(text string, secrets []string) bool {
	return slices.ContainsFunc(secrets, func(secret string) bool { return strings.Contains(text, secret) })
}

func without(text string, secrets []string) string {
	for _, secret := range secrets {
		text = strings.ReplaceAll(text, secret, "[REDACTED]")
	}
	return text
}

// quiet is an error in other words, for the log.
type quiet struct {
	error
	text string
}

func (q *quiet) Error() string { return q.text }

// Unwrap says what it still is.
func (q *quiet) Unwrap() error { return q.error }
