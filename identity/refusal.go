package identity

import (
	"errors"
	"time"

	"github.com/sluice-gateway/sluice/access"
)

// Invalid refuses a token that proves nothing. message is shown to the
// caller, as "invalid token: message", and so must say what to do and hold
// nothing that came with the token; cause is for the record, and holds nothing
// of the token either.
func Invalid(message string, cause error) *access.Error {
	return &access.Error{
		Kind: access.Unauthenticated, Reason: access.ReasonTokenInvalid,
		Message: "invalid token: " + message, Cause: cause,
	}
}

// Expired refuses a token whose time is over.
func Expired() *access.Error {
	return &access.Error{
		Kind: access.Unauthenticated, Reason: access.ReasonTokenExpired,
		Message: "the token has expired: get a new one from its issuer",
	}
}

// Missing refuses a call that shows no token.
func Missing() *access.Error {
	return &access.Error{
		Kind: access.Unauthenticated, Reason: access.ReasonTokenMissing,
		Message: `no token: send the metadata or header "authorization: Bearer TOKEN"`,
	}
}

// Away refuses a token that nobody can judge now, because what the source of
// that name needs for it cannot be had. A positive retry says when the source
// will have tried again.
func Away(source string, retry time.Duration, cause error) *access.Error {
	message := "no identity source is ready to judge the token: try again"
	if source != "" {
		message = "the issuer of identity source " + source + " cannot be reached, so the token cannot be judged: try again"
	}
	return &access.Error{
		Kind: access.Unavailable, Reason: access.ReasonIssuerAway,
		Message: message, RetryAfter: retry, Cause: cause,
	}
}

// busy refuses an unknown token while too many others are being judged.
func busy() *access.Error {
	return &access.Error{
		Kind: access.Exhausted, Reason: access.ReasonStreams,
		Message: "too many new tokens at once: try again", RetryAfter: time.Second,
	}
}

// broken is for what only a defect of a source can cause.
func broken(detail string) *access.Error {
	return &access.Error{
		Kind: access.Internal, Reason: access.ReasonInternal,
		Message: "the token could not be judged", Cause: errors.New("identity: " + detail),
	}
}
