package backendstest

import (
	"os"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc/experimental"

	"github.com/sluice-gateway/sluice/wire"
	"github.com/sluice-gateway/sluice/wire/wiretest"
)

// Main is the TestMain of a backend's tests: it fails them for goroutines that
// are left over, buffers that came back twice or were written to after, and
// messages that were freed again.
func Main(m *testing.M) {
	pool := wiretest.NewPool()
	experimental.SetDefaultBufferPool(pool)
	code := m.Run()
	for _, fault := range pool.Misuse() {
		code = fail(fault)
	}
	if wire.FreedAgain() > 0 {
		code = fail("a message was freed again")
	}
	if err := goleak.Find(); err != nil && code == 0 {
		code = fail(err.Error())
	}
	os.Exit(code)
}

func fail(text string) int {
	_, _ = os.Stderr.WriteString("backendstest: " + text + "\n")
	return 1
}
