package postgres

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/segment"
	"github.com/sluice-gateway/sluice/pg"
)

// ErrTaken is the answer while another process writes the replica's log: it may
// end, or be cut off, so that trying again makes sense.
var ErrTaken = errors.New("another process writes this replica's log; each gateway needs an audit.key of its own")

var errClosed = errors.New("the log is closed")

const (
	// claimTime is how long [Log.Claim] waits for another writer to end.
	claimTime = 5 * time.Second
	claimStep = 200 * time.Millisecond
	// lockFirst and lockLast are the pauses between looks at a lock, each twice as long
	// as the one before: a second in all.
	lockFirst, lockLast = 2 * time.Millisecond, 512 * time.Millisecond
	// maxRecent bounds, in bytes, what is kept of batches that are not synced.
	maxRecent = 32 << 20
)

// writer is one replica's. Its connection holds an advisory lock: as long as it
// lives, no other process writes. Whatever goes wrong, the connection is given up
// and all is read anew.
type writer struct {
	*Log
	replica string
	mu      sync.Mutex
	closed  bool
	conn    *pgx.Conn // nil: not connected
	pid     uint32    // of the server's process that holds the lock, or held it last
	at      position
	// known is the size that was reached, and recent what of it a crash of the server
	// could take: everything since the last batch that was synced.
	known       uint64
	recent      []audit.Entry
	recentBytes int
}

// position is what the writer knows of its log in the database.
type position struct {
	id                  int32
	size, sealed, first uint64
	high, back          int64
	day                 time.Time
	head                []audit.Entry // what is not in a segment yet; of payloads, the words alone
}

func (l *Log) writer(replica string) *writer {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.writers[replica]
	if w == nil {
		w = &writer{Log: l, replica: replica}
		l.writers[replica] = w
	}
	return w
}

// drop gives up the connection. w.mu is held.
func (w *writer) drop() {
	if w.conn != nil {
		pg.Leave(w.conn)
		w.conn = nil
	}
}

// Claim makes this process the one that writes a replica's log, and keeps the
// replica's public key for who verifies it. It waits a while for a process before
// it to end; then it is [ErrTaken]. Another key of the same name is an error.
func (l *Log) Claim(ctx context.Context, replica, public string) error {
	ctx, cancel := context.WithTimeout(ctx, claimTime)
	defer cancel()
	w := l.writer(replica)
	w.mu.Lock()
	defer w.mu.Unlock()
	for taken := error(nil); ; {
		err := w.ready(ctx, lockLast)
		if err == nil {
			break
		}
		if errors.Is(err, ErrTaken) {
			taken = err
		} else if taken == nil || ctx.Err() == nil {
			return err
		}
		timer := time.NewTimer(claimStep)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return taken
		}
	}
	tag, err := w.conn.Exec(ctx, "UPDATE sluice_audit_replica SET public = $2 WHERE id = $1 AND public IN ('', $2)", w.at.id, public)
	if err == nil && tag.RowsAffected() != 1 {
		err = fmt.Errorf("audit log in PostgreSQL: %s is the name of another key", replica)
	}
	if err != nil {
		w.drop()
	}
	return err
}

