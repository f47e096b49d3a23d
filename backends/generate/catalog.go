package generate

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// errNoList is why a server is called away that takes too long to list its models.
var errNoList = errors.New("the server did not list its models in time")

const (
	// catalogAge is how long the server's list of models is believed.
	catalogAge = 30 * time.Second
	// catalogRest is how soon the list is asked for again because somebody named
	// a model that is not on it.
	catalogRest = time.Second
	// catalogTimeout bounds the question.
	catalogTimeout = 10 * time.Second
	// maxModels bounds the list.
	maxModels = 10_000
)

// catalog remembers which models the server has. Some servers ignore the name
// in a request and answer with whatever they have, so that names are checked
// here. It is safe for concurrent use.
type catalog struct {
	server Server
	asking chan struct{} // one token: who asks the server

	mu     sync.Mutex
	models []Model
	at     time.Time
}

func newCatalog(o Options) *catalog {
	return &catalog{server: o.Server, asking: make(chan struct{}, 1)}
}

// find returns the model of that name. The error for one that is not there has
// Triton's words.
func (c *catalog) find(ctx context.Context, name string) (Model, error) {
	models, at := c.known()
	i := index(models, name)
	age := time.Since(at)
	if i >= 0 && age < catalogAge || i < 0 && !at.IsZero() && age < catalogRest {
		return found(models, i, name)
	}
	fresh, err := c.refresh(ctx, at)
	switch {
	case err == nil:
		return found(fresh, index(fresh, name), name)
	case i >= 0 && ctx.Err() == nil:
		return models[i], nil // the request itself will show what is wrong with the server
	}
	return Model{}, err
}

func index(models []Model, name string) int {
	return slices.IndexFunc(models, func(m Model) bool { return m.Name == name })
}

func found(models []Model, i int, name string) (Model, error) {
	if i < 0 {
		return Model{}, unknownModel(name)
	}
	return models[i], nil
}

func (c *catalog) known() ([]Model, time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.models, c.at
}

// list asks the server, unless it was asked just now.
func (c *catalog) list(ctx context.Context) ([]Model, error) {
	models, at := c.known()
	if !at.IsZero() && time.Since(at) < catalogRest {
		return models, nil
	}
	return c.refresh(ctx, at)
}

// refresh asks the server for its list, unless somebody has since before.
func (c *catalog) refresh(ctx context.Context, before time.Time) ([]Model, error) {
	caller := ctx
	ctx, cancel := context.WithTimeoutCause(caller, catalogTimeout, broken(caller, errNoList))
	defer cancel()
	select {
	case c.asking <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-c.asking }()
	if models, at := c.known(); at.After(before) {
		return models, nil
	}
	models, err := c.server.Models(ctx)
	if err != nil {
		return nil, inTime(ctx, err)
	}
	if len(models) > maxModels {
		models = models[:maxModels]
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.models, c.at = models, time.Now()
	return models, nil
}

// forget has the server asked at the next call.
func (c *catalog) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = time.Time{}
}

// inTime tells a bound of Sluice's own from the caller's deadline.
func inTime(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
