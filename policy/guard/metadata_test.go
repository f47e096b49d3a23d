package guard_test

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/policy/guard"
)

// TestAnApprovalIsForTheMetadataThatItsGuardNames, whether it is there or not; ids of a
// request and what it is sent with are of no approval, and credentials are shown nobody.
func TestAnApprovalIsForTheMetadataThatItsGuardNames(t *testing.T) {
	sent := map[string][]string{
		"x-team": {"ml", "ops"}, "x-mode": {"fast"},
		"authorization": {"Bearer secret"}, "cookie": {"secret"}, "traceparent": {"00-1"}, "x-request-id": {"1"}, "user-agent": {"python"},
		"sluice-reason": {"why"}, "grpc-timeout": {"1S"}, "x-forwarded-for": {"1.2.3.4"}, "x-b3-traceid": {"1"}, ":authority": {"host"},
	}
	for name, c := range map[string]struct {
		when string
		want map[string][]string
	}{
		"none":                {`verb == 'infer'`, nil},
		"one":                 {`'x-team' in metadata`, map[string][]string{"x-team": {"ml", "ops"}}},
		"one that is missing": {`!('x-none' in metadata)`, map[string][]string{"x-none": nil}},
		"two":                 {`'x-team' in metadata && ('x-mode' in metadata || 'x-team' in metadata)`, map[string][]string{"x-team": {"ml", "ops"}, "x-mode": {"fast"}}},
		"all that there are":  {`metadata.exists(k, k.startsWith('x-'))`, map[string][]string{"x-team": {"ml", "ops"}, "x-mode": {"fast"}}},
		"one and all":         {`'x-none' in metadata || size(metadata) > 3`, map[string][]string{"x-team": {"ml", "ops"}, "x-mode": {"fast"}, "x-none": nil}},
		"by another's name":   {`model + 'x' in metadata || true`, map[string][]string{"x-team": {"ml", "ops"}, "x-mode": {"fast"}}},
		"in another list":     {`'x-team' in ['x-team']`, nil},
		"its token":           {`'authorization' in metadata`, nil},
		"its trace":           {`'traceparent' in metadata && 'x-request-id' in metadata`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := compile(t, fmt.Sprintf("guards: [{name: g, verbs: [infer], when: %q, approve: {by: [x]}}]", c.when))
			v := decide(p, access.Infer, func(r *guard.Request) { r.Metadata = sent })
			if len(v.Needs) != 1 || !reflect.DeepEqual(v.Needs[0].Metadata, c.want) {
				t.Fatalf("got %+v, want %v", v.Needs, c.want)
			}
		})
	}
}
