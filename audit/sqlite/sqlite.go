// Package sqlite keeps a replica's audit log in one SQLite file, by itself: no
// other process, no other file than SQLite's own.
//
// New records are the head: a row for each batch, as it came. As soon as there are
// enough of them ([SegmentSize]) they become a segment: their encodings, compressed
// together; their hashes; and for each term (a principal, a model, a verdict) that
// is in it one row that says so. A search goes from term to segment to record. So a
// record costs few writes and little room, however few come at once, and an index
// row is paid for by the segment and not by the record. DESIGN.md says more.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
	_ "modernc.org/sqlite" // the driver

	"github.com/sluice-gateway/sluice/audit"
)

// SegmentSize is how many records make a segment.
const SegmentSize = 512

const (
	// busy is how long another connection's lock is waited for. There is none but a
	// person's with a tool of his own.
	busy = 5 * time.Second
	// bounded is how long a call takes at most whose context has no end.
	bounded = 30 * time.Second
	readers = 4
)

var (
	_ audit.Log      = (*Log)(nil)
	_ audit.Pruner   = (*Log)(nil)
	_ audit.Counter  = (*Log)(nil)
	_ audit.Single   = (*Log)(nil)
	_ audit.Owned    = (*Log)(nil)
	_ audit.Payloads = (*Log)(nil)
	_ audit.Marks    = (*Log)(nil)
)

// Log is a log in a file. It is safe for concurrent use.
type Log struct {
	path  string
	file  os.FileInfo // the file that was opened
	read  *sql.DB
	write *sql.DB

	compress *zstd.Encoder
	expand   *zstd.Decoder
	rooms    sync.Pool // of *[]byte, for expanded segments

	mu      sync.Mutex // held while writing
	lock    *os.File   // held while the log is this process's to write to
	conn    *sql.Conn
	sync    bool // what the connection is set to
	replica string
	size    uint64
	head    []audit.Entry // what is not in a segment yet
	high    int64         // the latest time in any segment
	back    int64         // how far times have ever gone back behind it
}

// errSchema is the answer to a file of a later version, or of something else.
var errSchema = errors.New("is not an audit log of this version")

// Open opens the log in a file, which is made if it is missing.
func Open(ctx context.Context, path string) (*Log, error) {
	l, err := open(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("audit log %s: %w", path, err)
	}
	return l, nil
}

func open(ctx context.Context, path string) (l *Log, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) // SQLite's own would be readable by others
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	l = &Log{path: path, file: info}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close())
		}
	}()
	if l.write, err = sql.Open("sqlite", dsn(path, "")); err != nil {
		return l, err
	}
	l.write.SetMaxOpenConns(1)
	if l.conn, err = l.write.Conn(ctx); err != nil {
		return l, err
	}
	if err := l.migrate(ctx); err != nil {
		return l, err
	}
	if l.read, err = sql.Open("sqlite", dsn(path, "&_pragma=query_only(1)")); err != nil {
		return l, err
	}
	l.read.SetMaxOpenConns(readers)
	l.compress, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(256<<10))
	if err != nil {
		return l, err
	}
	l.expand, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(readers), zstd.WithDecoderMaxMemory(SegmentSize*audit.MaxRecord))
	if err != nil {
		return l, err
	}
	return l, l.load(ctx)
}

func dsn(path, more string) string {
	return "file:" + (&url.URL{Path: path}).EscapedPath() + fmt.Sprintf("?_pragma=busy_timeout(%d)&_pragma=temp_store(2)&_pragma=cache_size(-16384)", busy.Milliseconds()) + more
}

// Single tells that a file has one replica's log.
func (l *Log) Single() {}

// Close ends the log. What was appended is in the file.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var err error
	if l.conn != nil {
		err = l.conn.Close()
	}
	for _, db := range []*sql.DB{l.write, l.read} {
		if db != nil {
			err = errors.Join(err, db.Close())
		}
	}
	if l.compress != nil {
		err = errors.Join(err, l.compress.Close())
	}
	if l.lock != nil {
		err = errors.Join(err, l.lock.Close())
	}
	if l.expand != nil {
		l.expand.Close()
	}
	return err
}

func bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, bounded)
}
