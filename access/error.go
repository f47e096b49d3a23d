package access

import (
	"errors"
	"time"
)

// ErrorKind says what sort of refusal or failure an [Error] is. The edge
// (interceptors/status.go) maps each to one gRPC code.
type ErrorKind uint8

// The kinds of errors. The zero kind is Internal, so that an error nobody
// classified says nothing to the caller.
const (
	Internal         ErrorKind = iota
	Unauthenticated            // no token, or one that proves nothing
	PermissionDenied           // no role allows it, or a rule denies it
	NeedsApproval              // needs a person and cannot wait
	Exhausted                  // a limit is reached
	Unavailable                // a backend or a part that must answer does not
	Malformed                  // the message or a field of it is wrong
	Unimplemented              // no such RPC here
	NotFound                   // no such model, said as a model server says it
)

// Reasons are stable and public (google.rpc.ErrorInfo.reason, domain
// "sluice", and parameters["sluice_reason"] in a stream). Nothing secret goes
// into one.
const (
	ReasonTokenMissing     = "TOKEN_MISSING"
	ReasonTokenInvalid     = "TOKEN_INVALID"
	ReasonTokenExpired     = "TOKEN_EXPIRED"
	ReasonIssuerAway       = "ISSUER_UNAVAILABLE"
	ReasonNoRole           = "NO_ROLE_ALLOWS"
	ReasonDeniedByRole     = "ROLE_DENIES"
	ReasonShmOwner         = "SHM_NOT_OWNED"
	ReasonInFlight         = "BYTES_IN_FLIGHT"
	ReasonStreams          = "CALLS_IN_FLIGHT"
	ReasonNoBackend        = "NO_BACKEND"
	ReasonBackendAway      = "BACKEND_UNAVAILABLE"
	ReasonBackendKind      = "BACKEND_OF_ANOTHER_KIND"
	ReasonMalformed        = "MALFORMED_REQUEST"
	ReasonModelName        = "BAD_MODEL_NAME"
	ReasonRepositoryName   = "REPOSITORY_NAME_SET"
	ReasonUnsafeForBackend = "UNSAFE_FOR_BACKEND"
	ReasonBackendBusy      = "BACKEND_BUSY"
	ReasonSequenceOwner    = "SEQUENCE_NOT_OWNED"
	ReasonSequenceStart    = "SEQUENCE_NOT_BEGUN"
	ReasonSequenceLost     = "SEQUENCE_LOST"
	ReasonSequences        = "SEQUENCES_LIVE"
	ReasonUnsupported      = "UNSUPPORTED_BY_BACKEND"
	ReasonUnknownRPC       = "UNKNOWN_RPC"
	ReasonCrossSite        = "CROSS_SITE"
	ReasonHandshake        = "TLS_HANDSHAKE"
	ReasonMasking          = "MASKING_REFUSES"
	ReasonBlocked          = "BLOCKED_BY_MASKING"
	ReasonDetectorAway     = "DETECTOR_UNAVAILABLE"
	ReasonGuard            = "GUARD_DENIES"
	ReasonGuardFailed      = "GUARD_FAILED"
	ReasonNeedsApproval    = "APPROVAL_NEEDED"
	ReasonApprovalDenied   = "APPROVAL_DENIED"
	ReasonApprovalExpired  = "APPROVAL_EXPIRED"
	ReasonApprovalTerms    = "APPROVAL_REASON_MISSING"
	ReasonApprovalPending  = "APPROVALS_PENDING"
	ReasonApprovalVoid     = "APPROVAL_VOID"
	ReasonNotApprover      = "NOT_AN_APPROVER"
	ReasonAccessWider      = "NO_ACCESS_ENTRY"
	ReasonGrantRevoked     = "GRANT_REVOKED"
	ReasonInterrupted      = "APPROVAL_INTERRUPTED"
	ReasonSessionKilled    = "SESSION_KILLED"
	ReasonStoreAway        = "STORE_UNAVAILABLE"
	ReasonAuditAway        = "AUDIT_UNAVAILABLE"
	ReasonCredentialAway   = "CREDENTIAL_UNAVAILABLE"
	ReasonReveals          = "REVEALS_PER_HOUR"
	ReasonConflict         = "CONFLICT"
	ReasonNotFound         = "NOT_FOUND"
	ReasonInternal         = "INTERNAL"
)

// Error is a refusal or failure of Sluice's own. Message is safe to show to
// the caller: it says what was refused and what to do. Cause is for the
// record and the log alone.
type Error struct {
	Kind    ErrorKind
	Reason  string
	Message string
	// RetryAfter, if positive, tells the caller when to try again.
	RetryAfter time.Duration
	Cause      error
}

// Error returns the message for the caller; it does not show the cause.
func (e *Error) Error() string { return e.Message }

// Unwrap gives the cause to errors.Is and errors.As.
func (e *Error) Unwrap() error { return e.Cause }

// AsError finds an [Error] in err's chain.
func AsError(err error) (*Error, bool) {
	if e, ok := err.(*Error); ok || err == nil { // the common cases, without an allocation
		return e, ok
	}
	var e *Error
	ok := errors.As(err, &e)
	return e, ok
}

// Problem is one thing wrong in a configuration. Path names the place from
// the root of its document, as in "backends[1].addresses[0]"; a part reports
// it relative to itself, and the loader turns it into file:line:column.
type Problem struct {
	Path    string
	Message string
}

// MessageError is the refusal of one message of a stream, whose other requests
// go on. ID is the request's id, which the answer has to carry.
type MessageError struct {
	ID  string
	Err *Error
}

// Error returns the refusal's message.
func (e *MessageError) Error() string { return e.Err.Error() }

// Unwrap gives the refusal itself.
func (e *MessageError) Unwrap() error { return e.Err }
