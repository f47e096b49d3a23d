package wire_test

import (
	"bytes"
	"testing"

	"google.golang.org/grpc/mem"

	"github.com/sluice-gateway/sluice/wire"
	"github.com/sluice-gateway/sluice/wire/wiretest"
)

// TestAHandedOverMessageIsGRPCsToFree, once, and leaves nothing behind with its
// owner, who frees it all the same.
func TestAHandedOverMessageIsGRPCsToFree(t *testing.T) {
	pool := wiretest.NewPool()
	for _, size := range []int{0, 100, 4 << 10, 1 << 20} {
		a := wire.NewBudget(wire.BudgetConfig{}).Account("alice")
		want := bytes.Repeat([]byte("x"), size)
		m := wire.New(mem.BufferSlice{mem.Copy(want, pool)})
		if err := m.Charge(a); err != nil {
			t.Fatal(err)
		}
		again := wire.FreedAgain()
		bufs, err := (wire.Codec{}).Marshal(wire.HandOver{Message: m})
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Buffers()) != 0 || !bytes.Equal(bufs.Materialize(), want) {
			t.Errorf("%d bytes: the owner has %d buffers left, gRPC has %d bytes", size, len(m.Buffers()), bufs.Len())
		}
		m.Free()
		bufs.Free()
		if a.Held() != 0 || wire.FreedAgain() != again {
			t.Errorf("%d bytes: %d are charged after, freed again %d times", size, a.Held(), wire.FreedAgain()-again)
		}
		a.Close()
	}
	pool.Check(t)
}

func TestAFreedMessageIsNotHandedOver(t *testing.T) {
	m := wire.FromBytes([]byte("x"))
	m.Free()
	if _, err := (wire.Codec{}).Marshal(wire.HandOver{Message: m}); err == nil {
		t.Error("a freed message is sent")
	}
}
