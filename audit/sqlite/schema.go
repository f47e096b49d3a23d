package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/sluice-gateway/sluice/audit/segment"
)

// version is the schema's, kept in the file's user_version.
const version = 2

// The tables. That of payloads has rows apart from its keys: of a table WITHOUT ROWID, a
// search would read each row on its way that is longer than a page has room for.
const schema = `
CREATE TABLE state (
	id INTEGER PRIMARY KEY CHECK (id = 1), replica TEXT NOT NULL, size INTEGER NOT NULL, first INTEGER NOT NULL, back INTEGER NOT NULL);
CREATE TABLE head (first INTEGER PRIMARY KEY, n INTEGER NOT NULL, leaves BLOB NOT NULL, body BLOB NOT NULL);
CREATE TABLE segment (
	first INTEGER PRIMARY KEY, n INTEGER NOT NULL, low INTEGER NOT NULL, top INTEGER NOT NULL, high INTEGER NOT NULL);
CREATE INDEX segment_high ON segment (high);
CREATE INDEX segment_unread ON segment (first) WHERE low = %d;
CREATE TABLE block (first INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE calls (id INTEGER PRIMARY KEY, ids BLOB NOT NULL);
CREATE TABLE term (
	span INTEGER NOT NULL, key INTEGER NOT NULL, first INTEGER NOT NULL, at BLOB NOT NULL, PRIMARY KEY (span, key, first)) WITHOUT ROWID;
CREATE TABLE leaf (first INTEGER PRIMARY KEY, n INTEGER NOT NULL, leaves BLOB NOT NULL);
CREATE TABLE checkpoint (size INTEGER PRIMARY KEY, root BLOB NOT NULL, time INTEGER NOT NULL, note BLOB NOT NULL);
CREATE TABLE payload (id TEXT PRIMARY KEY, seq INTEGER NOT NULL, key TEXT NOT NULL, words BLOB NOT NULL, body BLOB NOT NULL);
CREATE INDEX payload_seq ON payload (seq);
CREATE INDEX payload_key ON payload (key);
CREATE TABLE datakey (id TEXT PRIMARY KEY, sealed BLOB NOT NULL);
CREATE TABLE mark (name TEXT PRIMARY KEY, cursor TEXT NOT NULL);
`

// migrate makes the tables of a new file, and refuses a file that it does not know.
func (l *Log) migrate(ctx context.Context) error {
	for _, pragma := range []string{"page_size = 8192", "journal_mode = WAL", "synchronous = NORMAL", "secure_delete = FAST", "wal_autocheckpoint = 2000"} {
		if _, err := l.conn.ExecContext(ctx, "PRAGMA "+pragma); err != nil {
			return err
		}
	}
	var have, application int
	if err := l.conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&have); err != nil {
		return err
	}
	if err := l.conn.QueryRowContext(ctx, "PRAGMA application_id").Scan(&application); err != nil {
		return err
	}
	switch {
	case have == version && application == applicationID:
		return nil
	case have != 0 || application != 0:
		return errSchema
	}
	return l.within(ctx, func(tx *sql.Conn) error {
		_, err := tx.ExecContext(ctx, fmt.Sprintf(schema+"PRAGMA user_version = %d; PRAGMA application_id = %d", never, version, applicationID))
		return err
	})
}

// applicationID marks the file as ours: "SLau".
const applicationID = 0x534c6175

// within runs f in a transaction of the writing connection. What ends ctx ends f,
// and undoes it; the COMMIT itself is not broken off, so that its outcome is known.
// It is not database/sql's own transaction: that one leaves SQLite's open where a
// context ends at the wrong moment.
func (l *Log) within(ctx context.Context, f func(*sql.Conn) error) error {
	if _, err := l.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		l.undo(ctx) // it may have begun all the same
		return err
	}
	if err := f(l.conn); err != nil {
		l.undo(ctx)
		return err
	}
	if _, err := l.conn.ExecContext(context.WithoutCancel(ctx), "COMMIT"); err != nil {
		l.undo(ctx)
		return err
	}
	return nil
}

// undo ends a transaction if there is one.
func (l *Log) undo(ctx context.Context) {
	_, _ = l.conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
}

// load reads what the writer has to know of what is there.
func (l *Log) load(ctx context.Context) error {
	err := l.conn.QueryRowContext(ctx, "SELECT replica, size, back FROM state").Scan(&l.replica, &l.size, &l.back)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := l.conn.QueryRowContext(ctx, "SELECT coalesce(max(high), 0) FROM segment").Scan(&l.high); err != nil {
		return err
	}
	rows, err := l.conn.QueryContext(ctx, "SELECT first, n, leaves, body FROM head ORDER BY first")
	if err != nil {
		return err
	}
	pieces, err := l.readHead(rows)
	for _, p := range pieces {
		if p.damaged != nil {
			return l.setAside(ctx)
		}
		l.head = append(l.head, p.entries...)
	}
	return err
}

// setAside makes each row of a head of which one is damaged a segment of its own:
// what can't be read stays in its place, is found out by who reads it, and the log
// goes on behind it.
func (l *Log) setAside(ctx context.Context) error {
	type row struct {
		first, n     int64
		leaves, body []byte
	}
	var all []row
	rows, err := l.conn.QueryContext(ctx, "SELECT first, n, leaves, body FROM head ORDER BY first")
	if err != nil {
		return err
	}
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.first, &r.n, &r.leaves, &r.body); err != nil {
			return errors.Join(err, rows.Close())
		}
		all = append(all, r)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	w := writing{Log: l, ctx: ctx, high: l.high, back: l.back}
	err = l.within(ctx, func(tx *sql.Conn) error {
		w.tx = tx
		for _, r := range all {
			entries, err := segment.Unpack(r.first, r.body, r.leaves, int(r.n), nil)
			if err == nil {
				err = w.seal(entries)
			} else {
				err = errors.Join(
					w.exec("INSERT INTO segment (first, n, low, top, high) VALUES (?, ?, ?, ?, ?)", r.first, r.n, never, w.high, w.high),
					w.exec("INSERT INTO leaf (first, n, leaves) VALUES (?, ?, ?)", r.first, r.n, r.leaves),
					w.exec("INSERT INTO block (first, body) VALUES (?, ?)", r.first, r.body))
			}
			if err != nil {
				return err
			}
		}
		return w.exec("DELETE FROM head")
	})
	l.head, l.high, l.back = nil, w.high, w.back
	return err
}
