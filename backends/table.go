package backends

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/access"
)

// Route says which models a backend has.
type Route struct {
	Backend Backend
	// Patterns match whole names; "*" is any run of bytes.
	Patterns []string
	// Weight is the backend's share of the callers of a pattern that another
	// backend has too.
	Weight int
	// Rename has the server's names of models by the names that callers use: the
	// server's own name of such a model is nobody's to use.
	Rename map[string]string
}

// Table finds the backend of a model: an exact name first, then the pattern
// with the most literal bytes. It is immutable and safe for concurrent use.
type Table struct {
	backends []Backend
	exact    map[string]*target
	patterns []pattern // longest first
}

type pattern struct {
	text string
	*target
}

// NewTable builds the table. The same pattern at two backends is an error unless
// each has a weight: the model's server must not depend on the order of a file.
func NewTable(routes []Route) (*Table, error) {
	t := &Table{exact: make(map[string]*target)}
	targets := make(map[string]*target)
	for _, r := range routes {
		t.backends = append(t.backends, r.Backend)
		for _, p := range r.Patterns {
			if have := targets[p]; have != nil {
				if r.Weight <= 0 || have.sides[0].Weight <= 0 {
					return nil, fmt.Errorf("models %q are at two backends, %s and %s, without weights", p, have.sides[0].Backend.Name(), r.Backend.Name())
				}
				have.add(r)
				continue
			}
			targets[p] = new(target)
			targets[p].add(r)
			if strings.Contains(p, "*") {
				t.patterns = append(t.patterns, pattern{p, targets[p]})
			} else {
				t.exact[p] = targets[p]
			}
		}
	}
	slices.SortStableFunc(t.patterns, func(a, b pattern) int {
		return cmp.Or(cmp.Compare(literals(b.text), literals(a.text)), cmp.Compare(a.text, b.text))
	})
	return t, nil
}

func literals(p string) int { return len(p) - strings.Count(p, "*") }

// Find returns the backend that a principal's calls for model go to, by the
// principal's id; it does not ask the backend. Where none is configured for the
// model, the error is [UnknownModel].
func (t *Table) Find(model, principal string) (Backend, *access.Error) {
	if at := t.target(model); at != nil {
		if s := at.side(model, principal); !s.hides(model) {
			return s.Backend, nil
		}
	}
	return nil, UnknownModel(model)
}

// FindAll returns every backend that calls for model may go to, whoever makes
// them: what changes a model has to be done at all. The error is Find's.
func (t *Table) FindAll(model string) ([]Backend, *access.Error) {
	var all []Backend
	if at := t.target(model); at != nil {
		for _, s := range at.sides {
			if !s.hides(model) {
				all = append(all, s.Backend)
			}
		}
	}
	if len(all) == 0 {
		return nil, UnknownModel(model)
	}
	return all, nil
}

func (t *Table) target(model string) *target {
	if at, ok := t.exact[model]; ok {
		return at
	}
	for _, p := range t.patterns {
		if access.Match(p.text, model) {
			return p.target
		}
	}
	return nil
}

// UnknownModel is the error for a model that no backend has, in Triton's words,
// which clients test for.
func UnknownModel(model string) *access.Error {
	return &access.Error{
		Kind: access.NotFound, Reason: access.ReasonNoBackend,
		Message: fmt.Sprintf("Request for unknown model: '%s' is not found", model),
	}
}

// All lists the backends in the order of the configuration.
func (t *Table) All() []Backend { return t.backends }
