package access

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxModelName is how long a model's name may be, in bytes: what a file system
// takes as one directory's name, which is what it is to Triton.
const MaxModelName = 255

// CheckModelName refuses a name that could mean another place than a model to
// some server behind the gateway: an empty or overlong one, one that is not
// UTF-8, holds control bytes, or walks a path. It does not look whether there
// is such a model, nor whether its server takes names with slashes.
func CheckModelName(name string) *Error {
	switch {
	case name == "":
		return badName(name, "is empty")
	case len(name) > MaxModelName:
		return badName(name, fmt.Sprintf("is %d bytes long, more than %d", len(name), MaxModelName))
	case !utf8.ValidString(name):
		return badName(name, "is not UTF-8")
	case strings.ContainsFunc(name, unicode.IsControl):
		return badName(name, "holds control characters")
	case walks(name):
		return badName(name, "walks a path")
	}
	return nil
}

// walks tells whether a name would lead a file system or a URL anywhere but to
// something of that name below. Slashes by themselves are part of the names that
// LLM servers have ("meta-llama/Llama-3").
func walks(name string) bool {
	if strings.Contains(name, `\`) {
		return true
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part == "." || part == ".." {
			return true
		}
	}
	return false
}

func badName(name, what string) *Error {
	return &Error{Kind: Malformed, Reason: ReasonModelName, Message: fmt.Sprintf("model name %s %s; use the name that the repository index lists", Quote(name), what)}
}

// maxQuoted is how much of a caller's own text an error repeats.
const maxQuoted = 64

// Quote shows text that a caller chose: quoted, with control characters
// escaped, and cut where it is long.
func Quote(s string) string {
	if len(s) > maxQuoted {
		return fmt.Sprintf("%.*q… (%d bytes)", maxQuoted, s[:maxQuoted], len(s))
	}
	return fmt.Sprintf("%q", s)
}
