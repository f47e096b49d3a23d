package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/audittest"
	"github.com/sluice-gateway/sluice/audit/merkle"
	"github.com/sluice-gateway/sluice/audit/sqlite"
)

// faulty is a recorder on a file, that waits for little; yet for longer than a busy
// disk takes.
func faulty(t *testing.T, path string) (*audit.Recorder, *sqlite.Log) {
	t.Helper()
	l := open(t, path)
	t.Cleanup(func() { _ = l.Close() }) // a recorder that gives its log up leaves it open
	key, err := merkle.OpenKey(path + ".key")
	if err != nil {
		t.Fatal(err)
	}
	o := audit.Options{Log: l, Key: key, Logger: slog.New(slog.DiscardHandler)}
	o.Config.SetDefaults()
	o.Config.OnFailure, o.Config.Wait, o.Config.Queue = audit.Continue, 3*time.Second, 300
	r, err := audit.NewRecorder(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r, l
}

func refusedAsAway(err error) bool {
	e, ok := access.AsError(err)
	return ok && e != nil && e.Reason == access.ReasonAuditAway
}

// TestFaultsAreCountedAndToldOf breaks the file under a recorder that goes on: a
// strict record is refused, what the queue has no place for is counted, and once
// the fault is gone the log says how many are missing.
func TestFaultsAreCountedAndToldOf(t *testing.T) {
	tests := map[string]struct {
		breaks, heals func(t *testing.T, l *sqlite.Log, path string)
	}{
		"disk full": {
			func(t *testing.T, l *sqlite.Log, _ string) { must(t, l.Exec(t.Context(), "PRAGMA max_page_count = 1")) },
			func(t *testing.T, l *sqlite.Log, _ string) {
				must(t, l.Exec(t.Context(), "PRAGMA max_page_count = 1000000"))
			},
		},
		"read-only": {
			func(t *testing.T, l *sqlite.Log, _ string) { must(t, l.Exec(t.Context(), "PRAGMA query_only = ON")) },
			func(t *testing.T, l *sqlite.Log, _ string) { must(t, l.Exec(t.Context(), "PRAGMA query_only = OFF")) },
		},
		"file moved away": {
			func(t *testing.T, _ *sqlite.Log, path string) { must(t, os.Rename(path, path+".away")) },
			func(t *testing.T, _ *sqlite.Log, path string) { must(t, os.Rename(path+".away", path)) },
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.db")
			r, l := faulty(t, path)
			for i := range 10 {
				must(t, r.Write(t.Context(), audittest.Infer(i), nil))
			}
			tt.breaks(t, l, path)
			large := &audit.Payload{ID: "p", Body: make([]byte, 1<<20)}
			if err := r.Write(t.Context(), audittest.Infer(10), large); !refusedAsAway(err) {
				t.Errorf("a strict record: %v", err)
			}
			for i := range 1000 {
				must(t, r.Admit(t.Context()))
				r.Record(audittest.Infer(11+i), nil)
			}
			if s := r.Status(); s.Lost != 701 || s.Queued != 300 || s.Failures == 0 {
				t.Errorf("status is %+v", s)
			}
			tt.heals(t, l, path)
			for r.Status().Queued > 0 { // until what is between attempts to write is over
				time.Sleep(time.Millisecond)
			}
			must(t, r.Write(t.Context(), audittest.Infer(2000), nil))
			gap := uint64(0)
			for f, err := range l.Search(t.Context(), audit.Query{Kinds: []audit.Kind{audit.KindGap}}) {
				must(t, err)
				gap += f.Record.Count
			}
			if lost := r.Status().Lost; gap != lost || lost < 701 {
				t.Errorf("%d are lost, and the log tells of %d", lost, gap)
			}
			_ = r.Close() // says what was lost
			verified(t, path)
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func verified(t *testing.T, path string) {
	t.Helper()
	key, err := merkle.OpenKey(path + ".key")
	must(t, err)
	l := open(t, path)
	defer func() { must(t, l.Close()) }()
	r, err := audit.Verify(t.Context(), l, audit.VerifyOptions{Keys: []string{key.Public()}})
	if err != nil || len(r.Findings) > 0 {
		t.Errorf("found %v, %v", r, err)
	}
}

// A file that is deleted takes what was in it along, and nothing is written into
// the void: the log stays broken, and does not begin anew as if nothing had been.
func TestADeletedFileIsNoticed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.db")
	r, _ := faulty(t, path)
	must(t, r.Write(t.Context(), audittest.Infer(0), nil))
	must(t, os.Remove(path))
	if err := r.Write(t.Context(), audittest.Infer(1), nil); !refusedAsAway(err) {
		t.Errorf("got %v", err)
	}
	_ = r.Close()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is made anew: %v", err)
	}
}

// Another program that holds the file's lock is waited for, not for ever.
func TestALockedFileIsWaitedFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.db")
	r, l := faulty(t, path)
	must(t, r.Write(t.Context(), audittest.Infer(0), nil))
	other, err := sql.Open("sqlite", path)
	must(t, err)
	conn, err := other.Conn(t.Context())
	must(t, err)
	_, err = conn.ExecContext(t.Context(), "BEGIN IMMEDIATE")
	must(t, err)
	began := time.Now()
	if err := r.Write(t.Context(), audittest.Infer(1), nil); !refusedAsAway(err) || time.Since(began) > 30*time.Second {
		t.Errorf("got %v after %v", err, time.Since(began))
	}
	_, err = conn.ExecContext(context.WithoutCancel(t.Context()), "ROLLBACK")
	must(t, errors.Join(err, conn.Close(), other.Close()))
	for r.Status().Queued > 0 {
		time.Sleep(time.Millisecond)
	}
	if e, err := l.Get(t.Context(), r.Replica(), 1); err != nil || e.Record.Call != audittest.Infer(1).Call {
		t.Errorf("what was refused for its time is written all the same: %v", err)
	}
	_ = r.Close()
	verified(t, path)
}

// What can't be read on one page does not take the rest of the log along.
func TestACorruptPageIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.db")
	l := open(t, path)
	must(t, l.Append(t.Context(), audit.Batch{Replica: audittest.Replica, Entries: audittest.Infers(audittest.Replica, 0, 2100), Sync: true}))
	must(t, l.Exec(t.Context(), "UPDATE block SET body = zeroblob(length(body)) WHERE first = 1024"))
	must(t, l.Exec(t.Context(), "UPDATE head SET body = zeroblob(length(body))"))
	must(t, l.Close())
	l = open(t, path)
	defer func() { must(t, l.Close()) }()
	for _, oldest := range []bool{true, false} {
		read, damaged := 0, uint64(0)
		for _, err := range l.Search(t.Context(), audit.Query{Oldest: oldest}) {
			var d *audit.DamagedError
			switch {
			case errors.As(err, &d):
				damaged += d.Last - d.First + 1
			case err != nil:
				t.Fatal(err)
			default:
				read++
			}
		}
		if read != 3*512 || damaged != 512+52 {
			t.Errorf("oldest %v: %d records are read, %d told of as damaged", oldest, read, damaged)
		}
	}
	must(t, l.Append(t.Context(), audit.Batch{Replica: audittest.Replica, Entries: audittest.Infers(audittest.Replica, 0, 2200)[2100:]}))
	if e, err := l.Get(t.Context(), audittest.Replica, 2150); err != nil || e.Record.Call != audittest.Infer(2150).Call {
		t.Errorf("it does not go on: %v", err)
	}
	r, err := audit.Verify(t.Context(), l, audit.VerifyOptions{})
	if err != nil || len(r.Findings) != 2 || r.Findings[0].Fault != audit.Unreadable || r.Findings[0].First != 1024 || r.Findings[1].First != 2048 {
		t.Errorf("found %v, %v", r, err)
	}
}

