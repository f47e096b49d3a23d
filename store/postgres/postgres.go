// Package postgres keeps items in PostgreSQL, which several replicas share:
// LISTEN and NOTIFY tell each of them what another has changed. Connections must
// last as long as sessions do: a pooler between that hands out a connection for
// each transaction does not pass notices on, and hints are then no faster than
// [store.Poll].
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sluice-gateway/sluice/pg"
	"github.com/sluice-gateway/sluice/store"
)

// connections is how many calls go on at once, unless the connection string says
// pool_max_conns.
const connections = 10

// Store keeps items in a database. It is safe for concurrent use.
type Store struct {
	pool *pgxpool.Pool
	log  *slog.Logger
	hub  store.Hub

	stop      context.CancelFunc
	listening sync.WaitGroup
	once      sync.Once
}

var _ store.Keeper = (*Store)(nil)

// Options are what [Open] may be told.
type Options struct {
	// Logger hears when notices can't be listened to; nobody if nil.
	Logger *slog.Logger
}

// Open connects to the database of a connection string (a URL or key=value
// pairs, as all PostgreSQL clients take) and brings its schema up to date.
func Open(ctx context.Context, url string, o Options) (*Store, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	pool, err := connect(ctx, url)
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, pool); err != nil {
		pool.Close()
		return nil, err
	}
	// Not ctx: that is only how long opening may take.
	listening, stop := context.WithCancel(context.Background())
	s := &Store{pool: pool, log: o.Logger, stop: stop}
	s.listening.Go(func() { s.listen(listening) })
	return s, nil
}

// connect makes a pool; it does not wait for the server.
func connect(ctx context.Context, url string) (*pgxpool.Pool, error) {
	cfg, err := pg.Settings(url, connections, "sluice", settle)
	if err != nil {
		return nil, err
	}
	return pgxpool.NewWithConfig(ctx, cfg)
}

// settle sets up a connection: what is committed is on disk, whatever the
// database's default is, and a replica that hangs in a transaction does not hold
// its locks for ever.
func settle(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `SELECT set_config('idle_in_transaction_session_timeout', '10s', false),
		CASE current_setting('synchronous_commit') WHEN 'off' THEN set_config('synchronous_commit', 'on', false) END`)
	return err
}

// Watch is [store.Store]'s.
func (s *Store) Watch(ctx context.Context, kinds ...store.Kind) <-chan store.Hint {
	return s.hub.Watch(ctx, kinds...)
}

// Ping is [store.Store]'s: it writes.
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := store.Bound(ctx)
	defer cancel()
	_, err := s.pool.Exec(ctx, "UPDATE sluice_ping SET at = at + 1")
	return s.away(ctx, err)
}

// Close is [store.Store]'s. Calls that go on end first.
func (s *Store) Close() error {
	s.once.Do(func() {
		s.stop()
		s.listening.Wait()
		s.hub.Close()
		s.pool.Close()
	})
	return nil
}

// away says of every error of the database or the way to it that the store is
// away. What broke a connection has likely broken the idle ones too.
func (s *Store) away(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() == nil && pg.Broken(err) {
		s.pool.Reset()
	}
	if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		return store.Away(fmt.Errorf("%w (%w)", ctx.Err(), err))
	}
	return store.Away(err)
}
