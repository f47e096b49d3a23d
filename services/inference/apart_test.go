package inference

import (
	"context"
	"testing"

	"github.com/sluice-gateway/sluice/access"
)

// TestQuestionsAtOnceHaveCallsOfTheirOwn: each goes on as who asks, and what is
// noted of one is not written to the caller's.
func TestQuestionsAtOnceHaveCallsOfTheirOwn(t *testing.T) {
	who := &access.Principal{Subject: "bob"}
	c := &access.Call{ID: "1", Principal: who, Metadata: map[string][]string{"x": {"y"}}}
	own := access.CallFrom(apart(access.WithCall(t.Context(), c)))
	if own == c || own.Principal != who || own.ID != "1" || own.Metadata["x"][0] != "y" {
		t.Errorf("got %+v", own)
	}
	if own.Replica = "a:1"; c.Replica != "" {
		t.Error("the caller's call was written to")
	}
	if ctx := context.Background(); apart(ctx) != ctx {
		t.Error("without a call there is none to set apart")
	}
}
