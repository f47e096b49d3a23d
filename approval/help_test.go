package approval_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/approval"
	"github.com/sluice-gateway/sluice/store"
	"github.com/sluice-gateway/sluice/store/storetest"
)

// rig is a store with replicas on it, in a bubble of synctest.
type rig struct {
	t      *testing.T
	store  *storetest.Memory
	engine *approval.Engine
	config approval.Config
	rules  *approval.Rules
	// back is how far the wall's clock is set back.
	back  atomic.Int64
	glass func(*access.Principal, string) bool
	// out are people who may approve no more, whatever their groups.
	out  sync.Map
	stop func() // ends the first engine
}

// bubble runs f with a rig whose engine runs.
func bubble(t *testing.T, f func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, store: storetest.NewMemory(), glass: func(who *access.Principal, _ string) bool { return who.Name == "alice" }}
		t.Cleanup(func() { _ = r.store.Close() })
		p, problems := approval.Compile([]approval.File{{Document: approval.Document{Access: []approval.Entry{
			{Models: []string{"*"}, Verbs: []string{"load", "unload"}, For: []string{"ml-users"}, By: []string{"approvers"}, Max: 4 * time.Hour},
		}}}}, approval.Options{})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		r.rules = &approval.Rules{Access: p, Guards: map[string][32]byte{"unload-prod": {1}, "second": {2}}}
		r.engine, r.stop = r.replica(r.store)
		f(r)
	})
}

func (r *rig) mayApprove(who *access.Principal, model string) bool {
	_, out := r.out.Load(who.Name)
	return !out && model != "" && len(who.Groups) > 0
}

// replica starts an engine on a store; stop ends it as a shutdown does.
func (r *rig) replica(s store.Store) (e *approval.Engine, stop func()) {
	e = approval.New(approval.EngineOptions{
		Store: s, Config: r.config, MayBreakGlass: r.glass, MayApprove: r.mayApprove,
		Now: func() time.Time { return time.Now().Add(-time.Duration(r.back.Load())) },
	})
	e.Replace(r.rules)
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.Run(ctx)
	}()
	stop = func() { cancel(); <-done }
	r.t.Cleanup(stop)
	synctest.Wait()
	return e, stop
}

func person(name string, groups ...string) *access.Principal {
	slices.Sort(groups)
	return &access.Principal{Issuer: "https://issuer", Subject: name, Name: name, Kind: access.User, Groups: groups}
}

var (
	alice = person("alice", "ml-users", "approvers") // also an approver, which must not help her
	carol = person("carol", "approvers", "leads")
	dave  = person("dave", "approvers")
	eve   = person("eve", "ml-users")
)

// terms are a guard's, as configured by default.
func terms(change ...func(*access.Terms)) access.Terms {
	t := access.Terms{By: []string{"approvers"}, Count: 1, Within: 15 * time.Minute, Grant: time.Hour, Mode: access.Wait, Scope: access.ScopeCall}
	for _, f := range change {
		f(&t)
	}
	return t
}

// unload is alice's call.
func unload(change ...func(*access.Terms)) *approval.Ask {
	return &approval.Ask{
		Principal: alice, Verb: access.Unload, Model: "prod-simple", Backend: "gpu", Digest: [32]byte{7},
		Needs: []*access.Need{{Guard: "unload-prod", Definition: [32]byte{1}, Terms: terms(change...)}},
	}
}

// call is a held call's end.
type call struct {
	approval *access.Approval
	err      error
	after    time.Duration
}

// admit makes a call on an engine in the background.
func admit(ctx context.Context, e *approval.Engine, a *approval.Ask) <-chan call {
	done := make(chan call, 1)
	began := time.Now()
	go func() {
		got, err := e.Admit(ctx, a)
		done <- call{got, err, time.Since(began)}
	}()
	synctest.Wait()
	return done
}

func (r *rig) admit(a *approval.Ask) <-chan call { return admit(r.t.Context(), r.engine, a) }

// waits fails unless the call is still held.
func (r *rig) waits(c <-chan call) {
	r.t.Helper()
	synctest.Wait()
	select {
	case got := <-c:
		r.t.Fatalf("the call does not wait: %+v, %v", got.approval, got.err)
	default:
	}
}

// ended returns how a call has ended, which it must have by now.
func (r *rig) ended(c <-chan call) call {
	r.t.Helper()
	synctest.Wait()
	select {
	case got := <-c:
		return got
	default:
		r.t.Fatal("the call still waits")
		return call{}
	}
}

// passed fails unless the call was let through.
func (r *rig) passed(c <-chan call) *access.Approval {
	r.t.Helper()
	got := r.ended(c)
	if got.err != nil {
		r.t.Fatalf("the call ended with %v", got.err)
	}
	return got.approval
}

// pending is the only pending request.
func (r *rig) pending() *approval.Request {
	r.t.Helper()
	all, err := r.engine.List(r.t.Context(), approval.Filter{State: approval.Pending})
	if err != nil || len(all) != 1 {
		r.t.Fatalf("%d requests are pending, %v; want one", len(all), err)
	}
	return all[0]
}

func (r *rig) count(state approval.State) int {
	r.t.Helper()
	all, err := r.engine.List(r.t.Context(), approval.Filter{State: state})
	if err != nil {
		r.t.Fatal(err)
	}
	return len(all)
}

func (r *rig) approve(who *access.Principal, id string) *approval.Request {
	r.t.Helper()
	got, err := r.engine.Approve(r.t.Context(), who, id, approval.Answer{Reason: "looks right"})
	if err != nil {
		r.t.Fatal(err)
	}
	return got
}

// refused fails unless err is one of ours of that kind and reason, whose text
// holds all of want.
func refused(t *testing.T, err error, kind access.ErrorKind, reason string, want ...string) {
	t.Helper()
	e, ok := access.AsError(err)
	if !ok || e.Kind != kind || e.Reason != reason {
		t.Fatalf("got %v (%+v), want %s", err, e, reason)
	}
	for _, w := range want {
		if !strings.Contains(e.Message, w) {
			t.Errorf("%q does not say %q", e.Message, w)
		}
	}
}
