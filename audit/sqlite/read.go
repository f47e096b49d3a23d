package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/segment"
)

// piece is a row of the head.
type piece struct {
	first   int64
	entries []audit.Entry
	damaged error // in place of them
}

// readHead reads rows of the head.
func (l *Log) readHead(rows *sql.Rows) (all []piece, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var p piece
		var n int64
		var leaves, body []byte
		if err := rows.Scan(&p.first, &n, &leaves, &body); err != nil {
			return nil, err
		}
		entries, err := segment.Unpack(p.first, body, leaves, int(n), nil)
		if p.entries = entries; err != nil {
			p.entries, p.damaged = nil, l.damaged(p.first, n, err)
		}
		all = append(all, p)
	}
	return all, rows.Err()
}

func (l *Log) damaged(first, n int64, cause error) error {
	return &audit.DamagedError{Replica: l.name(), First: uint64(first), Last: uint64(first + n - 1), Cause: cause}
}

func (l *Log) name() string {
	var name string
	_ = l.read.QueryRow("SELECT replica FROM state").Scan(&name) // of an error's text only
	return name
}

// readSegment reads a segment's records, or those of them that a term is in.
func (l *Log) readSegment(ctx context.Context, tx reader, c candidate) ([]audit.Entry, error) {
	var block, leaves []byte
	err := tx.QueryRowContext(ctx, "SELECT b.body, l.leaves FROM block b JOIN leaf l ON l.first = b.first WHERE b.first = ?", c.first).Scan(&block, &leaves)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, l.damaged(c.first, c.n, err)
	}
	room, _ := l.rooms.Get().(*[]byte)
	if room == nil {
		room = new([]byte)
	}
	body, err := l.expand.DecodeAll(block, (*room)[:0])
	if err != nil {
		return nil, l.damaged(c.first, c.n, err)
	}
	if c.at != nil { // what is found is copied; else it is most of it, and kept as it is
		*room = body
		defer l.rooms.Put(room)
	}
	entries, err := segment.Unpack(c.first, body, leaves, int(c.n), c.at)
	if err != nil {
		return nil, l.damaged(c.first, c.n, err)
	}
	return entries, nil
}

// Get is [audit.Log]'s.
func (l *Log) Get(ctx context.Context, replica string, seq uint64) (audit.Entry, error) {
	q := audit.Query{Replica: replica, Oldest: true, Limit: 1}
	if seq > 0 {
		q.After = fmt.Sprint(seq - 1)
	}
	for found, err := range l.Search(ctx, q) {
		if err != nil {
			return audit.Entry{}, err
		}
		if found.Place == seq {
			return found.Entry, nil
		}
		break
	}
	return audit.Entry{}, audit.ErrNotFound
}

// States is [audit.Tree]'s.
func (l *Log) States(ctx context.Context) ([]audit.State, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	var s audit.State
	err := l.read.QueryRowContext(ctx, "SELECT replica, size, first FROM state").Scan(&s.Replica, &s.Size, &s.First)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	row := l.read.QueryRowContext(ctx, "SELECT size, root, time, note FROM checkpoint ORDER BY size DESC LIMIT 1")
	if s.Last, err = scanCheckpoint(row, s.Replica); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	return []audit.State{s}, nil
}

// reader is a transaction or the writing connection.
type reader interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

type scanner interface{ Scan(into ...any) error }

func scanCheckpoint(row scanner, replica string) (audit.Checkpoint, error) {
	c := audit.Checkpoint{Replica: replica}
	var root []byte
	var at int64
	if err := row.Scan(&c.Size, &root, &at, &c.Note); err != nil {
		return audit.Checkpoint{}, err
	}
	copy(c.Root[:], root)
	c.Time = time.UnixMicro(at).UTC()
	return c, nil
}

// Checkpoints is [audit.Tree]'s.
func (l *Log) Checkpoints(ctx context.Context, replica string, size uint64) iter.Seq2[audit.Checkpoint, error] {
	return audit.CheckpointPages(size, func(size uint64) ([]audit.Checkpoint, error) { return l.checkpoints(ctx, replica, size) })
}

const checkpointPage = 500

func (l *Log) checkpoints(ctx context.Context, replica string, size uint64) (all []audit.Checkpoint, err error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	rows, err := l.read.QueryContext(ctx, "SELECT size, root, time, note FROM checkpoint WHERE size >= ? ORDER BY size LIMIT ?", size, checkpointPage)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		c, err := scanCheckpoint(rows, replica)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, rows.Err()
}

// Leaves is [audit.Tree]'s. What is missing in the middle ends it.
func (l *Log) Leaves(ctx context.Context, _ string, from uint64) iter.Seq2[[][hashSize]byte, error] {
	return audit.LeafPages(from, func(from uint64) ([][hashSize]byte, error) { return l.leavesFrom(ctx, from) })
}

// leavesFrom reads the hashes of one segment, from a record on, or of one row of
// the head.
func (l *Log) leavesFrom(ctx context.Context, from uint64) ([][hashSize]byte, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	const query = `SELECT first, leaves FROM (SELECT first, leaves FROM leaf WHERE first <= ?1 AND first + n > ?1 ORDER BY first DESC LIMIT 1)
		UNION ALL SELECT first, leaves FROM head WHERE first <= ?1 AND first + n > ?1 LIMIT 1`
	var first uint64
	var packed []byte
	err := l.read.QueryRowContext(ctx, query, from).Scan(&first, &packed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	leaves := make([][hashSize]byte, len(packed)/hashSize)
	for i := range leaves {
		leaves[i] = [hashSize]byte(packed[i*hashSize:])
	}
	return leaves[min(from-first, uint64(len(leaves))):], nil
}

func (l *Log) leafAt(ctx context.Context, seq uint64) (leaf [hashSize]byte, err error) {
	leaves, err := l.leavesFrom(ctx, seq)
	if err == nil && len(leaves) == 0 {
		err = audit.ErrNotFound
	}
	if err == nil {
		leaf = leaves[0]
	}
	return leaf, err
}

// Stats is [audit.Counter]'s.
func (l *Log) Stats(ctx context.Context) (s audit.Stats, err error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	const query = `SELECT coalesce((SELECT size - first FROM state), 0), (SELECT count(*) FROM payload),
		(SELECT page_count FROM pragma_page_count) * (SELECT page_size FROM pragma_page_size)`
	if err := l.read.QueryRowContext(ctx, query).Scan(&s.Records, &s.Payloads, &s.Bytes); err != nil {
		return s, err
	}
	return s, s.SetTimes(ctx, l)
}
