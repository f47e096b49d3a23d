package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/store"
	"github.com/sluice-gateway/sluice/store/postgres"
	"github.com/sluice-gateway/sluice/store/sqlite"
)

// storeAsked is how often the gateway asks its store whether it can write.
const storeAsked = 5 * time.Second

// kept opens one kind of store.
type kept struct {
	name       string
	configured func(config.Store) bool
	open       func(context.Context, config.Store, *slog.Logger) (store.Keeper, error)
	schema     func(context.Context, config.Store) (store.Schema, error)
}

// stores are the kinds of stores that there are.
var stores = []kept{
	{
		"sqlite",
		func(c config.Store) bool { return c.SQLite != "" },
		func(ctx context.Context, c config.Store, _ *slog.Logger) (store.Keeper, error) {
			return sqlite.Open(ctx, c.SQLite)
		},
		func(ctx context.Context, c config.Store) (store.Schema, error) { return sqlite.Schema(ctx, c.SQLite) },
	},
	{
		"postgres",
		func(c config.Store) bool { return !c.Postgres.IsZero() },
		func(ctx context.Context, c config.Store, log *slog.Logger) (store.Keeper, error) {
			url, err := c.Postgres.Resolve()
			if err != nil {
				return nil, err
			}
			return postgres.Open(ctx, url, postgres.Options{Logger: log})
		},
		func(ctx context.Context, c config.Store) (store.Schema, error) {
			url, err := c.Postgres.Resolve()
			if err != nil {
				return store.Schema{}, err
			}
			return postgres.Schema(ctx, url)
		},
	},
}

// errNoStore is what commands say that need a store.
var errNoStore = errors.New("no store is configured; write store: { sqlite: FILE } or store: { postgres: ${NAME} }")

func findStore(c config.Store) (kept, error) {
	for _, k := range stores {
		if k.configured(c) {
			return k, nil
		}
	}
	return kept{}, errNoStore
}

// openStore opens the store that is configured, nil if none is. Its schema is
// brought up to date.
func openStore(ctx context.Context, c config.Store, log *slog.Logger) (store.Store, error) {
	s, err := OpenStore(ctx, c, log)
	if errors.Is(err, errNoStore) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// OpenStore opens the store that is configured, for commands that keep it; no
// store is an error here.
func OpenStore(ctx context.Context, c config.Store, log *slog.Logger) (store.Keeper, error) {
	k, err := findStore(c)
	if err != nil {
		return nil, err
	}
	s, err := k.open(ctx, c, log)
	if err != nil {
		return nil, fmt.Errorf("store.%s: %w", k.name, err)
	}
	return s, nil
}

// StoreSchema says which kind of store is configured, and which version its
// schema has. It changes nothing.
func StoreSchema(ctx context.Context, c config.Store) (kind string, schema store.Schema, err error) {
	k, err := findStore(c)
	if err != nil {
		return "", store.Schema{}, err
	}
	if schema, err = k.schema(ctx, c); err != nil {
		return k.name, schema, fmt.Errorf("store.%s: %w", k.name, err)
	}
	return k.name, schema, nil
}

// closeStore closes a store if there is one.
func closeStore(s store.Store, log *slog.Logger) {
	if s == nil {
		return
	}
	if err := s.Close(); err != nil {
		log.LogAttrs(context.Background(), slog.LevelWarn, "closing the store", slog.Any("error", err))
	}
}

// watchStore asks the store every few seconds whether it can write, and shows
// that as a metric, until ctx ends.
func (s *Server) watchStore(ctx context.Context) {
	if s.store == nil {
		return
	}
	up := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "sluice_store_up", Help: "Whether the store answered and could write when it was asked last.",
	})
	up.Set(1) // it was opened
	s.registry.MustRegister(up)
	ticker := time.NewTicker(storeAsked)
	defer ticker.Stop()
	for was := true; ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := s.store.Ping(ctx)
		if ctx.Err() != nil {
			return
		}
		switch {
		case err != nil && was:
			up.Set(0)
			s.log.LogAttrs(ctx, slog.LevelError, "the store is away: what needs it is refused until it is back", slog.Any("error", err))
		case err == nil && !was:
			up.Set(1)
			s.log.LogAttrs(ctx, slog.LevelInfo, "the store is back")
		}
		was = err == nil
	}
}
