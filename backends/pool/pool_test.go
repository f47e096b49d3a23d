package pool_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/backends/pool"
	"github.com/sluice-gateway/sluice/gen/inference"
)

func TestAKilledReplicaFailsNoRequest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b, c := newServer(t, "a:1", nil), newServer(t, "b:1", nil), newServer(t, "c:1", nil)
		p := newPool(t, nil, a, b, c)
		time.Sleep(time.Second)
		ctx, stop := context.WithCancel(t.Context())
		var failed atomic.Int64
		var load sync.WaitGroup
		for range 16 {
			load.Go(func() {
				for ctx.Err() == nil {
					if _, err := infer(t.Context(), p); err != nil {
						failed.Add(1)
						t.Errorf("failed: %v, cause %v", err, errors.Unwrap(err))
						return
					}
				}
			})
		}
		time.Sleep(3 * time.Second)
		b.kill()
		atDeath := b.infers.Load()
		time.Sleep(10*time.Second + 7*time.Millisecond)
		if b.infers.Load() != atDeath {
			t.Error("a dead replica got calls")
		}
		b.revive()
		time.Sleep(5 * time.Second)
		if got := b.infers.Load() - atDeath; got == 0 {
			t.Error("no traffic within 5 s of its return")
		}
		time.Sleep(20 * time.Second)
		stop()
		load.Wait()
		if share := float64(b.infers.Load()) / float64(a.infers.Load()); atDeath == 0 || share < 0.3 || share > 1.1 {
			t.Errorf("calls: a %d, b %d (%d before it died), c %d", a.infers.Load(), b.infers.Load(), atDeath, c.infers.Load())
		}
		if s := p.Status(); s.Repeated == 0 || s.Replicas[1].Health != "ready" || s.Replicas[0].Outstanding != 0 {
			t.Errorf("status %+v", s)
		}
	})
}

func TestARequestThatKillsItsServerDoesNotKillAll(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var servers []*server
		for _, address := range []string{"a:1", "b:1", "c:1", "d:1"} {
			servers = append(servers, newServer(t, address, backendstest.Script{"ModelInfer": {backendstest.Receive(), backendstest.Reset()}}))
		}
		p := newPool(t, nil, servers...)
		time.Sleep(time.Second)
		if _, err := infer(t.Context(), p); !backends.IsAway(err) {
			t.Errorf("got %v", err)
		}
		hit := 0
		for _, s := range servers {
			for _, call := range s.double.Calls() {
				if call.Method == "ModelInfer" {
					hit++
				}
			}
		}
		if hit != 2 {
			t.Errorf("%d servers got it, want 2", hit)
		}
	})
}

func TestWhatIsNotRepeated(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*pool.Options)
		call   func(ctx context.Context, p *pool.Pool) error
	}{
		"a sequence": {nil, func(ctx context.Context, p *pool.Pool) error {
			_, err := infer(as(ctx, "alice"), p, sequence(int64(7), true, false))
			return err
		}},
		"a request that is too large to keep": {func(o *pool.Options) { o.Config.Replicas.RepeatMemory = 1 << 10 }, func(ctx context.Context, p *pool.Pool) error {
			_, err := infer(ctx, p, func(r *inference.ModelInferRequest) { r.RawInputContents = [][]byte{make([]byte, 2<<10)} })
			return err
		}},
		"a load": {nil, func(ctx context.Context, p *pool.Pool) error {
			_, err := inference.NewGRPCInferenceServiceClient(p).RepositoryModelLoad(ctx, &inference.RepositoryModelLoadRequest{ModelName: "m"})
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var hit atomic.Int64
				dies := func(c *backendstest.Call) error {
					hit.Add(1)
					return backendstest.Reset()(c)
				}
				script := backendstest.Script{
					"ModelInfer": {backendstest.Receive(), dies}, "RepositoryModelLoad": {backendstest.Receive(), dies},
				}
				p := newPool(t, tt.change, newServer(t, "a:1", script), newServer(t, "b:1", script))
				time.Sleep(time.Second)
				if err := tt.call(t.Context(), p); err == nil {
					t.Error("it worked")
				}
				if want := int64(1); name == "a load" {
					want = 2 // one for each
					if hit.Load() != want {
						t.Errorf("%d loads, want %d", hit.Load(), want)
					}
				} else if hit.Load() != want {
					t.Errorf("sent %d times", hit.Load())
				}
			})
		})
	}
}

// TestAnAnswerThatGotNoFurtherThanItsHeadersIsRepeated: a server that is killed
// between headers and message has given nobody anything.
func TestAnAnswerThatGotNoFurtherThanItsHeadersIsRepeated(t *testing.T) {
	bubble(t, func(t *testing.T) {
		begins := backendstest.Script{"ModelInfer": {backendstest.Receive(), backendstest.Header("x", "y"), backendstest.Reset()}}
		p := newPool(t, nil, newServer(t, "a:1", begins), newServer(t, "b:1", nil))
		time.Sleep(time.Second)
		for range 20 {
			if _, err := infer(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestNothingIsRepeatedWithoutEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		unavailable := backendstest.Script{"ModelInfer": {backendstest.Receive(), backendstest.Fail(14, "Server is stopping")}}
		a, b := newServer(t, "a:1", unavailable), newServer(t, "b:1", unavailable)
		p := newPool(t, nil, a, b)
		time.Sleep(time.Second)
		const calls = 500
		for range calls {
			if _, err := infer(t.Context(), p); err == nil || !strings.Contains(err.Error(), "Server is stopping") {
				t.Fatalf("got %v, want the server's own words", err)
			}
		}
		// A hundred are saved up, and one in five is earned.
		if got := p.Status().Repeated; got < 190 || got > 201 {
			t.Errorf("%d repeats of %d calls", got, calls)
		}
	})
}

func TestAHangingReplicaIsLeftOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := newServer(t, "a:1", nil)
		b := newServer(t, "b:1", backendstest.Script{"ServerReady": {backendstest.Receive(), backendstest.Hang()}})
		p := newPool(t, nil, a, b)
		time.Sleep(4 * time.Second)
		for range 50 {
			if at, err := infer(t.Context(), p); err != nil || at != "a:1" {
				t.Fatalf("at %s: %v", at, err)
			}
		}
		if s := p.Status(); s.Replicas[1].Health != "away" || s.Replicas[0].Health != "ready" {
			t.Errorf("status %+v", s)
		}
	})
}

