package policy_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/policy"
)

func person(name string) *access.Principal {
	return &access.Principal{Issuer: "https://issuer", Subject: name}
}

// claim is a Claim that succeeds, with the answer given.
func claim(t *testing.T, r *policy.Regions, who *access.Principal, name policy.Region, key string, fresh bool) {
	t.Helper()
	if got, refused := r.Claim(who, name, key); refused != nil || got != fresh {
		t.Fatalf("%s claims %v over %q: got fresh %v and %v, want fresh %v", who.Subject, name, key, got, refused, fresh)
	}
}

func refusedAs(t *testing.T, refused *access.Error, kind access.ErrorKind) {
	t.Helper()
	if refused == nil || refused.Kind != kind || refused.Reason != access.ReasonShmOwner {
		t.Errorf("got %+v, want kind %v and reason %s", refused, kind, access.ReasonShmOwner)
	}
}

func TestRegionHasOneOwner(t *testing.T) {
	r, alice, bob := policy.NewRegions(), person("alice"), person("bob")
	claim(t, r, alice, policy.Region{Name: "in"}, "/in", true)
	claim(t, r, alice, policy.Region{Name: "in"}, "/in", false)
	if !r.Owns(alice, "in") || r.Owns(bob, "in") || r.Owns(nil, "in") || r.Owns(alice, "out") {
		t.Error("alice alone owns in")
	}
	refusedAs(t, r.Check(bob, "in"), access.PermissionDenied)
	refusedAs(t, r.Check(alice, "out"), access.PermissionDenied)
	if refused := r.Check(alice, "in"); refused != nil {
		t.Errorf("alice's own region is refused: %v", refused)
	}
	_, refused := r.Claim(bob, policy.Region{Name: "in"}, "/other")
	refusedAs(t, refused, access.PermissionDenied)

	r.Release(bob, "in")
	if !r.Owns(alice, "in") {
		t.Error("bob released alice's region")
	}
	r.Release(alice, "in")
	if r.Owns(alice, "in") {
		t.Error("a released region has an owner")
	}
	claim(t, r, bob, policy.Region{Name: "in"}, "/in", true)
}

// TestMemoryHasOneOwner covers the back door: another name for the same memory.
func TestMemoryHasOneOwner(t *testing.T) {
	r, alice, bob := policy.NewRegions(), person("alice"), person("bob")
	claim(t, r, alice, policy.Region{Name: "one"}, "/key", true)
	claim(t, r, alice, policy.Region{Name: "two"}, "key", true)
	for _, key := range []string{"/key", "key", "//key"} {
		_, refused := r.Claim(bob, policy.Region{Name: "mine"}, key)
		refusedAs(t, refused, access.PermissionDenied)
	}
	claim(t, r, bob, policy.Region{Name: "cuda", Cuda: true}, "key", true)
	r.Release(alice, "one")
	_, refused := r.Claim(bob, policy.Region{Name: "mine"}, "/key")
	refusedAs(t, refused, access.PermissionDenied)
	r.Release(alice, "two")
	claim(t, r, bob, policy.Region{Name: "mine"}, "/key", true)
}

func TestReservedKeys(t *testing.T) {
	r := policy.NewRegions()
	for _, key := range []string{"triton_python_backend_shm_region_1", "/triton_python_backend_shm_region_1", "//triton_python_backend_shm_region_", "/a/b"} {
		_, refused := r.Claim(person("alice"), policy.Region{Name: "x"}, key)
		refusedAs(t, refused, access.PermissionDenied)
	}
	claim(t, r, person("alice"), policy.Region{Name: "x", Cuda: true}, "a/b", true)
}

func TestOwnedRegions(t *testing.T) {
	r, alice := policy.NewRegions(), person("alice")
	claim(t, r, alice, policy.Region{Name: "b"}, "/b", true)
	claim(t, r, alice, policy.Region{Name: "a"}, "/a", true)
	claim(t, r, alice, policy.Region{Name: "gpu", Cuda: true}, "handle", true)
	claim(t, r, person("bob"), policy.Region{Name: "c"}, "/c", true)
	if got := r.Owned(alice, false); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("system regions: got %q", got)
	}
	if got := r.Owned(alice, true); !slices.Equal(got, []string{"gpu"}) {
		t.Errorf("CUDA regions: got %q", got)
	}
}

func TestRegionsAreBounded(t *testing.T) {
	r, alice := policy.NewRegions(), person("alice")
	for i := range policy.MaxRegions {
		claim(t, r, alice, policy.Region{Name: fmt.Sprint(i)}, fmt.Sprint("/", i), true)
	}
	_, refused := r.Claim(alice, policy.Region{Name: "more"}, "/more")
	refusedAs(t, refused, access.Exhausted)
	claim(t, r, person("bob"), policy.Region{Name: "more"}, "/more", true)
	r.Release(alice, "0")
	claim(t, r, alice, policy.Region{Name: "again"}, "/again", true)
}

// TestRegionRace has many claim the same region at once: one gets it.
func TestRegionRace(t *testing.T) {
	r, owners := policy.NewRegions(), make(chan string, 50)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			who := person(fmt.Sprint(i))
			if _, refused := r.Claim(who, policy.Region{Name: "x"}, "/x"); refused == nil {
				owners <- who.Subject
			}
		})
	}
	wg.Wait()
	close(owners)
	if len(owners) != 1 {
		t.Errorf("%d principals own the region", len(owners))
	}
}
