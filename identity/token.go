package identity

import (
	"encoding/base64"
	"strings"
)

// Token is a JSON Web Token in its compact form (RFC 7515 section 3.1), taken
// apart but NOT verified: nothing in it is true before a [Verifier] says so.
type Token struct {
	// Raw is the token as it came.
	Raw string
	// Algorithm, KeyID and Type are "alg", "kid" and "typ" of its header.
	Algorithm, KeyID, Type string
	// Claims is its payload.
	Claims Claims
	// Issuer and Subject are "iss" and "sub" of the claims.
	Issuer, Subject string
}

// ownKeys are the header parameters by which a token brings or names a key of
// its own choice (RFC 7515 section 4.1.2, 4.1.3, 4.1.5). No issuer's access
// token needs them, and a library that trusted one would trust any stranger:
// CVE-2018-0114. "x5c" is let pass, because some issuers send their chain; it is
// read by nobody.
var ownKeys = []string{"jwk", "jku", "x5u"}

// Parse takes a token apart and refuses what no issuer would send: too long,
// not in three parts, not JSON, ambiguous, with a critical extension (RFC
// 7515 section 4.1.11: unknown ones must be refused, and none is known here).
// Errors are [*access.Error].
func Parse(raw string) (*Token, error) {
	if len(raw) > MaxToken {
		return nil, tooLong()
	}
	head, rest, _ := strings.Cut(raw, ".")
	body, signature, ok := strings.Cut(rest, ".")
	if !ok || head == "" || body == "" || strings.Contains(signature, ".") {
		return nil, Invalid("it is not a signed JSON Web Token in three parts: send an access token of a configured issuer", nil)
	}
	if signature == "" {
		return nil, Invalid("it is not signed: send an access token of a configured issuer", nil)
	}
	header, err := decode(head)
	if err != nil {
		return nil, Invalid("its header cannot be read", err)
	}
	claims, err := decode(body)
	if err != nil {
		return nil, Invalid("its payload cannot be read", err)
	}
	if _, err := unbase64(signature); err != nil {
		return nil, Invalid("its signature cannot be read", err)
	}
	return assemble(raw, header, claims)
}

func decode(part string) (Claims, error) {
	text, err := unbase64(part)
	if err != nil {
		return nil, err
	}
	return parseClaims(text)
}

// unbase64 takes one spelling of each text: no padding, no bits left over
// (RFC 7515 section 2), and no line ends, which Go's decoder would skip.
func unbase64(part string) ([]byte, error) {
	text, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil || strings.ContainsAny(part, "\r\n") {
		return nil, errBase64
	}
	return text, nil
}

func assemble(raw string, header, claims Claims) (*Token, error) {
	for _, name := range ownKeys {
		if _, ok := header[name]; ok {
			return nil, Invalid("its header brings or names a key of its own", nil)
		}
	}
	if _, ok := header["crit"]; ok {
		return nil, Invalid("its header demands an extension that is not supported", nil)
	}
	if _, ok := header["b64"]; ok {
		return nil, Invalid("its header demands an encoding that is not supported", nil)
	}
	t := &Token{Raw: raw, Claims: claims}
	for _, field := range []struct {
		to   *string
		from Claims
		name string
	}{
		{&t.Algorithm, header, "alg"},
		{&t.KeyID, header, "kid"},
		{&t.Type, header, "typ"},
		{&t.Issuer, claims, "iss"},
		{&t.Subject, claims, "sub"},
	} {
		var err error
		if *field.to, err = field.from.Text(field.name); err != nil {
			return nil, Invalid("its "+field.name+" is not plain text", nil)
		}
	}
	if t.Algorithm == "" {
		return nil, Invalid("its header names no signature algorithm", nil)
	}
	if t.Issuer == "" {
		return nil, Invalid("it names no issuer: send an access token of a configured issuer", nil)
	}
	return t, nil
}
