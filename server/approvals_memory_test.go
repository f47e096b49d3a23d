package server_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/gen/inference"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

// TestAHeldCallCostsLittleBesideItsMessage counts a held call's whole way, the
// client's half of it in the same process included.
func TestAHeldCallCostsLittleBesideItsMessage(t *testing.T) {
	const calls = 500
	f := &floor{gateway: start(t, setup{policy: rolesOfApprovals, extra: fmt.Sprintf("store: { sqlite: %q }\napprovals: { held_per_principal: %d }\n", t.TempDir()+"/sluice.db", calls)})}
	f.connect()
	held := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	ctx, cancel := context.WithCancel(f.as("alice"))
	defer cancel()
	before, done := held(), make(chan error, calls)
	for range calls {
		go func() {
			_, err := f.RepositoryModelUnload(ctx, &inference.RepositoryModelUnloadRequest{ModelName: "prod-simple"})
			done <- err
		}()
	}
	id := f.pending().GetId()
	for n := int32(0); n < calls; runtime.Gosched() {
		got, err := f.approvals.GetApproval(f.as("carol"), &pb.GetApprovalRequest{Id: id})
		if err != nil && status.Code(err) != codes.Unavailable { // a busy machine keeps the store from answering
			t.Fatal(err)
		}
		n = got.GetApproval().GetHeldCalls()
		if len(done) > 0 {
			t.Fatalf("a call is held no more: %v", <-done)
		}
	}
	each := int64(held()-before) / calls
	t.Logf("a held call costs %d bytes, its client included", each)
	if each > 64<<10 {
		t.Errorf("a held call costs %d bytes, more than 64 KiB", each)
	}
	if _, err := f.approvals.Deny(f.as("carol"), &pb.DenyRequest{Id: id, Reason: "no"}); err != nil {
		t.Fatal(err)
	}
	for range calls {
		<-done
	}
}
