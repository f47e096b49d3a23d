package identity_test

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/identity"
)

// compact joins a header and payload with a signature that fits nothing.
func compact(header, payload string) string {
	b := base64.RawURLEncoding.EncodeToString
	return b([]byte(header)) + "." + b([]byte(payload)) + ".c2lnbmF0dXJl"
}

func TestParse(t *testing.T) {
	got, err := identity.Parse(compact(
		`{"alg":"ES256","kid":"k","typ":"JWT"}`, ` {"iss":"i","sub":"s","n":12345678901234567890} `))
	if err != nil {
		t.Fatal(err)
	}
	if got.Algorithm != "ES256" || got.KeyID != "k" || got.Type != "JWT" || got.Issuer != "i" || got.Subject != "s" {
		t.Errorf("got %+v", got)
	}
}

// The corpus in identitytest holds the hostile ones.
func TestParseRefuses(t *testing.T) {
	const head, body = `{"alg":"ES256"}`, `{"iss":"i"}`
	for name, raw := range map[string]string{
		"empty":            "",
		"no header":        "." + compact(head, body),
		"no payload":       strings.Replace(compact(head, body), ".", "..", 1),
		"header null":      compact(`null`, body),
		"payload null":     compact(head, `null`),
		"payload text":     compact(head, `"x"`),
		"payload nothing":  compact(head, ` `),
		"byte order mark":  compact(head, "\ufeff"+body),
		"a comma too many": compact(head, `{"iss":"i",}`),
		"a comment":        compact(head, `{"iss":"i"/**/}`),
		"depth 17":         compact(head, `{"iss":"i","x":`+strings.Repeat("[", 16)+strings.Repeat("]", 16)+`}`),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := identity.Parse(raw)
			mustRefuse(t, err, access.ReasonTokenInvalid)
		})
	}
	if _, err := identity.Parse(compact(head, `{"iss":"i","x":"[[[[[[[[[[[[[[[[[[\"","y":`+strings.Repeat("[", 15)+strings.Repeat("]", 15)+`}`)); err != nil {
		t.Errorf("depth 16, and brackets in a text: %v", err)
	}
}

// FuzzParse holds Parse to what encoding/json sees: where a token is taken, both
// read the same issuer and subject, and nothing is there twice.
func FuzzParse(f *testing.F) {
	f.Add(`{"alg":"ES256"}`, `{"iss":"i","sub":"s"}`)
	f.Add(`{"alg":"ES256","kid":"\u0041"}`, `{"iss":"i","iss":"j"}`)
	f.Add(`{"alg":"none"}`, `{"iss":"\ud800","x":[{"a":[1e9]}]}`)
	f.Add("\xff", `{"iss":"i"} x`)
	f.Fuzz(func(t *testing.T, header, payload string) {
		token, err := identity.Parse(compact(header, payload))
		if err != nil {
			if e := mustRefuse(t, err, access.ReasonTokenInvalid); len(e.Message) > 200 {
				t.Errorf("a message of %d bytes: %s", len(e.Message), e.Message)
			}
			return
		}
		var plain map[string]any
		if err := json.Unmarshal([]byte(payload), &plain); err != nil {
			t.Fatalf("taken, but encoding/json says %v", err)
		}
		subject, _ := plain["sub"].(string)
		if plain["iss"] != token.Issuer || subject != token.Subject || len(plain) != len(token.Claims) {
			t.Errorf("read %q and %q of %s", token.Issuer, token.Subject, payload)
		}
	})
}

func claimsOf(t *testing.T, payload string) identity.Claims {
	t.Helper()
	token, err := identity.Parse(compact(`{"alg":"ES256"}`, `{"iss":"i",`+payload+`}`))
	if err != nil {
		t.Fatal(err)
	}
	return token.Claims
}

func TestDate(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want time.Time
		bad  bool
	}{
		"absent":       {`"y":1`, time.Time{}, false},
		"null":         {`"x":null`, time.Time{}, false},
		"whole":        {`"x":946684800`, time.Unix(946684800, 0), false},
		"fraction":     {`"x":946684800.5`, time.Unix(946684800, 5e8), false},
		"exponent":     {`"x":9.466848e8`, time.Unix(946684800, 0), false},
		"year 9999":    {`"x":253402300799`, time.Unix(253402300799, 0), false},
		"year 10000":   {`"x":253402300800`, time.Time{}, true},
		"negative":     {`"x":-1`, time.Time{}, true},
		"too large":    {`"x":1e999`, time.Time{}, true},
		"text":         {`"x":"946684800"`, time.Time{}, true},
		"true":         {`"x":true`, time.Time{}, true},
		"list":         {`"x":[946684800]`, time.Time{}, true},
		"another case": {`"X":946684800`, time.Time{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := claimsOf(t, c.text).Date("x")
			if (err != nil) != c.bad || !got.Equal(c.want) {
				t.Errorf("got %s, %v", got, err)
			}
		})
	}
}

func TestTexts(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		path []string
		want []string
		bad  bool
	}{
		"absent":                 {`"y":1`, []string{"x"}, nil, false},
		"null":                   {`"x":null`, []string{"x"}, nil, false},
		"text":                   {`"x":"a b"`, []string{"x"}, []string{"a b"}, false},
		"list":                   {`"x":["b","a"]`, []string{"x"}, []string{"b", "a"}, false},
		"empty list":             {`"x":[]`, []string{"x"}, []string{}, false},
		"nested":                 {`"realm_access":{"roles":["a"]}`, []string{"realm_access", "roles"}, []string{"a"}, false},
		"a name with dots":       {`"a.b":{"c.d":"e"}`, []string{"a.b", "c.d"}, []string{"e"}, false},
		"path into text":         {`"x":"a"`, []string{"x", "y"}, nil, false},
		"path into a list":       {`"x":[{"y":"a"}]`, []string{"x", "y"}, nil, false},
		"path ends at an object": {`"x":{"y":"a"}`, []string{"x"}, nil, true},
		"number":                 {`"x":1`, []string{"x"}, nil, true},
		"list with a number":     {`"x":["a",1]`, []string{"x"}, nil, true},
		"list with null":         {`"x":["a",null]`, []string{"x"}, nil, true},
		"list in a list":         {`"x":[["a"]]`, []string{"x"}, nil, true},
		"control character":      {`"x":"a\u0007"`, []string{"x"}, nil, true},
		"half a surrogate":       {`"x":["\udc00"]`, []string{"x"}, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := claimsOf(t, c.text).Texts(c.path...)
			if (err != nil) != c.bad || !slices.Equal(got, c.want) {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}
