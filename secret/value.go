package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/access"
)

// Kind is what the value of a stored secret is.
type Kind string

// The kinds, and what their values are.
const (
	// Text is a value by itself, which a configuration refers to as secret:NAME.
	Text Kind = "text"
	// Bearer is a token: "authorization: Bearer …".
	Bearer Kind = "bearer"
	// Basic is "user:password": "authorization: Basic …".
	Basic Kind = "basic"
	// Headers are lines "name: value", as Triton's restricted protocols want one.
	Headers Kind = "headers"
	// Pair is a certificate, those that lead to its authority, and its private key,
	// all in PEM: what mTLS shows.
	Pair Kind = "pair"
)

// Kinds lists the kinds.
func Kinds() []Kind { return []Kind{Text, Bearer, Basic, Headers, Pair} }

// Limits of values.
const (
	// MaxValue is how long a value is at most, in bytes.
	MaxValue   = 64 << 10
	maxHeaders = 16
)

// Value is an opened secret. Its bytes are wiped when the last lease has ended;
// the strings that gRPC has to be given are forgotten then.
type Value struct {
	Kind Kind
	text Bytes
	// metadata is what is shown with each call; nil for text and pair. It lies in a
	// closure as [Bytes] do.
	metadata func() map[string]string
}

// Metadata is what is shown to a server with each call, names in lower case; nil
// where nothing is. Nobody may write to it.
func (v *Value) Metadata() map[string]string {
	if v.metadata == nil {
		return nil
	}
	return v.metadata()
}

func (v *Value) show(metadata map[string]string) {
	v.metadata = func() map[string]string { return metadata }
}

// Text is the value itself: a text, a token.
func (v *Value) Text() Bytes { return v.text }

// wipe overwrites the value.
func (v *Value) wipe() {
	v.text.Wipe()
	v.metadata = nil
}

// parse reads a value, which it takes over. Errors never repeat any of it.
func parse(kind Kind, text Bytes) (*Value, *access.Error) {
	v := &Value{Kind: kind, text: text}
	var problem string
	text.Open(func(b []byte) {
		switch {
		case len(b) == 0:
			problem = "is empty"
		case len(b) > MaxValue:
			problem = fmt.Sprintf("has %d bytes, more than %d", len(b), MaxValue)
		default:
			problem = v.read(b)
		}
	})
	if problem != "" {
		return nil, malformed("the value " + problem)
	}
	return v, nil
}

func malformed(message string) *access.Error {
	return &access.Error{Kind: access.Malformed, Reason: access.ReasonMalformed, Message: message}
}

// read is what is wrong with the value, "" for nothing.
func (v *Value) read(b []byte) string {
	switch v.Kind {
	case Text:
		return ""
	case Bearer:
		if !printable(b) || bytes.ContainsRune(b, ' ') {
			return "has bytes that a token cannot have; a bearer token is one word"
		}
		v.show(map[string]string{"authorization": "Bearer " + string(b)})
	case Basic:
		user, _, split := bytes.Cut(b, []byte(":"))
		if !split || len(user) == 0 || bytes.ContainsAny(b, "\r\n\x00") {
			return `must be "user:password"`
		}
		v.show(map[string]string{"authorization": "Basic " + base64.StdEncoding.EncodeToString(b)})
	case Headers:
		return v.readHeaders(b)
	case Pair:
		return readPair(b)
	default:
		return "is of an unknown kind; kinds are " + kindNames()
	}
	return ""
}

func kindNames() string {
	var names []string
	for _, k := range Kinds() {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}

func (v *Value) readHeaders(b []byte) string {
	shown := make(map[string]string)
	for line := range bytes.Lines(b) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			continue
		}
		name, value, split := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case !split || !headerName(string(name)):
			return `must be lines "name: value" with names in lower case, none of HTTP's or gRPC's own`
		case len(value) == 0 || !printable(value):
			return "has a header whose value is empty or has bytes that a header cannot carry"
		case shown[string(name)] != "":
			return "has the same header twice"
		}
		shown[string(name)] = string(value)
	}
	if n := len(shown); n == 0 || n > maxHeaders {
		return fmt.Sprintf("must have from 1 to %d headers", maxHeaders)
	}
	v.show(shown)
	return ""
}

// ownHeaders are what the gateway's own connections write.
var ownHeaders = map[string]bool{
	"content-type": true, "content-length": true, "user-agent": true, "te": true, "connection": true, "host": true,
	"transfer-encoding": true, "upgrade": true, "trailer": true, "keep-alive": true, "expect": true,
}

func headerName(name string) bool {
	return name != "" && len(name) <= 256 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == "" &&
		!ownHeaders[name] && !strings.HasPrefix(name, "grpc-") && !strings.HasPrefix(name, "sluice-") && !strings.HasSuffix(name, "-bin")
}

func printable(b []byte) bool {
	return !slices.ContainsFunc(b, func(c byte) bool { return c < ' ' || c > '~' })
}

// readPair looks for both halves; whether they belong together is found out by
// who shows them.
func readPair(b []byte) string {
	var cert, key bool
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		cert = cert || block.Type == "CERTIFICATE"
		key = key || strings.HasSuffix(block.Type, "PRIVATE KEY")
		clear(block.Bytes)
	}
	if !cert || !key {
		return "must hold a certificate and its private key, both in PEM"
	}
	return ""
}
