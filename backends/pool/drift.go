package pool

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/sluice-gateway/sluice/gen/inference"
)

// Drift is a model that the replicas do not have alike. It is reported and left
// as it is: which of them is right is not for a gateway to say.
type Drift struct {
	Model   string `json:"model"`
	Version string `json:"version,omitempty"`
	// States has what each replica's index says, by its address; "" is nothing.
	States map[string]string `json:"states"`
}

// maxDrift bounds what is kept of the differences, maxIndex the entries of one
// replica's index that are compared.
const (
	maxDrift = 1000
	maxIndex = 100_000
)

type version struct{ model, version string }

// compare asks the replicas that answer for their models, and notes differences.
func (p *Pool) compare(ctx context.Context) {
	indexes := p.indexes(ctx)
	found := differences(indexes)
	before := *p.drift.Swap(&found)
	if len(found) != len(before) {
		p.log.LogAttrs(ctx, slog.LevelWarn, "replicas differ in their models", slog.String("backend", p.name), slog.Int("models", len(found)), slog.Int("before", len(before)))
	}
}

// indexes are the states of the models of each replica that has an index.
func (p *Pool) indexes(ctx context.Context) map[string]map[version]string {
	if p.traits.Missing[inference.GRPCInferenceService_RepositoryIndex_FullMethodName] {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var mu sync.Mutex
	all := make(map[string]map[version]string)
	var asking sync.WaitGroup
	for _, m := range p.all() {
		if health(m.health.Load()) == away {
			continue
		}
		asking.Go(func() {
			var resp inference.RepositoryIndexResponse
			err := m.send(ctx, call{method: inference.GRPCInferenceService_RepositoryIndex_FullMethodName, req: &inference.RepositoryIndexRequest{}, resp: &resp})
			if err != nil || len(resp.GetModels()) > maxIndex {
				return
			}
			index := make(map[version]string, len(resp.GetModels()))
			for _, one := range resp.GetModels() {
				index[version{one.GetName(), one.GetVersion()}] = cmp.Or(one.GetState(), "listed")
			}
			mu.Lock()
			defer mu.Unlock()
			all[m.address] = index
		})
	}
	asking.Wait()
	return all
}

// differences lists the models whose states are not the same everywhere.
func differences(indexes map[string]map[version]string) []Drift {
	every := make(map[version]bool)
	for _, index := range indexes {
		for v := range index {
			every[v] = true
		}
	}
	var found []Drift
	for v := range every {
		states := make(map[string]string, len(indexes))
		kinds := make(map[string]bool)
		for address, index := range indexes {
			states[address] = index[v]
			kinds[index[v]] = true
		}
		if len(kinds) > 1 && len(found) < maxDrift {
			found = append(found, Drift{Model: v.model, Version: v.version, States: maps.Clone(states)})
		}
	}
	slices.SortFunc(found, func(a, b Drift) int {
		return cmp.Or(cmp.Compare(a.Model, b.Model), cmp.Compare(a.Version, b.Version))
	})
	return found
}
