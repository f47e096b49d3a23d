package pool_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends/pool"
	"github.com/sluice-gateway/sluice/gen/inference"
)

// limited makes a pool of one server that answers when the test lets it, with
// room for inside calls, each of one caller, and for waiting more.
func limited(t *testing.T, inside, each, waiting int) (*pool.Pool, *server, chan struct{}) {
	t.Helper()
	a := newServer(t, "a:1", nil)
	hold := make(chan struct{})
	a.hold.Store(&hold)
	p := newPool(t, func(o *pool.Options) {
		o.Config.Limits.Concurrency, o.Config.Limits.PerPrincipal, o.Config.Limits.Queue = inside, each, waiting
	}, a)
	return p, a, hold
}

func TestTheQueueHasAnEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p, a, hold := limited(t, 2, 1, 4)
		var calls sync.WaitGroup
		for i := range 6 {
			calls.Go(func() {
				if _, err := infer(as(t.Context(), fmt.Sprint(i)), p); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if s := p.Status(); s.Inside != 2 || s.Waiting != 4 || a.infers.Load() != 2 {
			t.Errorf("status %+v, %d at the server", s, a.infers.Load())
		}
		_, err := infer(as(t.Context(), "late"), p)
		e, ok := access.AsError(err)
		if !ok || e.Kind != access.Exhausted || e.Reason != access.ReasonBackendBusy || e.RetryAfter <= 0 {
			t.Errorf("got %v", err)
		}
		close(hold)
		calls.Wait()
		if s := p.Status(); s.Inside != 0 || s.Waiting != 0 || s.Refused != 1 || a.infers.Load() != 6 {
			t.Errorf("at the end %+v", s)
		}
	})
}

// TestOneCallerDelaysNobodyElse fills one caller's part of the queue; another's
// call is next all the same.
func TestOneCallerDelaysNobodyElse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p, _, hold := limited(t, 1, 1, 20)
		var mu sync.Mutex
		var order []string
		var calls sync.WaitGroup
		send := func(who string) {
			calls.Go(func() {
				if _, err := infer(as(t.Context(), who), p); err != nil {
					t.Error(who, err)
				}
				mu.Lock()
				defer mu.Unlock()
				order = append(order, who)
			})
			synctest.Wait()
		}
		for range 11 {
			send("mallory")
		}
		if _, err := infer(as(t.Context(), "mallory"), p); reasonOf(t, err) != access.ReasonBackendBusy {
			t.Errorf("the eleventh that would wait: %v", err)
		}
		send("alice")
		send("bob")
		close(hold)
		calls.Wait()
		if order[0] != "mallory" || order[1] != "mallory" || order[2] != "alice" || order[3] != "bob" {
			t.Errorf("order %v", order)
		}
	})
}

// TestNobodyHasAllPlaces: streams that are open and idle are places taken.
func TestNobodyHasAllPlaces(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p, a, hold := limited(t, 4, 0, 4)
		var calls sync.WaitGroup
		for range 4 {
			calls.Go(func() { _, _ = infer(as(t.Context(), "mallory"), p) })
		}
		synctest.Wait()
		if s := p.Status(); s.Inside != 2 || s.Waiting != 2 {
			t.Errorf("status %+v", s)
		}
		calls.Go(func() { _, _ = infer(as(t.Context(), "alice"), p) })
		synctest.Wait()
		if a.infers.Load() != 3 {
			t.Error("alice has to wait while places are free")
		}
		close(hold)
		calls.Wait()
		if s := p.Status(); s.Inside != 0 || s.Waiting != 0 || a.infers.Load() != 5 {
			t.Errorf("at the end %+v", s)
		}
	})
}

func TestAWaitEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p, a, hold := limited(t, 1, 1, 4)
		var calls sync.WaitGroup
		calls.Go(func() { _, _ = infer(t.Context(), p) })
		synctest.Wait()
		start := time.Now()
		if _, err := infer(t.Context(), p); reasonOf(t, err) != access.ReasonBackendBusy || time.Since(start) != 10*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := infer(ctx, p); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if s := p.Status(); s.Waiting != 0 || s.Inside != 1 {
			t.Errorf("status %+v", s)
		}
		close(hold)
		calls.Wait()
		if _, err := infer(t.Context(), p); err != nil || a.infers.Load() != 2 {
			t.Errorf("then: %v, %d at the server", err, a.infers.Load())
		}
	})
}

// TestAStreamIsOneCall takes its place from when it is opened until it ends.
func TestAStreamIsOneCall(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p, _, hold := limited(t, 1, 1, 1)
		close(hold)
		s := openStream(t, p, &inference.ModelInferRequest{ModelName: "m"})
		if got := p.Status(); got.Inside != 1 {
			t.Errorf("status %+v", got)
		}
		done := make(chan error)
		go func() {
			_, err := infer(t.Context(), p)
			done <- err
		}()
		synctest.Wait()
		if got := p.Status(); got.Waiting != 1 {
			t.Errorf("status %+v", got)
		}
		s.cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if got := p.Status(); got.Inside != 0 {
			t.Errorf("status %+v", got)
		}
	})
}
