package models

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/gen/inference"
)

// repository holds the models and which of them are loaded.
type repository struct {
	mu      sync.RWMutex
	entries []*entry // in the order of the index
}

// entry is one model of the repository.
type entry struct {
	model *model
	// last is what was loaded last, nil where nothing ever was; ready tells
	// whether it is loaded still.
	last   *instance
	ready  bool
	reason string // why it is not
}

// instance is a loaded model. Calls that run keep theirs, whatever is loaded
// or unloaded meanwhile.
type instance struct {
	model   *model
	config  *inference.ModelConfig
	version int64
	stats   *statistics
	running atomic.Int64
}

// newRepository loads all models.
func newRepository(all []*model) *repository {
	r := &repository{}
	for _, m := range all {
		r.entries = append(r.entries, &entry{model: m, last: newInstance(m, m.config, 1), ready: true})
	}
	return r
}

// newInstance returns a model as just loaded, its counts at zero.
func newInstance(m *model, config *inference.ModelConfig, version int64) *instance {
	return &instance{model: m, config: config, version: version, stats: newStatistics()}
}

// entry returns the model called name, or nil. The caller holds mu.
func (r *repository) entry(name string) *entry {
	for _, e := range r.entries {
		if e.model.config.GetName() == name {
			return e
		}
	}
	return nil
}

// find returns the loaded model of that name and version, "" being the latest.
func (r *repository) find(name, version string) (*instance, error) {
	v, err := parseVersion(version)
	if err != nil {
		return nil, err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	e := r.entry(name)
	switch {
	case e == nil || e.last == nil:
		return nil, unknown("'%s' is not found", name)
	case v == -1 && !e.ready:
		return nil, unknown("'%s' has no available versions", name)
	case v != -1 && v != e.last.version:
		return nil, unknown("'%s' version %d is not found", name, v)
	case !e.ready:
		return nil, status.Errorf(codes.Unavailable, "Request for unknown model: '%s' version %d is not at ready state", name, v)
	}
	return e.last, nil
}

// unknown is what clients test the beginning of.
func unknown(format string, args ...any) error {
	return status.Errorf(codes.NotFound, "Request for unknown model: %s", fmt.Sprintf(format, args...))
}

// parseVersion reads a version as C's stol does, to which "1x" is 1; -1 stands
// for the latest.
func parseVersion(version string) (int64, error) {
	if version == "" {
		return -1, nil
	}
	digits := strings.TrimLeft(version, " \t\n\v\f\r")
	end := 0
	for end < len(digits) && (digits[end] >= '0' && digits[end] <= '9' || end == 0 && strings.ContainsRune("+-", rune(digits[0]))) {
		end++
	}
	v, err := strconv.ParseInt(digits[:end], 10, 64)
	if err != nil {
		return 0, invalid("failed to get model version from specified version string '%s' (details: stol), version should be an integral value > 0", version)
	}
	if v < 0 {
		return 0, invalid("invalid model version specified '%s' , version should be an integral value > 0", version)
	}
	return v, nil
}

// loaded returns the instances that are ready, in the order of the index.
func (r *repository) loaded() []*instance {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var all []*instance
	for _, e := range r.entries {
		if e.ready {
			all = append(all, e.last)
		}
	}
	return all
}

// serving is readiness in Triton's strict sense: no model has failed to load.
// One that was unloaded does not count.
func (r *repository) serving() bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, e := range r.entries {
		if !e.ready && e.reason != unloaded {
			return false
		}
	}
	return true
}

// install makes i the model that is served under e.
func (r *repository) install(e *entry, i *instance) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.last, e.ready, e.reason = i, true, ""
}

// spoil notes that e could not be loaded; a version that serves goes on.
func (r *repository) spoil(e *entry, version int64, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !e.ready {
		e.last, e.reason = newInstance(e.model, e.model.config, version), reason
	}
}

// unload takes the model called name out of service, and tells whether it was
// in it.
func (r *repository) unload(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entry(name)
	if e == nil || !e.ready {
		return false
	}
	e.ready, e.reason = false, unloaded
	return true
}
