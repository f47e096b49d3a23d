// Package postgres keeps the audit logs of any number of replicas in one
// PostgreSQL database.
//
// A replica's new records are its head: a row for each batch, as it came. As soon
// as there are enough of them they become a segment: their encodings, compressed
// together; their hashes; and for each term (a principal, a model, a verdict) that
// is in it one row that says so. Segments, terms and payloads are in tables that
// have a part for each day, so that old ones are dropped and not deleted. DESIGN.md
// says more.
//
// It is not a stream for others to read from (see jetstream), and PostgreSQL's own
// backups and replicas are its operator's.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/klauspost/compress/zstd"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/pg"
)

// bounded is how long a call takes at most whose context has no end.
const bounded = 30 * time.Second

var (
	_ audit.Log      = (*Log)(nil)
	_ audit.Pruner   = (*Log)(nil)
	_ audit.Shared   = (*Log)(nil)
	_ audit.Counter  = (*Log)(nil)
	_ audit.Payloads = (*Log)(nil)
	_ audit.Marks    = (*Log)(nil)
)

// Log is a database with logs in it. It is safe for concurrent use.
type Log struct {
	pool     *pgxpool.Pool
	log      *slog.Logger
	compress *zstd.Encoder
	expand   *zstd.Decoder
	days     sync.Map // of time.Time, those whose tables are there

	mu      sync.Mutex
	writers map[string]*writer
}

// Options are what [Open] may be told.
type Options struct {
	// Logger hears of what needs no answer; nobody if nil.
	Logger *slog.Logger
}

// Open connects to the database of a connection string (a URL or key=value pairs,
// as all PostgreSQL clients take) and makes its tables if they are missing.
func Open(ctx context.Context, url string, o Options) (*Log, error) {
	l, err := open(ctx, url, o)
	if err != nil {
		return nil, fmt.Errorf("audit log in PostgreSQL: %w", err)
	}
	return l, nil
}

func open(ctx context.Context, url string, o Options) (*Log, error) {
	l := &Log{log: o.Logger, writers: make(map[string]*writer)}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	cfg, err := pg.Settings(url, readers, "sluice audit", settle)
	if err != nil {
		return nil, err
	}
	l.compress, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(256<<10))
	if err != nil {
		return nil, err
	}
	l.expand, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(readers), zstd.WithDecoderMaxMemory(maxSegment*audit.MaxRecord))
	if err != nil {
		return nil, err
	}
	if l.pool, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	if err := migrate(ctx, l.pool); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Close ends the log. What was appended is in the database.
func (l *Log) Close() error {
	l.mu.Lock()
	for _, w := range l.writers {
		w.mu.Lock()
		w.drop()
		w.closed = true
		w.mu.Unlock()
	}
	l.mu.Unlock()
	if l.pool != nil {
		l.pool.Close()
	}
	l.expand.Close()
	return l.compress.Close()
}

func bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, bounded)
}

// hashSize is how long a leaf is, in bytes.
const hashSize = 32
