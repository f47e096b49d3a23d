package pool_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/backends/pool"
	"github.com/sluice-gateway/sluice/gen/inference"
)

// stateful is the configuration of a model that keeps sequences.
func stateful() backendstest.Script {
	config := &inference.ModelConfig{Name: "m", SchedulingChoice: &inference.ModelConfig_SequenceBatching{SequenceBatching: &inference.ModelSequenceBatching{}}}
	return backendstest.Script{"ModelConfig": {backendstest.Receive(), backendstest.Send(&inference.ModelConfigResponse{Config: config})}}
}

func reasonOf(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	e, ok := access.AsError(err)
	if !ok {
		t.Fatalf("not of ours: %v", err)
	}
	return e.Reason
}

// TestASequenceIsItsPrincipals: ids are names that callers choose, and at a
// server they are everybody's.
func TestASequenceIsItsPrincipals(t *testing.T) {
	for _, addresses := range [][]string{{"a:1"}, {"a:1", "b:1", "c:1"}} {
		bubble(t, func(t *testing.T) {
			var servers []*server
			for _, a := range addresses {
				servers = append(servers, newServer(t, a, stateful()))
			}
			p := newPool(t, nil, servers...)
			time.Sleep(time.Second)
			alice, bob := as(t.Context(), "alice"), as(t.Context(), "bob")
			for _, step := range []struct {
				what string
				bob  bool
				id   any
				s, e bool
				want string
			}{
				{"one that nobody began", false, int64(7), false, false, access.ReasonSequenceStart},
				{"begun", false, int64(7), true, false, ""},
				{"gone on with", false, int64(7), false, false, ""},
				{"another's", true, int64(7), false, false, access.ReasonSequenceOwner},
				{"another's, begun anew", true, int64(7), true, false, access.ReasonSequenceOwner},
				{"another's, ended", true, int64(7), false, true, access.ReasonSequenceOwner},
				{"another's as an unsigned number", true, uint64(7), false, false, access.ReasonSequenceOwner},
				{"a text is another id", true, "7", true, false, ""},
				{"a text of another's", false, "7", false, false, access.ReasonSequenceOwner},
				{"a long text", true, strings.Repeat("x", 5000), true, false, ""},
				{"a long text of another's", false, strings.Repeat("x", 5000), true, false, access.ReasonSequenceOwner},
				{"begun anew by its owner", false, int64(7), true, false, ""},
				{"ended", false, int64(7), false, true, ""},
				{"after its end", false, int64(7), false, false, access.ReasonSequenceStart},
				{"after its end another's", true, int64(7), true, false, ""},
				{"a sequence of one", false, int64(8), true, true, ""},
				{"after that", false, int64(8), false, false, access.ReasonSequenceStart},
				{"no id", false, int64(0), false, false, ""},
				{"no id as a text", false, "", false, false, ""},
				{"another's, cut off by Triton where a byte 0 is", true, "v\x00ictim", true, false, access.ReasonMalformed},
				{"that with a long text", true, "v\x00" + strings.Repeat("x", 5000), true, false, access.ReasonMalformed},
				{"no kind of id", false, true, true, false, access.ReasonMalformed},
			} {
				ctx := alice
				if step.bob {
					ctx = bob
				}
				if _, err := infer(ctx, p, sequence(step.id, step.s, step.e)); reasonOf(t, err) != step.want {
					t.Errorf("%s: got %v, want %q", step.what, err, step.want)
				}
			}
		})
	}
}

func TestASequenceStaysWhereItBegan(t *testing.T) {
	bubble(t, func(t *testing.T) {
		servers := []*server{newServer(t, "a:1", stateful()), newServer(t, "b:1", stateful()), newServer(t, "c:1", stateful())}
		p, again := newPool(t, nil, servers...), newPool(t, nil, servers...)
		time.Sleep(time.Second)
		ctx := as(t.Context(), "alice")
		homes := make(map[string]int)
		for id := range int64(60) {
			home, err := infer(ctx, p, sequence(id+1, true, false))
			if err != nil {
				t.Fatal(err)
			}
			homes[home]++
			for range 3 {
				if at, err := infer(ctx, p, sequence(id+1, false, false)); err != nil || at != home {
					t.Fatalf("sequence %d of %s is at %s: %v", id+1, home, at, err)
				}
			}
			if at, err := infer(ctx, again, sequence(id+1, true, false)); err != nil || at != home {
				t.Errorf("another gateway begins sequence %d at %s, not %s: %v", id+1, at, home, err)
			}
		}
		for _, s := range servers {
			if homes[s.address] < 8 {
				t.Errorf("sequences begin at %v", homes)
			}
		}
	})
}

