package server

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/sluice-gateway/sluice/backends"
	replicas "github.com/sluice-gateway/sluice/backends/pool"
)

// AskBackends asks the replicas of every backend itself, in the order of the
// configuration, and changes nothing. What only a running gateway knows (calls,
// ejections, sequences) is not in what it returns. The error is of a backend that
// cannot be opened.
func AskBackends(ctx context.Context, configs []backends.Config, log *slog.Logger) (all []replicas.Status, err error) {
	pools := make([]*replicas.Pool, 0, len(configs))
	defer func() {
		for _, p := range pools {
			err = errors.Join(err, p.Close())
		}
	}()
	for _, c := range configs {
		o := poolOptions(c, gateway{log: log})
		o.Unwatched = true
		p, err := replicas.New(o)
		if err != nil {
			return nil, err
		}
		pools = append(pools, p)
	}
	all = make([]replicas.Status, len(pools))
	var asking sync.WaitGroup
	for i, p := range pools {
		asking.Go(func() { all[i] = p.Ask(ctx) })
	}
	asking.Wait()
	return all, nil
}
