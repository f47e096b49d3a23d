package identity_test

import (
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/identity"
)

func TestBearer(t *testing.T) {
	long := strings.Repeat("a", identity.MaxToken)
	for name, c := range map[string]struct {
		values []string
		token  string
		reason string
		text   string
	}{
		"none":                     {nil, "", access.ReasonTokenMissing, "authorization: Bearer TOKEN"},
		"empty":                    {[]string{""}, "", access.ReasonTokenMissing, "no token"},
		"good":                     {[]string{"Bearer abc"}, "abc", "", ""},
		"lower case":               {[]string{"bearer abc"}, "abc", "", ""},
		"upper case":               {[]string{"BEARER abc"}, "abc", "", ""},
		"scheme alone":             {[]string{"Bearer"}, "", access.ReasonTokenMissing, "no token"},
		"scheme and space":         {[]string{"Bearer "}, "", access.ReasonTokenMissing, "no token"},
		"no scheme":                {[]string{"abc"}, "", access.ReasonTokenInvalid, "Bearer TOKEN"},
		"no scheme, long":          {[]string{"abc.def.ghi"}, "", access.ReasonTokenInvalid, "Bearer TOKEN"},
		"another scheme":           {[]string{"Basic YWxpY2U6"}, "", access.ReasonTokenInvalid, "Bearer TOKEN"},
		"another scheme, longer":   {[]string{"Bearerx abc"}, "", access.ReasonTokenInvalid, "Bearer TOKEN"},
		"a tab":                    {[]string{"Bearer\tabc"}, "", access.ReasonTokenInvalid, "Bearer TOKEN"},
		"twice":                    {[]string{"Bearer a", "Bearer b"}, "", access.ReasonTokenInvalid, "exactly one"},
		"twice the same":           {[]string{"Bearer a", "Bearer a"}, "", access.ReasonTokenInvalid, "exactly one"},
		"twice, one of them empty": {[]string{"", "Bearer a"}, "", access.ReasonTokenInvalid, "exactly one"},
		"as long as can be":        {[]string{"Bearer " + long}, long, "", ""},
		"too long":                 {[]string{"Bearer a" + long}, "", access.ReasonTokenInvalid, "16 KiB"},
		"a megabyte":               {[]string{"Bearer " + strings.Repeat("a", 1<<20)}, "", access.ReasonTokenInvalid, "16 KiB"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := identity.Bearer(c.values)
			if c.reason == "" {
				if err != nil || got != c.token {
					t.Fatalf("got %.20q, %v", got, err)
				}
				return
			}
			if e := mustRefuse(t, err, c.reason); !strings.Contains(e.Message, c.text) || e.Kind != access.Unauthenticated {
				t.Errorf("got %q of kind %d", e.Message, e.Kind)
			}
		})
	}
}
