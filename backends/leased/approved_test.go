package leased_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/gen/inference"
)

// TestApprovedCallsAlone open what is leased for them, and it is closed with the last.
func TestApprovedCallsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, backends.CredentialConfig{Stored: "gpu", Lease: backends.LeaseApproved}, answers)
		if !s.Traits().Apart {
			t.Error("messages of a stream share a lease")
		}
		client := inference.NewGRPCInferenceServiceClient(s)
		for name, change := range map[string]func(*access.Call){
			"nobody's approval": nil,
			"a request alone":   func(c *access.Call) { c.Approval = &access.Approval{Request: "r"} },
		} {
			if _, err := client.ModelInfer(as(t.Context(), change), &inference.ModelInferRequest{}); reason(err) != access.ReasonNeedsApproval || s.made != 0 {
				t.Errorf("%s: %v, %d connections", name, err, s.made)
			}
		}
		granted := as(t.Context(), func(c *access.Call) { c.Approval = &access.Approval{Request: "r", Grant: "g"} })
		if _, err := client.ModelInfer(granted, &inference.ModelInferRequest{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := s.connections(); got != 0 {
			t.Errorf("%d connections are left", got)
		}
		if all := s.secrets.Leases(false); len(all) != 1 || all[0].Open {
			t.Errorf("leases are %+v", all)
		}
	})
}

// TestAStreamIsApprovedByTheMessageThatOpensIt, whatever its call says of others.
func TestAStreamIsApprovedByTheMessageThatOpensIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, backends.CredentialConfig{Stored: "gpu", Lease: backends.LeaseApproved}, backendstest.Script{"ServerMetadata": answers["ServerMetadata"], "ModelStreamInfer": {backendstest.Hang()}})
		client := inference.NewGRPCInferenceServiceClient(s)
		ctx, cancel := context.WithCancel(as(t.Context(), func(c *access.Call) { c.Stream, c.Approval = true, &access.Approval{Grant: "of another"} }))
		defer cancel()
		if _, err := client.ModelStreamInfer(ctx); reason(err) != access.ReasonNeedsApproval {
			t.Errorf("a message that nobody has approved: %v", err)
		}
		if _, err := client.ModelStreamInfer(access.WithApproved(ctx, &access.Approval{Grant: "g"})); err != nil {
			t.Errorf("one that somebody has: %v", err)
		}
		cancel()
		synctest.Wait()
		if all := s.secrets.Leases(false); len(all) != 1 || all[0].Open {
			t.Errorf("leases are %+v", all)
		}
	})
}

// TestAStreamThatNobodyReads gives its lease back with its context.
func TestAStreamThatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, backends.CredentialConfig{Stored: "gpu"}, backendstest.Script{"ServerMetadata": answers["ServerMetadata"], "ModelStreamInfer": {backendstest.Hang()}})
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := inference.NewGRPCInferenceServiceClient(s).ModelStreamInfer(as(ctx, nil)); err != nil {
			t.Fatal(err)
		}
		if got := s.secrets.Leases(true)[0]; got.Count != 1 || got.Leases[0].Who != "i#bob" || got.Leases[0].Session != "s" {
			t.Errorf("leases are %+v", got)
		}
		cancel()
		synctest.Wait()
		if got := s.secrets.Leases(true)[0]; got.Count != 0 {
			t.Errorf("leases are %+v", got)
		}
	})
}

// TestALeaseEndsWithItsStream, however long the call lasts that has opened it.
func TestALeaseEndsWithItsStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := play(t, backends.CredentialConfig{Stored: "gpu", Lease: backends.LeaseApproved}, backendstest.Script{"ServerMetadata": answers["ServerMetadata"], "ModelStreamInfer": {}})
		ctx := as(t.Context(), func(c *access.Call) { c.Stream = true })
		for _, grant := range []string{"one", "two"} {
			stream, err := inference.NewGRPCInferenceServiceClient(s).ModelStreamInfer(access.WithApproved(ctx, &access.Approval{Grant: grant}))
			if err != nil {
				t.Fatal(err)
			}
			if got := s.secrets.Leases(false)[0]; got.Count != 1 || !got.Open {
				t.Errorf("leases of %s are %+v", grant, got)
			}
			if _, err := stream.Recv(); err == nil {
				t.Error("the server has answered")
			}
			synctest.Wait()
			if got := s.secrets.Leases(false)[0]; got.Count != 0 || got.Open {
				t.Errorf("after %s leases are %+v", grant, got)
			}
		}
	})
}
