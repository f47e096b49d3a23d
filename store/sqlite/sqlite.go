// Package sqlite keeps items in one file, without any other process. It is the
// store of a single machine: several processes may use one file at once (the
// gateway and the command line), several machines may not, since SQLite's
// write-ahead log does not work on network file systems. Use package postgres
// for replicas.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/sluice-gateway/sluice/store"
)

const (
	// readers is how many reads go on at once, beside the one write.
	readers = 4
	// busy is how long a write waits for another process's; it ends before
	// [store.Timeout] does, so that the error says what was waited for.
	busy = 4 * time.Second
	// look is how often a store looks for commits of other processes, which it
	// has to hear of within a second. Looking is a read of shared memory.
	look = 200 * time.Millisecond
)

// Store keeps items in a file. It is safe for concurrent use.
type Store struct {
	path string
	// write is one connection: SQLite has one writer, and to wait for it here is
	// fair, in SQLite's lock it is not.
	write, read *sql.DB
	hub         store.Hub

	done    chan struct{}
	looking sync.WaitGroup
	once    sync.Once
	err     error
}

var _ store.Keeper = (*Store)(nil)

// Open opens a file, makes it if there is none (mode 0600, in a folder that must
// be there), and brings its schema up to date.
func Open(ctx context.Context, path string) (*Store, error) {
	if err := create(path); err != nil {
		return nil, store.Away(err)
	}
	s, err := connect(ctx, path)
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, s.write); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), s.shut())
	}
	s.looking.Go(s.look)
	return s, nil
}

// create makes the file. One that is there is not even opened here: closing it
// would take away the locks that this process holds on it by another store.
func create(path string) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return fmt.Errorf("%s is a folder; name a file in it", path)
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return fmt.Errorf("the folder of %s must be there: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil // made by another process since
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// connect opens the connections to a file that is there.
func connect(ctx context.Context, path string) (*Store, error) {
	ctx, cancel := store.Bound(ctx)
	defer cancel()
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	s := &Store{path: abs, done: make(chan struct{})}
	if s.write, err = sql.Open("sqlite", dsn(abs, "journal_mode(WAL)", "synchronous(FULL)")); err != nil {
		return nil, store.Away(err)
	}
	s.write.SetMaxOpenConns(1)
	var mode string
	if err := s.write.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return nil, errors.Join(store.Away(fmt.Errorf("%s: %w", path, err)), s.write.Close())
	}
	if mode != "wal" {
		return nil, errors.Join(store.Away(fmt.Errorf("%s: its file system has no write-ahead log (mode %s); use a local disk", path, mode)), s.write.Close())
	}
	if s.read, err = sql.Open("sqlite", dsn(abs, "query_only(1)")); err != nil {
		return nil, errors.Join(store.Away(err), s.write.Close())
	}
	s.read.SetMaxOpenConns(readers)
	s.read.SetMaxIdleConns(readers)
	return s, nil
}

// dsn names the file as a URI, which takes any path, with what is set on each
// connection. rw: a file that somebody has removed is not made anew in silence.
func dsn(abs string, pragmas ...string) string {
	q := url.Values{"mode": {"rw"}, "_txlock": {"immediate"}, "_pragma": append([]string{fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds())}, pragmas...)}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(abs), RawQuery: q.Encode()}).String()
}

// look hears of what other processes have committed: data_version changes with
// each such commit, and with none of this connection's own.
func (s *Store) look() {
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	last, err := s.version()
	away := err != nil
	for {
		select {
		case <-s.done:
			return
		case <-ticker.C:
		}
		if !s.hub.Watched() {
			continue
		}
		version, err := s.version()
		if err == nil && (away || version != last) {
			s.hub.TellAll()
		}
		away = err != nil
		last = version
	}
}

func (s *Store) version() (v int64, err error) {
	ctx, cancel := store.Bound(context.Background())
	defer cancel()
	err = s.write.QueryRowContext(ctx, "PRAGMA data_version").Scan(&v)
	return v, err
}

// Watch is [store.Store]'s. Changes of other processes are heard of within a
// fraction of a second, as hints without ID.
func (s *Store) Watch(ctx context.Context, kinds ...store.Kind) <-chan store.Hint {
	return s.hub.Watch(ctx, kinds...)
}

// Ping is [store.Store]'s: it writes.
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := store.Bound(ctx)
	defer cancel()
	_, err := s.write.ExecContext(ctx, "UPDATE sluice_ping SET at = at + 1")
	return s.away(ctx, err)
}

// Close is [store.Store]'s. Calls that go on end first.
func (s *Store) Close() error {
	s.once.Do(func() {
		close(s.done)
		s.looking.Wait()
		s.hub.Close()
		s.err = s.shut()
	})
	return s.err
}

func (s *Store) shut() error { return errors.Join(s.read.Close(), s.write.Close()) }

// away says of every error of the database that the store is away: a full disk,
// a file that can't be written, a damaged one. The end of a context is in it.
func (s *Store) away(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && !errors.Is(err, ctx.Err()):
		// SQLite says "interrupted" for it.
		return store.Away(fmt.Errorf("%w (%w)", ctx.Err(), err))
	}
	return store.Away(err)
}
