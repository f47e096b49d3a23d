package wire_test

import (
	"runtime"
	"testing"
	"time"

	"google.golang.org/grpc/mem"

	"github.com/sluice-gateway/sluice/wire"
)

// sent is a charged message that was given to gRPC and freed by its owner.
func sent(t *testing.T, a *wire.Account, size int) mem.BufferSlice {
	t.Helper()
	m := wire.FromBytes(make([]byte, size))
	defer m.Free()
	if err := m.Charge(a); err != nil {
		t.Fatal(err)
	}
	bufs, err := (wire.Codec{}).Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if bufs.Len() != size {
		t.Errorf("%d bytes are sent of %d", bufs.Len(), size)
	}
	return bufs
}

// TestSentMessagesStayCharged until gRPC has written them, unless they are so
// small that their number bounds them.
func TestSentMessagesStayCharged(t *testing.T) {
	b := wire.NewBudget(wire.BudgetConfig{})
	a := b.Account("alice")
	defer a.Close()
	for size, held := range map[int]int64{0: 0, 100: 0, 16<<10 - 1: 0, 16 << 10: 16 << 10, 1 << 20: 1 << 20} {
		bufs := sent(t, a, size)
		bufs.Ref()
		bufs.Free()
		if got := a.Held(); got != held {
			t.Errorf("%d bytes: %d are held while they are written, want %d", size, got, held)
		}
		r := bufs.Reader()
		bufs.Free()
		if _, err := r.Discard(size); err != nil || r.Close() != nil {
			t.Fatal(err)
		}
		if got := a.Held(); got != 0 {
			t.Errorf("%d bytes: %d are held after", size, got)
		}
	}
}

// TestSentMessagesThatNobodyWrites: grpc-go drops what was queued on a
// connection that broke.
func TestSentMessagesThatNobodyWrites(t *testing.T) {
	b := wire.NewBudget(wire.BudgetConfig{})
	a := b.Account("alice")
	defer a.Close()
	_ = sent(t, a, 1<<20)
	for deadline := time.Now().Add(10 * time.Second); a.Held() != 0; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes are still held", a.Held())
		}
	}
}
