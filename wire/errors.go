package wire

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sluice-gateway/sluice/access"
)

// SyntaxError says where and how a message is not the protobuf message it
// should be. Nothing of the message's content is in it.
type SyntaxError struct {
	Message string // "ModelInferRequest"
	Path    string // "inputs[3].name"; "" is the message itself
	Problem string // "is not valid UTF-8"
	Offset  int    // about where, in bytes
}

// Error returns the error as one line.
func (e *SyntaxError) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("malformed %s: it %s", e.Message, e.Problem)
	}
	return fmt.Sprintf("malformed %s: %s %s", e.Message, e.Path, e.Problem)
}

// fail reports a fault in a message of type t at off.
func fail(t *table, f fault, off int) *SyntaxError {
	return &SyntaxError{Message: t.name, Problem: faultTexts[f], Offset: off}
}

// in puts the field that the error was found in before its path.
func (e *SyntaxError) in(fd *field, top *view, num protowire.Number) *SyntaxError {
	name := fd.name
	if top != nil {
		e.Message = top.table.name
		if fd.kind == submsgs || fd.kind == blobs {
			name = fmt.Sprintf("%s[%d]", name, top.count[num])
		}
	}
	e.Path = strings.TrimSuffix(name+"."+e.Path, ".")
	return e
}

// malformed makes the error that a caller gets for a message of its own.
func malformed(e *SyntaxError, cause error) *access.Error {
	return &access.Error{Kind: access.Malformed, Reason: access.ReasonMalformed, Message: e.Error(), Cause: cause}
}
