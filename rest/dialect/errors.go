package dialect

import (
	"fmt"
	"net/http"

	"github.com/sluice-gateway/sluice/access"
)

// Error is what Triton answers to a body that it can't read: its text, with the
// status that goes with it. JSON that is wrong is 500 and not 400
// (protocol/kserve-v2.md, section 4).
type Error struct {
	Status int
	Text   string
}

// Error returns the text.
func (e *Error) Error() string { return e.Text }

// Refusal is the error as the chain knows errors, with e as its cause.
func (e *Error) Refusal() *access.Error {
	return &access.Error{Kind: access.Malformed, Reason: access.ReasonMalformed, Message: e.Text, Cause: e}
}

// invalid is an error that Triton finds in what the JSON says.
func invalid(format string, args ...any) *Error {
	return &Error{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// wrong is an error that Triton's JSON reader finds.
func wrong(format string, args ...any) *Error {
	return &Error{http.StatusInternalServerError, fmt.Sprintf(format, args...)}
}

// The reader's words for a value of another type, and one that is missing.
var (
	notString   = wrong("attempt to access JSON non-string as string")
	notBool     = wrong("attempt to access JSON non-boolean as boolean")
	notInt      = wrong("attempt to access JSON non-signed-integer as signed-integer")
	notUint     = wrong("attempt to access JSON non-unsigned-integer as unsigned-integer")
	notNumber   = wrong("attempt to access JSON non-number as double")
	notArray    = wrong("attempt to access JSON non-array as array")
	notObject   = wrong("attempt to access JSON non-object as object")
	noMembers   = wrong("attempt to get members for non-object")
	tooDeep     = invalid("JSON nesting depth exceeds maximum allowed limit (%d)", maxDepth)
	wrongShape  = wrong("Shape does not match true shape of 'data' field")
	reservedKey = invalid("parameter keys starting with 'triton_' are reserved for Triton usage and should not be specified.")
)

func missing(key string) *Error {
	return wrong("attempt to access non-existing object member '%s'", key)
}

// within puts what was being read before an error of this package.
func within(what string, err error) error {
	if e, ok := err.(*Error); ok && e != tooDeep && !e.syntax() {
		return &Error{e.Status, what + ": " + e.Text}
	}
	return err
}

const syntaxPrefix = "failed to parse the request JSON buffer: "

// fault is an error of syntax at a place of the document, in bytes.
func fault(what string, at int64) error {
	return wrong(syntaxPrefix+"%s at %d", what, at)
}

func (e *Error) syntax() bool {
	return len(e.Text) > len(syntaxPrefix) && e.Text[:len(syntaxPrefix)] == syntaxPrefix
}