// TestASequenceOfADeadReplica: what the server kept is lost, and nobody else's
// to make up.
func TestASequenceOfADeadReplica(t *testing.T) {
	bubble(t, func(t *testing.T) {
		servers := []*server{newServer(t, "a:1", stateful()), newServer(t, "b:1", stateful())}
		p := newPool(t, nil, servers...)
		time.Sleep(time.Second)
		ctx := as(t.Context(), "alice")
		home, err := infer(ctx, p, sequence("s", true, false))
		if err != nil {
			t.Fatal(err)
		}
		dead := servers[0]
		if home == "b:1" {
			dead = servers[1]
		}
		dead.kill()
		time.Sleep(time.Second)
		if at, err := infer(ctx, p, sequence("s", false, false)); err == nil {
			t.Errorf("it went on at %s", at)
		}
		if at, err := infer(ctx, p, sequence("s2", true, false)); err != nil || at == dead.address {
			t.Errorf("a new one begins at %s: %v", at, err)
		}
		dead.revive()
		time.Sleep(5 * time.Second)
		if at, err := infer(ctx, p, sequence("s", false, false)); err != nil || at != dead.address {
			t.Errorf("when it is back, at %s: %v", at, err)
		}
	})
}

func TestSequencesAreBoundedAndForgotten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPool(t, func(o *pool.Options) {
			o.Config.Sequences.Max, o.Config.Sequences.MaxPerPrincipal = 3, 2
		}, newServer(t, "a:1", stateful()))
		begin := func(who, id string) string {
			_, err := infer(as(t.Context(), who), p, sequence(id, true, false))
			return reasonOf(t, err)
		}
		for i, step := range []struct{ who, id, want string }{
			{"alice", "1", ""},
			{"alice", "2", ""},
			{"alice", "3", access.ReasonSequences},
			{"bob", "4", ""},
			{"carol", "5", access.ReasonSequences},
			{"alice", "1", ""}, // begun anew
		} {
			if got := begin(step.who, step.id); got != step.want {
				t.Errorf("%d: %s begins %s: %q, want %q", i, step.who, step.id, got, step.want)
			}
		}
		time.Sleep(9 * time.Minute)
		if _, err := infer(as(t.Context(), "bob"), p, sequence("4", false, false)); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Minute)
		if n := p.Status().Sequences; n != 1 {
			t.Errorf("%d live, want the one that was used", n)
		}
		if got := begin("carol", "1"); got != "" {
			t.Errorf("a forgotten id: %q", got)
		}
	})
}

// TestAnIDOfAModelWithoutSequences: such a model may use it for what it likes.
func TestAnIDOfAModelWithoutSequences(t *testing.T) {
	bubble(t, func(t *testing.T) {
		plain := backendstest.Script{"ModelConfig": {backendstest.Receive(), backendstest.Send(&inference.ModelConfigResponse{Config: &inference.ModelConfig{Name: "m"}})}}
		p := newPool(t, nil, newServer(t, "a:1", plain))
		alice := as(t.Context(), "alice")
		for range 2 {
			if _, err := infer(alice, p, sequence(int64(5), false, false)); err != nil {
				t.Error(err)
			}
		}
		if _, err := infer(as(t.Context(), "bob"), p, sequence(int64(5), false, false)); reasonOf(t, err) != access.ReasonSequenceOwner {
			t.Errorf("another's: %v", err)
		}
	})
}

func TestARenamedModelsSequencesAreOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPool(t, func(o *pool.Options) { o.Config.Rename = map[string]string{"n": "m"} }, newServer(t, "a:1", stateful()))
		named := func(r *inference.ModelInferRequest) { r.ModelName = "n" }
		if _, err := infer(as(t.Context(), "alice"), p, sequence("s", true, false), named); err != nil {
			t.Fatal(err)
		}
		if _, err := infer(as(t.Context(), "bob"), p, sequence("s", true, false)); reasonOf(t, err) != access.ReasonSequenceOwner {
			t.Errorf("under the other name: %v", err)
		}
	})
}

func TestTwoBeginOneSequenceAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := newServer(t, "a:1", stateful())
		p := newPool(t, nil, a)
		var both sync.WaitGroup
		reasons := make(chan string, 2)
		for _, who := range []string{"alice", "bob"} {
			both.Go(func() {
				_, err := infer(as(t.Context(), who), p, sequence("s", true, false))
				reasons <- reasonOf(t, err)
			})
		}
		both.Wait()
		first, second := <-reasons, <-reasons
		if (first == "") == (second == "") || a.infers.Load() != 1 {
			t.Errorf("got %q and %q", first, second)
		}
	})
}

func TestStreamsOfSequences(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPool(t, nil, newServer(t, "a:1", stateful()), newServer(t, "b:1", stateful()))
		time.Sleep(time.Second)
		request := func(s, e bool) *inference.ModelInferRequest {
			r := &inference.ModelInferRequest{ModelName: "m"}
			sequence("s", s, e)(r)
			return r
		}
		alice, bob := as(t.Context(), "alice"), as(t.Context(), "bob")
		home, refused := p.Member(alice, viewOf(t, request(true, false)))
		if refused != nil {
			t.Fatal(refused)
		}
		for range 10 {
			if at, refused := p.Member(alice, viewOf(t, request(false, false))); refused != nil || at != home {
				t.Fatalf("at %v: %v", at, refused)
			}
		}
		if _, refused := p.Member(bob, viewOf(t, request(false, false))); refused == nil || refused.Reason != access.ReasonSequenceOwner {
			t.Errorf("another's: %v", refused)
		}
	})
}
