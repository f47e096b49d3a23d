package admin_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
	"github.com/sluice-gateway/sluice/secret"
	"github.com/sluice-gateway/sluice/services/admin"
)

// tokens stand for their own text, turned to capitals.
type tokens struct{ asked [][]string }

var _ admin.Tokens = (*tokens)(nil)

func (s *tokens) Reveal(_ context.Context, _ *access.Principal, model string, all []string) (out []secret.Revealed, _ error) {
	s.asked = append(s.asked, append([]string{model}, all...))
	for _, token := range all {
		out = append(out, secret.Revealed{Token: token, Entity: "EMAIL", Text: secret.NewBytes([]byte(strings.ToUpper(token)))})
	}
	return out, nil
}

// TestALookUpOfTokensIsRecorded: which tokens and why, and nothing of what they stand
// for.
func TestALookUpOfTokensIsRecorded(t *testing.T) {
	open(t, func(d *desk) {
		s := new(tokens)
		d.options.Tokens = s
		d.use(d.options)
		answer, call, err := d.try(root(), pb.SecretService_RevealTokens_FullMethodName, &pb.RevealTokensRequest{Tokens: []string{"a", "b"}, Model: "m", Reason: "a complaint"})
		if err != nil {
			t.Fatal(err)
		}
		got := answer.(*pb.RevealTokensResponse).GetTokens()
		if len(got) != 2 || got[0].GetId() != "a" || got[0].GetText() != "A" || got[1].GetText() != "B" || got[1].GetEntity() != "EMAIL" {
			t.Errorf("answer %v", got)
		}
		if call.Object != "a b" || call.Detail != "a complaint" {
			t.Errorf("recorded %q, %q", call.Object, call.Detail)
		}
		if len(s.asked) != 1 || !slices.Equal(s.asked[0], []string{"m", "a", "b"}) {
			t.Errorf("asked %q", s.asked)
		}
	})
}

func TestLookUpsThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		m     *pb.RevealTokensRequest
		words string
	}{
		"no token":              {&pb.RevealTokensRequest{Reason: "why"}, "from 1 to 100"},
		"too many tokens":       {&pb.RevealTokensRequest{Tokens: make([]string, secret.MaxReveal+1), Reason: "why"}, "from 1 to 100"},
		"an empty token":        {&pb.RevealTokensRequest{Tokens: []string{"a", ""}, Reason: "why"}, "tokens[1]"},
		"a token of any length": {&pb.RevealTokensRequest{Tokens: []string{strings.Repeat("x", 1025)}, Reason: "why"}, "tokens[0]"},
		"no reason":             {&pb.RevealTokensRequest{Tokens: []string{"a"}}, "reason is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			open(t, func(d *desk) {
				s := new(tokens)
				d.options.Tokens = s
				d.use(d.options)
				d.refused(root(), pb.SecretService_RevealTokens_FullMethodName, c.m, access.Malformed, c.words)
				if len(s.asked) != 0 {
					t.Errorf("asked %q", s.asked)
				}
			})
		})
	}
	t.Run("where no rule makes tokens", func(t *testing.T) {
		open(t, func(d *desk) {
			d.refused(root(), pb.SecretService_RevealTokens_FullMethodName, &pb.RevealTokensRequest{Tokens: []string{"a"}, Reason: "why"}, access.Unimplemented, "no masking rule")
		})
	})
}
