package interceptors_test

import (
	"context"
	"slices"
	"testing"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/interceptors"
)

// TestRefuse: what a door has refused is opened, counted and recorded, and nothing else
// of the chain hears of it.
func TestRefuse(t *testing.T) {
	var passed []string
	c, err := interceptors.New(tracing(order, &passed)...)
	if err != nil {
		t.Fatal(err)
	}
	call := new(access.Call)
	c.Refuse(access.WithCall(context.Background(), call), "/_unknown/_unknown", func(call *access.Call) { call.Model = "m" }, interceptors.ErrInternal)
	if want := []string{"recovery", "telemetry", "record"}; !slices.Equal(passed, want) || call.Model != "m" {
		t.Errorf("it passed %v, and is of model %q", passed, call.Model)
	}
}