func TestASlowReplicaGetsLess(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := newServer(t, "a:1", nil), newServer(t, "b:1", nil)
		b.pause = 500 * time.Millisecond
		p := newPool(t, nil, a, b)
		time.Sleep(time.Second)
		var load sync.WaitGroup
		for range 8 {
			load.Go(func() {
				for range 50 {
					if _, err := infer(t.Context(), p); err != nil {
						t.Error(err)
					}
				}
			})
		}
		load.Wait()
		if a.infers.Load() < 5*b.infers.Load() {
			t.Errorf("%d at the fast one, %d at the slow one", a.infers.Load(), b.infers.Load())
		}
	})
}

func TestAReplicaThatLacksAModelGetsNoCallsForIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := newServer(t, "a:1", nil), newServer(t, "b:1", nil)
		b.missing.Store("m")
		p := newPool(t, nil, a, b)
		time.Sleep(time.Second)
		for range 20 { // the model becomes known as one that is in use
			_, _ = infer(t.Context(), p)
		}
		time.Sleep(2 * time.Second)
		before := b.infers.Load()
		for range 20 {
			if _, err := infer(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
		if b.infers.Load() != before {
			t.Error("calls went where the model is not ready")
		}
		// A server that is not ready as a whole still serves what it has ready.
		a.notReady.Store(true)
		time.Sleep(2 * time.Second)
		if at, err := infer(t.Context(), p); err != nil || at != "a:1" {
			t.Errorf("at %s: %v", at, err)
		}
	})
}

// TestAFlappingReplicaIsLeftOutLongerEachTime breaks the calls of a replica that
// calls itself ready.
func TestAFlappingReplicaIsLeftOutLongerEachTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var broken atomic.Int64
		a := newServer(t, "a:1", nil)
		b := newServer(t, "b:1", backendstest.Script{"ModelInfer": {backendstest.Receive(), backendstest.Do(func(*backendstest.Call) { broken.Add(1) }), backendstest.Reset()}})
		p := newPool(t, nil, a, b)
		time.Sleep(time.Second)
		call := func() {
			if _, err := infer(t.Context(), p); err != nil {
				t.Error(err)
			}
		}
		for start := time.Now(); time.Since(start) < 30*time.Second; {
			call()
		}
		first := broken.Load()
		for start := time.Now(); time.Since(start) < 30*time.Second; {
			call()
		}
		if second := broken.Load() - first; first == 0 || second >= first || second > 5 {
			t.Errorf("%d calls broke in the first half minute, %d in the next", first, second)
		}
	})
}

func TestAllReplicasAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := newServer(t, "a:1", nil), newServer(t, "b:1", nil)
		a.kill()
		b.kill()
		p := newPool(t, nil, a, b)
		time.Sleep(3 * time.Second)
		if _, err := infer(t.Context(), p); !backends.IsAway(err) || strings.Contains(err.Error(), "a:1") {
			t.Errorf("got %v", err)
		}
		a.revive()
		time.Sleep(5 * time.Second)
		if at, err := infer(t.Context(), p); err != nil || at != "a:1" {
			t.Errorf("at %s: %v", at, err)
		}
	})
}

func TestOnePlainAddressIsAskedNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := newServer(t, "127.0.0.1:1", nil)
		p := newPool(t, nil, a)
		if at, err := infer(t.Context(), p); err != nil || at != a.address {
			t.Fatalf("at %s: %v", at, err)
		}
		time.Sleep(time.Minute)
		if n := len(a.double.Calls()); n != 1 {
			t.Errorf("%d calls, want 1", n)
		}
		member, refused := p.Member(t.Context(), viewOf(t, &inference.ModelInferRequest{ModelName: "m"}))
		again, _ := p.Member(t.Context(), viewOf(t, &inference.ModelInferRequest{ModelName: "other"}))
		if refused != nil || member != again || member.Name() != "gpu" {
			t.Errorf("members %v and %v: %v", member, again, refused)
		}
	})
}

func TestOpenFails(t *testing.T) {
	closed := 0
	open := func(address, _ string) (backends.Backend, error) {
		if address == "b:1" {
			return nil, errors.New("no such file")
		}
		return &closer{closed: &closed}, nil
	}
	_, err := pool.New(pool.Options{Config: config("a:1", "b:1"), Open: open, Logger: slog.New(slog.DiscardHandler)})
	if err == nil || closed != 1 {
		t.Errorf("error %v, %d closed", err, closed)
	}
}
