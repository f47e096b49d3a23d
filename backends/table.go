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
}

// Table finds the backend of a model: an exact name first, then the pattern
// with the most literal bytes. It is immutable and safe for concurrent use.
type Table struct {
	backends []Backend
	exact    map[string]Backend
	patterns []pattern // longest first
}

type pattern struct {
	text    string
	backend Backend
}

// NewTable builds the table. The same pattern at two backends is an error: the
// model's server must not depend on the order of a file.
func NewTable(routes []Route) (*Table, error) {
	t := &Table{exact: make(map[string]Backend)}
	owner := make(map[string]string)
	for _, r := range routes {
		t.backends = append(t.backends, r.Backend)
		for _, p := range r.Patterns {
			if other, ok := owner[p]; ok {
				return nil, fmt.Errorf("models %q are at two backends, %s and %s", p, other, r.Backend.Name())
			}
			owner[p] = r.Backend.Name()
			if strings.Contains(p, "*") {
				t.patterns = append(t.patterns, pattern{p, r.Backend})
			} else {
				t.exact[p] = r.Backend
			}
		}
	}
	slices.SortStableFunc(t.patterns, func(a, b pattern) int {
		return cmp.Or(cmp.Compare(literals(b.text), literals(a.text)), cmp.Compare(a.text, b.text))
	})
	return t, nil
}

func literals(p string) int { return len(p) - strings.Count(p, "*") }

// Find returns the backend that has model; it does not ask the backend. Where
// none is configured for it, the error is [UnknownModel].
func (t *Table) Find(model string) (Backend, *access.Error) {
	if b, ok := t.exact[model]; ok {
		return b, nil
	}
	for _, p := range t.patterns {
		if access.Match(p.text, model) {
			return p.backend, nil
		}
	}
	return nil, UnknownModel(model)
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
