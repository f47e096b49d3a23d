package payload_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/audit/payload"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// BenchmarkToken is what a token of a recorded stream costs on the call's path;
// the goal is 2 µs.
func BenchmarkToken(b *testing.B) {
	k, _ := keeper(b, nil)
	raw, err := proto.Marshal(&pb.ModelStreamInferResponse{InferResponse: response(" token")})
	if err != nil {
		b.Fatal(err)
	}
	m := wire.FromBytes(raw)
	const tokens = 500 // of one request
	b.ReportAllocs()
	var c *payload.Capture
	for i := range b.N {
		if i%tokens == 0 {
			if c != nil {
				b.StopTimer()
				c.Drop()
				b.StartTimer()
			}
			c = k.Begin("m", infer, "", opened)
		}
		c.Stream(m, opened)
	}
	c.Drop()
}

// BenchmarkNotCaptured is what a token of any other stream costs.
func BenchmarkNotCaptured(b *testing.B) {
	m := wire.FromBytes(nil)
	var c *payload.Capture
	b.ReportAllocs()
	for range b.N {
		c.Stream(m, opened)
	}
}

// BenchmarkWork is what the workers do for a request of 500 tokens, for each token.
func BenchmarkWork(b *testing.B) {
	k, _ := keeper(b, nil)
	said := []*wire.Message{chunk(b, " token"), chunk(b, " after"), chunk(b, " another")}
	const tokens = 500
	for i := 0; i < b.N; i += tokens {
		c := k.Begin("m", infer, "", opened)
		for n := range tokens {
			c.Stream(said[n%len(said)], opened)
		}
		if s := c.Seal(b.Context(), true); s.Payload == nil {
			b.Fatal(s.Lost)
		}
	}
}
