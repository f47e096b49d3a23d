package backends_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/gen/inference"
)

// configured counts the questions to a backend whose models are decoupled if
// their name begins with "d", and not there if it begins with "x".
func configured() (*backend, *int) {
	var asked int
	return &backend{name: "b", InvokeFunc: func(_ context.Context, _ string, req, resp any) error {
		asked++
		name := req.(*inference.ModelConfigRequest).GetName()
		if strings.HasPrefix(name, "x") {
			return errors.New("no such model")
		}
		proto.Merge(resp.(proto.Message), &inference.ModelConfigResponse{Config: &inference.ModelConfig{
			ModelTransactionPolicy: &inference.ModelTransactionPolicy{Decoupled: strings.HasPrefix(name, "d")},
		}})
		return nil
	}}, &asked
}

func TestWhatIsKnownOfAModelIsBelievedForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, asked := configured()
		m := backends.NewModels(b)
		for _, step := range []struct {
			name string
			do   func()
			want int
		}{
			{"the first question", func() {}, 1},
			{"again", func() {}, 1},
			{"a while later", func() { time.Sleep(29 * time.Second) }, 1},
			{"too late", func() { time.Sleep(2 * time.Second) }, 2},
			{"after a load or unload", func() { m.Forget("d") }, 3},
			{"after another model's", func() { m.Forget("e") }, 3},
		} {
			step.do()
			if !m.Decoupled(t.Context(), "d", "") || *asked != step.want {
				t.Errorf("%s: asked %d times, want %d", step.name, *asked, step.want)
			}
		}
	})
}

func TestAModelThatIsNotThereIsNotDecoupledAndNotRemembered(t *testing.T) {
	b, asked := configured()
	m := backends.NewModels(b)
	first := m.Decoupled(t.Context(), "x", "")
	second := m.Decoupled(t.Context(), "x", "")
	if first || second || *asked != 2 {
		t.Errorf("asked %d times, want each time", *asked)
	}
}

func TestVersionsAreKnownApart(t *testing.T) {
	b, asked := configured()
	m := backends.NewModels(b)
	m.Decoupled(t.Context(), "d", "1")
	m.Decoupled(t.Context(), "d", "2")
	if *asked != 2 {
		t.Errorf("asked %d times, want once a version", *asked)
	}
}

func TestWhatCallersNameDoesNotFillMemory(t *testing.T) {
	b, asked := configured()
	m := backends.NewModels(b)
	for i := range 10_000 {
		m.Decoupled(t.Context(), fmt.Sprint("d", i), "")
	}
	m.Decoupled(t.Context(), "d0", "")
	if *asked != 10_001 {
		t.Errorf("asked %d times: the first of 10,000 names is still remembered", *asked)
	}
}

func TestLongVersionsAreNotRemembered(t *testing.T) {
	b, asked := configured()
	m := backends.NewModels(b)
	long := "1" + strings.Repeat("x", 1<<20) // which Triton reads as 1
	first := m.Decoupled(t.Context(), "d", long)
	second := m.Decoupled(t.Context(), "d", long)
	if !first || !second || *asked != 2 {
		t.Errorf("asked %d times, want each time", *asked)
	}
}
