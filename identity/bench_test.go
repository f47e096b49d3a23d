package identity_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/identity"
	"github.com/sluice-gateway/sluice/identity/identitytest"
)

// sized is a token of about size bytes.
func sized(size int) string {
	claims := fmt.Appendf(nil, `{"iss":%q,"sub":"alice","pad":%q}`, url, strings.Repeat("x", max(0, size*3/4-110)))
	return identitytest.MAC(nil, []byte(`{"alg":"ES256"}`), claims)
}

func TestAKnownTokenCostsNoAllocation(t *testing.T) {
	set, values := setOf(t, 0, one(new(double))), []string{"Bearer " + sized(1000)}
	show := func() {
		raw, err := identity.Bearer(values)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := set.Authenticate(t.Context(), raw); err != nil {
			t.Fatal(err)
		}
	}
	show()
	if n := testing.AllocsPerRun(1000, show); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkKnownToken(b *testing.B) {
	for _, size := range []int{500, 1000, 2000} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			set, values := setOf(b, 0, one(new(double))), []string{"Bearer " + sized(size)}
			b.ReportAllocs()
			for b.Loop() {
				raw, _ := identity.Bearer(values)
				if _, err := set.Authenticate(b.Context(), raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkKnownTokens(b *testing.B) {
	set := setOf(b, 0, one(new(double)))
	tokens := make([]string, 4096)
	for n := range tokens {
		tokens[n] = identitytest.MAC(nil, []byte(`{"alg":"ES256"}`), fmt.Appendf(nil, `{"iss":%q,"sub":"%d","pad":%q}`, url, n, strings.Repeat("x", 300)))
		if _, err := set.Authenticate(b.Context(), tokens[n]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for n := 0; pb.Next(); n++ {
			if _, err := set.Authenticate(b.Context(), tokens[n%len(tokens)]); err != nil {
				b.Fatal(err)
			}
		}
	})
}
