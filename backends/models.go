package backends

import (
	"context"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/gen/inference"
)

const (
	// factsAge is how long a model's configuration is believed. A load or unload
	// through the gateway forgets it at once; one that went past it is noticed
	// this late.
	factsAge = 30 * time.Second
	// maxFacts bounds the cache, which is keyed by names that callers send.
	maxFacts = 4096
	// maxVersion is how long a version is that is remembered, in bytes: Triton
	// reads "1" and "1" with a megabyte of letters behind it alike.
	maxVersion = 20
	// factsTimeout bounds the question to the backend.
	factsTimeout = 10 * time.Second
)

// Models remembers what a backend says of its models' configuration. It is
// safe for concurrent use.
type Models struct {
	backend Backend
	// Now is the clock.
	now func() time.Time

	mu    sync.Mutex
	facts map[modelVersion]*fact
}

type modelVersion struct{ name, version string }

type fact struct {
	config *inference.ModelConfig
	until  time.Time
}

// NewModels returns an empty memory of b's models.
func NewModels(b Backend) *Models {
	return &Models{backend: b, now: time.Now, facts: make(map[modelVersion]*fact)}
}

// Config returns the configuration of a model's version ("" is the latest one),
// from memory where it is fresh. The error is the backend's; it is not
// remembered. The answer is shared: nobody may write to it.
func (m *Models) Config(ctx context.Context, name, version string) (*inference.ModelConfig, error) {
	key := modelVersion{name, version}
	m.mu.Lock()
	f := m.facts[key]
	m.mu.Unlock()
	if f != nil && m.now().Before(f.until) {
		return f.config, nil
	}
	ctx, err := m.backend.Outgoing(ctx, nil)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, factsTimeout)
	defer cancel()
	resp, err := inference.NewGRPCInferenceServiceClient(m.backend).ModelConfig(ctx, &inference.ModelConfigRequest{Name: name, Version: version})
	if err != nil {
		return nil, err
	}
	if len(version) > maxVersion {
		return resp.GetConfig(), nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.facts) >= maxFacts {
		clear(m.facts)
	}
	m.facts[key] = &fact{config: resp.GetConfig(), until: m.now().Add(factsAge)}
	return resp.GetConfig(), nil
}

// Forget drops what is remembered of a model, all its versions.
func (m *Models) Forget(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key := range m.facts {
		if key.name == name {
			delete(m.facts, key)
		}
	}
}

// Decoupled tells whether the model may answer a request any number of times.
// A model that the backend does not know is not: its requests fail in order.
func (m *Models) Decoupled(ctx context.Context, name, version string) bool {
	config, err := m.Config(ctx, name, version)
	return err == nil && config.GetModelTransactionPolicy().GetDecoupled()
}