// Pages of the file itself are overwritten, wherever they are: no search and no
// verification takes the damage for records, or ends the process.
func TestRandomPages(t *testing.T) {
	for page := 1; page < 40; page += 3 {
		path := filepath.Join(t.TempDir(), "audit.db")
		l := open(t, path)
		must(t, l.Append(t.Context(), audit.Batch{Replica: audittest.Replica, Entries: audittest.Infers(audittest.Replica, 0, 1500), Sync: true}))
		must(t, l.Exec(t.Context(), "PRAGMA wal_checkpoint(TRUNCATE)"))
		must(t, l.Close())
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		must(t, err)
		junk := make([]byte, 8192)
		for i := range junk {
			junk[i] = byte(i * page)
		}
		_, err = f.WriteAt(junk, int64(page)*8192)
		must(t, errors.Join(err, f.Close()))
		l, err = sqlite.Open(t.Context(), path)
		if err != nil {
			continue // said at once
		}
		n, failed := 0, false
		for f, err := range l.Search(t.Context(), audit.Query{Oldest: true}) {
			if err != nil {
				failed = true
				continue
			}
			if merkle.Leaf(f.Bytes) == f.Leaf {
				n++
			}
		}
		r, err := audit.Verify(t.Context(), l, audit.VerifyOptions{})
		if n < 1500 && !failed && err == nil && len(r.Findings) == 0 {
			t.Errorf("page %d: %d records are there, and nobody says that some are not", page, n)
		}
		_ = l.Close()
	}
}

func TestAFileOfAnotherKindIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.db")
	db, err := sql.Open("sqlite", path)
	must(t, err)
	_, err = db.Exec("CREATE TABLE t (x); PRAGMA user_version = 7")
	must(t, errors.Join(err, db.Close()))
	if _, err := sqlite.Open(t.Context(), path); err == nil {
		t.Error("it is opened")
	}
	if err := os.WriteFile(path, []byte("no database at all, but long enough to be taken for one"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), path); err == nil {
		t.Error("it is opened")
	}
}

func TestTheFilesAreTheOwnersAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.db")
	l := open(t, path)
	defer func() { must(t, l.Close()) }()
	must(t, l.Append(t.Context(), audit.Batch{Replica: audittest.Replica, Entries: audittest.Infers(audittest.Replica, 0, 10)}))
	for _, end := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + end)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", end, info.Mode(), err)
		}
	}
}
