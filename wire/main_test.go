package wire_test

import (
	"flag"
	"os"
	"testing"

	"google.golang.org/grpc/experimental"

	"github.com/sluice-gateway/sluice/wire"
	"github.com/sluice-gateway/sluice/wire/wiretest"
)

// pool is gRPC's default pool in all tests but benchmarks and fuzzing, where
// its bookkeeping would be what is measured.
var pool = wiretest.NewPool()

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() == "" && flag.Lookup("test.fuzz").Value.String() == "" {
		experimental.SetDefaultBufferPool(pool)
	}
	wire.RegisterCompressors()
	os.Exit(m.Run())
}

// checkBuffers fails a test that leaves a buffer behind, or frees a message or
// a buffer twice. Tests that use it do not run in parallel.
func checkBuffers(t *testing.T) {
	t.Helper()
	before := wire.FreedAgain()
	t.Cleanup(func() {
		pool.Check(t)
		if n := wire.FreedAgain() - before; n != 0 {
			t.Errorf("%d messages were freed twice", n)
		}
	})
}