// PublicKeys are those of all replicas that have claimed a log. Who can write to
// the database can have put them there: a key that is known from elsewhere counts
// for more.
func (l *Log) PublicKeys(ctx context.Context) ([]string, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	rows, err := l.pool.Query(ctx, "SELECT public FROM sluice_audit_replica WHERE public <> '' ORDER BY name")
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// ready connects, takes the lock, which it tries for with pauses up to the longest, and
// reads what there is, if that is not done. w.mu is held.
func (w *writer) ready(ctx context.Context, longest time.Duration) (err error) {
	if w.closed {
		return errClosed
	}
	if w.conn != nil && !w.conn.IsClosed() {
		return nil
	}
	cfg := w.pool.Config()
	if w.conn, err = pgx.ConnectConfig(ctx, cfg.ConnConfig); err != nil {
		w.conn = nil
		return err
	}
	defer func() {
		if err != nil {
			w.drop()
		}
	}()
	if err := settle(ctx, w.conn); err != nil {
		return err
	}
	if err := w.lock(ctx, longest); err != nil {
		return err
	}
	if err := w.load(ctx); err != nil {
		return err
	}
	return w.again(ctx)
}

// lock takes the replica's lock. A server needs a moment to notice that the
// connection before, which may have been this writer's own, is gone.
func (w *writer) lock(ctx context.Context, longest time.Duration) error {
	h := fnv.New32a()
	_, _ = h.Write([]byte(w.replica))
	for pause := lockFirst; ; pause *= 2 {
		free := false
		if err := w.conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1, $2)", int32(lockClass), int32(h.Sum32())).Scan(&free); err != nil {
			return err
		}
		if free {
			w.pid = w.conn.PgConn().PID()
			return nil
		}
		// Where the network broke, the server may keep the connection before for long.
		if _, err := w.conn.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = $1
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND classid::bigint = $2 AND objid::bigint = $3`, int32(w.pid), int64(lockClass), int64(h.Sum32())); err != nil {
			return err
		}
		if pause > longest {
			return fmt.Errorf("audit log in PostgreSQL: %w", ErrTaken)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// load reads what the writer has to know of what is there.
func (w *writer) load(ctx context.Context) error {
	if _, err := w.conn.Exec(ctx, "INSERT INTO sluice_audit_replica (name) VALUES ($1) ON CONFLICT DO NOTHING", w.replica); err != nil {
		return err
	}
	var p position
	err := w.conn.QueryRow(ctx, "SELECT id, size, sealed, first, high, back, day FROM sluice_audit_replica WHERE name = $1", w.replica).
		Scan(&p.id, &p.size, &p.sealed, &p.first, &p.high, &p.back, &p.day)
	if err != nil {
		return err
	}
	rows, err := w.conn.Query(ctx, "SELECT first, n, leaves, body FROM sluice_audit_head WHERE replica = $1 ORDER BY first", p.id)
	if err != nil {
		return err
	}
	head, damaged, err := readHead(rows, w.replica)
	if err != nil {
		return err
	}
	if len(damaged) > 0 {
		return damaged[0] // what is not in a segment yet has to be whole to become one
	}
	p.head = head
	if err := w.words(ctx, &p); err != nil {
		return err
	}
	w.at = p
	return nil
}

// words puts back the words of the head's payloads, which its index rows are made of.
func (w *writer) words(ctx context.Context, p *position) error {
	rows, err := w.conn.Query(ctx, "SELECT seq, words FROM sluice_audit_payload WHERE replica = $1 AND seq >= $2 AND day = $3", p.id, p.sealed, p.day)
	if err != nil {
		return err
	}
	for rows.Next() {
		var seq uint64
		var packed []byte
		if err := rows.Scan(&seq, &packed); err != nil {
			return errors.Join(err, rows.Err())
		}
		for i := range p.head {
			if p.head[i].Place == seq {
				p.head[i].Payload = &audit.Payload{Words: segment.UnpackWords(packed)}
			}
		}
	}
	return rows.Err()
}

// again writes what a crash of the server took though it had said that it is
// there: batches since the last that was synced.
func (w *writer) again(ctx context.Context) error {
	if w.at.size >= w.known {
		return nil
	}
	missing := w.known - w.at.size
	if missing > uint64(len(w.recent)) {
		return fmt.Errorf("%w: %s has %d records and had %d, which were synced: an older state of the database was put in its place", audit.ErrOutOfOrder, w.replica, w.at.size, w.known)
	}
	entries := w.recent[uint64(len(w.recent))-missing:]
	if err := w.write(ctx, audit.Batch{Replica: w.replica, Sync: true}, entries); err != nil {
		return err
	}
	return nil
}

// Append is [audit.Log]'s.
func (l *Log) Append(ctx context.Context, b audit.Batch) error {
	ctx, cancel := bound(ctx)
	defer cancel()
	w := l.writer(b.Replica)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.append(ctx, b); err != nil {
		if !errors.Is(err, audit.ErrOutOfOrder) {
			w.drop() // what became of it is not known
			if !errors.Is(err, ErrTaken) && pg.Broken(err) {
				l.pool.Reset() // the idle connections have likely gone with it
			}
		}
		return err
	}
	return nil
}

func (w *writer) append(ctx context.Context, b audit.Batch) error {
	if err := w.ready(ctx, lockLast); err != nil {
		return err
	}
	fresh, err := w.fresh(ctx, b)
	if err != nil {
		return err
	}
	if len(fresh) == 0 && b.Checkpoint == nil && (!b.Sync || len(w.recent) == 0) {
		return nil
	}
	return w.write(ctx, b, fresh)
}

// fresh is what of a batch is not there yet. What is there has to be the same.
func (w *writer) fresh(ctx context.Context, b audit.Batch) ([]audit.Entry, error) {
	size := w.at.size
	for i, e := range b.Entries {
		if seq := e.Record.Seq; seq != b.Entries[0].Record.Seq+uint64(i) || seq > size+uint64(i) {
			return nil, fmt.Errorf("%w: record %d, the log has %d", audit.ErrOutOfOrder, seq, size)
		}
	}
	if len(b.Entries) == 0 || b.Entries[0].Record.Seq == size {
		return b.Entries, nil
	}
	from := b.Entries[0].Record.Seq
	old := b.Entries[:min(size-from, uint64(len(b.Entries)))]
	for len(old) > 0 {
		have, err := leavesFrom(ctx, w.conn, w.at.id, old[0].Record.Seq)
		if err != nil {
			return nil, err
		}
		n := min(len(have), len(old))
		if n == 0 {
			return nil, fmt.Errorf("audit log in PostgreSQL: the hash of record %d of %s is missing", old[0].Record.Seq, w.replica)
		}
		for i, e := range old[:n] {
			if e.Leaf != have[i] {
				return nil, fmt.Errorf("%w: record %d is there and is another", audit.ErrOutOfOrder, e.Record.Seq)
			}
		}
		old = old[n:]
	}
	return b.Entries[min(size-from, uint64(len(b.Entries))):], nil
}

// keep remembers what was written until a batch is synced.
func (w *writer) keep(fresh []audit.Entry, synced bool) {
	w.known = w.at.size
	if synced {
		w.recent, w.recentBytes = nil, 0
		return
	}
	w.recent = append(w.recent, fresh...)
	w.recentBytes += weight(fresh)
}

// weight is what entries take in memory, by and large.
func weight(entries []audit.Entry) (n int) {
	for i := range entries {
		n += 3 * len(entries[i].Bytes)
		if p := entries[i].Payload; p != nil {
			n += len(p.Body)
		}
	}
	return n
}

// light leaves out the payloads' bodies: the head keeps only what indexes need.
func light(entries []audit.Entry) []audit.Entry {
	out := slices.Clone(entries)
	for i := range out {
		out[i].Place = out[i].Record.Seq
		if p := out[i].Payload; p != nil {
			out[i].Payload = &audit.Payload{Words: p.Words}
		}
	}
	return out
}
