package policy

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/sluice-gateway/sluice/access"
)

const (
	// maxRegions bounds how many shared memory regions one principal may hold.
	maxRegions = 1024
	// maxRegionName bounds a region's name and its key, in bytes; a file system
	// takes no longer key, and a CUDA handle has 64.
	maxRegionName = 255
)

// forbiddenKey begins the keys of the memory that Triton's Python backend
// shares with its own stubs (protocol/kserve-v2.md, section 7).
const forbiddenKey = "triton_python_backend_shm_region_"

// Regions knows who owns which shared memory region at the backend: who
// registered it through this gateway since it started. A region of unknown
// owner is nobody's. The memory behind a region (its key, or its CUDA handle)
// has one owner too, or a second name for it would open it to another. It is
// safe for concurrent use.
type Regions struct {
	mu      sync.Mutex
	regions map[string]*region // by name: Triton has one map for both kinds
	memory  map[memory]*owned
	held    map[string]int
}

// Region is a shared memory region as the backend knows it. The name alone
// says which.
type Region struct {
	Name string
	Cuda bool
}

type memory struct {
	cuda bool
	key  string
}

type region struct {
	owner  string
	memory memory
}

type owned struct {
	owner string
	names int
}

// NewRegions returns an empty register.
func NewRegions() *Regions {
	return &Regions{regions: make(map[string]*region), memory: make(map[memory]*owned), held: make(map[string]int)}
}

// Claim makes who the owner of a region that nobody owns, over memory that
// nobody else owns: a system key, or a CUDA handle. fresh tells that the region
// was not his before; the claim of one that is his changes nothing.
func (r *Regions) Claim(who *access.Principal, name Region, key string) (fresh bool, refused *access.Error) {
	if len(name.Name) > maxRegionName || len(key) > maxRegionName {
		return false, &access.Error{
			Kind: access.Malformed, Reason: access.ReasonMalformed,
			Message: fmt.Sprintf("a shared memory region's name and key have %d bytes at most", maxRegionName),
		}
	}
	if !name.Cuda {
		key = strings.TrimLeft(key, "/") // as shm_open(3) does
		if strings.HasPrefix(key, forbiddenKey) || strings.Contains(key, "/") {
			return false, &access.Error{Kind: access.PermissionDenied, Reason: access.ReasonShmOwner, Message: "this shared memory key is reserved; use a key of your own"}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	id, at := who.ID(), memory{name.Cuda, key}
	have, behind := r.regions[name.Name], r.memory[at]
	switch {
	case have != nil && have.owner != id, behind != nil && behind.owner != id:
		return false, notOwned(name.Name)
	case have != nil:
		return false, nil
	case r.held[id] >= maxRegions:
		return false, &access.Error{
			Kind: access.Exhausted, Reason: access.ReasonShmOwner,
			Message: fmt.Sprintf("more than %d shared memory regions; unregister some", maxRegions),
		}
	case behind == nil:
		behind = &owned{owner: id}
		r.memory[at] = behind
	}
	behind.names++
	r.regions[name.Name] = &region{owner: id, memory: at}
	r.held[id]++
	return true, nil
}

// Release gives up a region of who's; another's stays as it is.
func (r *Regions) Release(who *access.Principal, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := who.ID()
	have := r.regions[name]
	if have == nil || have.owner != id {
		return
	}
	delete(r.regions, name)
	if behind := r.memory[have.memory]; behind.names > 1 {
		behind.names--
	} else {
		delete(r.memory, have.memory)
	}
	if r.held[id]--; r.held[id] == 0 {
		delete(r.held, id)
	}
}

// Check refuses a region that is not who's.
func (r *Regions) Check(who *access.Principal, name string) *access.Error {
	if !r.Owns(who, name) {
		return notOwned(name)
	}
	return nil
}

// Owns tells whether the region is who's.
func (r *Regions) Owns(who *access.Principal, name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	have := r.regions[name]
	return have != nil && who != nil && have.owner == who.ID()
}

// Owned lists who's regions of one kind, sorted.
func (r *Regions) Owned(who *access.Principal, cuda bool) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var names []string
	for name, have := range r.regions {
		if have.owner == who.ID() && have.memory.cuda == cuda {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// notOwned does not tell whether there is such a region.
func notOwned(name string) *access.Error {
	return &access.Error{
		Kind: access.PermissionDenied, Reason: access.ReasonShmOwner,
		Message: fmt.Sprintf("shared memory region %s is not yours; register one of your own, also after the gateway has restarted", access.Quote(name)),
	}
}
