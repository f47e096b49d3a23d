package sqlite_test

import (
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/audittest"
	"github.com/sluice-gateway/sluice/audit/merkle"
	"github.com/sluice-gateway/sluice/audit/sqlite"
)

// kept is a log that was written, signed and closed, for an attacker to change.
type kept struct {
	t         *testing.T
	dir, path string
	key       *merkle.Key
}

// record writes records to the log in k, in parts with a checkpoint behind each.
func (k *kept) record(from, to int) {
	k.t.Helper()
	r := k.recorder()
	for i := from; i < to; i++ {
		r.Record(audittest.Infer(i), nil)
		if i%500 == 499 {
			if err := r.Write(k.t.Context(), &audit.Record{Kind: audit.KindReload}, nil); err != nil {
				k.t.Fatal(err)
			}
		}
	}
	if err := r.Close(); err != nil {
		k.t.Fatal(err)
	}
}

func (k *kept) recorder(change ...func(*audit.Options)) *audit.Recorder {
	k.t.Helper()
	r, err := k.open(change...)
	if err != nil {
		k.t.Fatal(err)
	}
	return r
}

func (k *kept) open(change ...func(*audit.Options)) (*audit.Recorder, error) {
	k.t.Helper()
	key, err := merkle.OpenKey(filepath.Join(k.dir, "audit.key"))
	if err != nil {
		k.t.Fatal(err)
	}
	k.key = key
	l, err := sqlite.Open(k.t.Context(), k.path)
	if err != nil {
		return nil, err
	}
	o := audit.Options{Log: l, Key: key, Logger: slog.New(slog.DiscardHandler)}
	o.Config.SetDefaults()
	o.Config.Checkpoint.Records = 400
	for _, c := range change {
		c(&o)
	}
	r, err := audit.NewRecorder(k.t.Context(), o)
	if err != nil {
		err = errors.Join(err, l.Close())
	}
	return r, err
}

func newKept(t *testing.T) *kept {
	dir := t.TempDir()
	return &kept{t: t, dir: dir, path: filepath.Join(dir, "audit.db")}
}

// verify says what a verification finds.
func (k *kept) verify(trusted ...[]byte) (*audit.Report, error) {
	k.t.Helper()
	l := open(k.t, k.path)
	defer func() { _ = l.Close() }()
	return audit.Verify(k.t.Context(), l, audit.VerifyOptions{Keys: []string{k.key.Public()}, Trusted: trusted})
}

// last is the last checkpoint of the log as it is.
func (k *kept) last() []byte {
	k.t.Helper()
	l := open(k.t, k.path)
	defer func() { _ = l.Close() }()
	states, err := l.States(k.t.Context())
	if err != nil {
		k.t.Fatal(err)
	}
	return states[0].Last.Note
}

// sql is the attacker, who can write to the file and has no key.
func (k *kept) sql(query string, args ...any) {
	k.t.Helper()
	db, err := sql.Open("sqlite", k.path)
	if err != nil {
		k.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Exec(query, args...); err != nil {
		k.t.Fatal(err)
	}
}

// block changes the records of one segment, and lays them down as they were: with
// as many bytes, and hashes that may be made anew.
func (k *kept) block(first int, newHashes bool, change func(records []*audit.Record)) {
	k.t.Helper()
	l := open(k.t, k.path)
	var records []*audit.Record
	q := audit.Query{Oldest: true, Limit: sqlite.SegmentSize}
	if first > 0 {
		q.After = itoa(first - 1)
	}
	for f, err := range l.Search(k.t.Context(), q) {
		if err != nil {
			k.t.Fatal(err)
		}
		records = append(records, f.Record)
	}
	_ = l.Close()
	change(records)
	var body, leaves []byte
	for _, r := range records {
		b := r.Append(nil)
		body = append(appendUvarint(body, len(b)), b...)
		leaf := merkle.Leaf(b)
		leaves = append(leaves, leaf[:]...)
	}
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		k.t.Fatal(err)
	}
	defer func() { _ = enc.Close() }()
	k.sql("UPDATE block SET body = ? WHERE first = ?", enc.EncodeAll(body, nil), first)
	if newHashes {
		k.sql("UPDATE leaf SET leaves = ? WHERE first = ?", leaves, first)
	}
}

func appendUvarint(b []byte, n int) []byte {
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

func itoa(n int) string { return slog.IntValue(n).String() }

func faults(r *audit.Report) (all []audit.Fault) {
	for _, f := range r.Findings {
		all = append(all, f.Fault)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func TestAnUntouchedLogVerifies(t *testing.T) {
	k := newKept(t)
	k.record(0, 1500)
	k.record(1500, 1700)
	r, err := k.verify(k.last())
	if err != nil || len(r.Findings) > 0 {
		t.Fatalf("found %v, %v", r.Findings, err)
	}
	if l := r.Logs[0]; l.Records != 1703 || l.Unsigned != 0 || l.Checkpoints < 3 || l.Signed.IsZero() {
		t.Errorf("looked at %+v", l)
	}
}

// Each attack on the file is found, and called by its name.
func TestAttacks(t *testing.T) {
	edit := func(rs []*audit.Record) { rs[100].Subject = "m4llory" + rs[100].Subject[7:] }
	swap := func(rs []*audit.Record) { rs[100], rs[101] = rs[101], rs[100] }
	tests := map[string]struct {
		attack func(k *kept)
		want   []audit.Fault
		first  uint64
	}{
		"a record is edited":                {func(k *kept) { k.block(512, false, edit) }, []audit.Fault{audit.Edited}, 612},
		"a record is edited, and its hash":  {func(k *kept) { k.block(512, true, edit) }, []audit.Fault{audit.Rewritten}, 0},
		"two records are swapped":           {func(k *kept) { k.block(512, false, swap) }, []audit.Fault{audit.Reordered}, 612},
		"two are swapped with their hashes": {func(k *kept) { k.block(512, true, swap) }, []audit.Fault{audit.Rewritten}, 0},
		"a hash is changed":                 {func(k *kept) { k.sql("UPDATE leaf SET leaves = zeroblob(32) || substr(leaves, 33) WHERE first = 512") }, []audit.Fault{audit.Hashes}, 512},
		"a segment is dropped":              {func(k *kept) { k.sql("DELETE FROM segment WHERE first = 512") }, []audit.Fault{audit.Dropped}, 512},
		"the head is dropped":               {func(k *kept) { k.sql("DELETE FROM head") }, []audit.Fault{audit.Hashes, audit.Truncated}, 1024},
		"a segment's block is dropped":      {func(k *kept) { k.sql("DELETE FROM block WHERE first = 512") }, []audit.Fault{audit.Unreadable}, 512},
		"the first are dropped as if pruned": {func(k *kept) {
			k.sql("DELETE FROM segment WHERE first = 0; DELETE FROM block WHERE first = 0; UPDATE state SET first = 512")
		}, []audit.Fault{audit.Dropped}, 0},
		"the hashes end sooner": {func(k *kept) { k.sql("DELETE FROM leaf WHERE first >= 512") }, []audit.Fault{audit.Hashes, audit.Truncated}, 512},
		"all of the end is cut off": {func(k *kept) {
			k.sql("DELETE FROM head; DELETE FROM segment WHERE first >= 512; DELETE FROM leaf WHERE first >= 512; UPDATE state SET size = 512; DELETE FROM checkpoint WHERE size > 512")
		}, []audit.Fault{audit.Truncated}, 512},
		"a checkpoint is changed": {func(k *kept) {
			k.sql("UPDATE checkpoint SET note = replace(CAST(note AS TEXT), char(10) || '15', char(10) || '16')")
		}, []audit.Fault{audit.Unsigned}, 0},
		"a pruning is made up": {func(k *kept) {
			k.forge(audit.Record{Kind: audit.KindPrune, Object: "1024"})
			k.sql("DELETE FROM segment WHERE first < 1024; DELETE FROM block WHERE first < 1024; UPDATE state SET first = 1024")
		}, []audit.Fault{audit.Dropped}, 0},
		"no checkpoint is left": {func(k *kept) {
			k.sql("DELETE FROM checkpoint")
			k.block(512, true, edit)
		}, []audit.Fault{audit.Forked, audit.Unsigned}, 0},
		"nothing is left": {func(k *kept) {
			k.sql("DELETE FROM head; DELETE FROM segment; DELETE FROM leaf; DELETE FROM state; DELETE FROM checkpoint")
		}, []audit.Fault{audit.Vanished}, 0},
		"another key's checkpoints": {func(k *kept) {
			other, err := merkle.OpenKey(filepath.Join(k.dir, "other.key"))
			if err != nil {
				k.t.Fatal(err)
			}
			note, err := other.Sign(merkle.Statement{Size: 1503})
			if err != nil {
				k.t.Fatal(err)
			}
			k.sql("UPDATE checkpoint SET note = ?", note)
		}, []audit.Fault{audit.Unsigned}, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			k := newKept(t)
			k.record(0, 1500)
			published := k.last()
			tt.attack(k)
			r, err := k.verify(published)
			if err != nil {
				t.Fatal(err)
			}
			if got := faults(r); !slices.Equal(got, tt.want) || r.Findings[0].First != tt.first && tt.first > 0 {
				t.Errorf("found %v, want %v from %d on", r.Findings, tt.want, tt.first)
			}
		})
	}
}

// Who asks without anything published finds as much of what needs no more than that.
func TestAttacksWithNothingPublished(t *testing.T) {
	for name, tt := range map[string]struct {
		attack func(k *kept)
		want   audit.Fault
	}{
		"no checkpoint is left": {func(k *kept) { k.sql("DELETE FROM checkpoint") }, audit.Unsigned},
		"nothing is left": {func(k *kept) {
			k.sql("DELETE FROM head; DELETE FROM segment; DELETE FROM leaf; DELETE FROM state; DELETE FROM checkpoint")
		}, audit.Vanished},
		"a new file": {func(k *kept) {
			for _, ending := range []string{"", "-wal", "-shm"} {
				_ = os.Remove(k.path + ending)
			}
		}, audit.Vanished},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKept(t)
			k.record(0, 1500)
			tt.attack(k)
			if r, err := k.verify(); err != nil || !slices.Equal(faults(r), []audit.Fault{tt.want}) {
				t.Errorf("found %v, %v", r.Findings, err)
			}
		})
	}
}

// forge appends a record as the gateway would, without its key.
func (k *kept) forge(r audit.Record) {
	k.t.Helper()
	l := open(k.t, k.path)
	defer func() { _ = l.Close() }()
	states, err := l.States(k.t.Context())
	if err != nil {
		k.t.Fatal(err)
	}
	r.Replica, r.Seq, r.Time = states[0].Replica, states[0].Size, time.Now()
	b := r.Append(nil)
	if err := l.Append(k.t.Context(), audit.Batch{Replica: r.Replica, Entries: []audit.Entry{{Record: &r, Bytes: b, Leaf: merkle.Leaf(b)}}}); err != nil {
		k.t.Fatal(err)
	}
}

// An operator who has the key can write another history. What was published says
// otherwise.
func TestAForkIsFoundByWhatWasPublished(t *testing.T) {
	k := newKept(t)
	k.record(0, 600)
	old, err := os.ReadFile(k.path)
	if err != nil {
		t.Fatal(err)
	}
	lastOld, err := os.ReadFile(filepath.Join(k.dir, "audit.key.last"))
	if err != nil {
		t.Fatal(err)
	}
	k.record(600, 900)
	published := k.last()
	if err := errors.Join(os.WriteFile(k.path, old, 0o600), os.WriteFile(filepath.Join(k.dir, "audit.key.last"), lastOld, 0o600)); err != nil {
		t.Fatal(err)
	}
	k.record(5000, 5800)
	if r, err := k.verify(); err != nil || len(r.Findings) > 0 {
		t.Fatalf("the other history is well signed: %v, %v", r.Findings, err)
	}
	if r, err := k.verify(published); err != nil || !slices.Equal(faults(r), []audit.Fault{audit.Forked}) {
		t.Errorf("found %v, %v", r.Findings, err)
	}
}

func TestAVanishedLogIsFoundByWhoNamesIt(t *testing.T) {
	k := newKept(t)
	k.record(0, 10)
	other, err := merkle.OpenKey(filepath.Join(k.dir, "other.key"))
	if err != nil {
		t.Fatal(err)
	}
	note, err := k.key.Sign(merkle.Statement{Size: 5, Root: [32]byte{1}, Others: []merkle.Seen{{Origin: other.Origin(), Size: 77}}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := k.verify(note)
	if err != nil || !slices.Equal(faults(r), []audit.Fault{audit.Forked, audit.Vanished}) {
		t.Errorf("found %v, %v", r.Findings, err)
	}
}

// A gateway does not go on with a log that was changed while it was not running.
func TestAChangedLogIsNotWrittenTo(t *testing.T) {
	for name, attack := range map[string]func(k *kept){
		"hashes":      func(k *kept) { k.sql("UPDATE leaf SET leaves = zeroblob(length(leaves)) WHERE first = 0") },
		"cut off":     func(k *kept) { k.sql("DELETE FROM head; UPDATE state SET size = 512; DELETE FROM checkpoint") },
		"put back":    func(k *kept) { _ = os.Remove(k.path) },
		"another key": func(k *kept) { _ = os.Remove(filepath.Join(k.dir, "audit.key")) },
		"a pruning is made up": func(k *kept) {
			k.forge(audit.Record{Kind: audit.KindPrune, Object: "512"})
			k.sql("DELETE FROM segment WHERE first < 512; DELETE FROM block WHERE first < 512; UPDATE state SET first = 512")
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKept(t)
			k.record(0, 700)
			attack(k)
			r, err := k.open()
			if err == nil && name == "hashes" { // those that were signed are read after the start
				for deadline := time.Now().Add(time.Minute); err == nil && time.Now().Before(deadline); {
					err = errors.Unwrap(r.Write(t.Context(), audittest.Infer(700), nil))
				}
				_ = r.Close()
			}
			if err == nil || !strings.Contains(err.Error(), "audit: the log") {
				t.Errorf("it is opened: %v", err)
			}
		})
	}
}

func TestAPrunedLogVerifies(t *testing.T) {
	k := newKept(t)
	k.record(0, 1500)
	r := k.recorder(func(o *audit.Options) {
		o.Config.Retain = 24 * time.Hour // all are from long ago
	})
	deadline := time.Now().Add(time.Minute)
	for {
		states, err := r.Log().States(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if states[0].First >= 1500 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("nothing was pruned: %+v", states)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	k.record(1500, 1600)
	report, err := k.verify()
	if err != nil || len(report.Findings) > 0 || report.Logs[0].Pruned < 1500 {
		t.Errorf("found %v in %+v, %v", report.Findings, report.Logs, err)
	}
}

func BenchmarkVerify(b *testing.B) {
	l, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "audit.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	const n = 100_000
	for i := 0; i < n; i += 1000 {
		if err := l.Append(b.Context(), audit.Batch{Replica: audittest.Replica, Entries: audittest.Infers(audittest.Replica, i, i+1000)}); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if r, err := audit.Verify(b.Context(), l, audit.VerifyOptions{}); err != nil || len(r.Findings) > 0 {
			b.Fatal(r, err)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

// TestIndexesAreNotSigned: who writes to the file can hide records from searches by
// their conditions, which a verification does not see. A reading of all records goes by
// no index of terms, and a segment that is hidden from it is told of as dropped.
func TestIndexesAreNotSigned(t *testing.T) {
	k := newKept(t)
	k.record(0, 2000)
	found := func(q audit.Query) (n int) {
		l := open(t, k.path)
		defer func() { must(t, l.Close()) }()
		for f, err := range l.Search(t.Context(), q) {
			must(t, err)
			if f.Record.Verb != "" {
				n++
			}
		}
		return n
	}
	k.sql("DELETE FROM term")
	k.sql("UPDATE segment SET low = 1, top = 1, high = 1")
	if report, err := k.verify(k.last()); err != nil || len(report.Findings) > 0 {
		t.Errorf("%+v, %v", report, err)
	}
	if all, some := found(audit.Query{}), found(audit.Query{Verb: "infer"}); all != 2000 || some >= all {
		t.Errorf("%d are read, %d of them found by their verb", all, some)
	}
	k.sql("DELETE FROM segment WHERE first = 0")
	if report, err := k.verify(k.last()); err != nil || !slices.Contains(faults(report), audit.Dropped) {
		t.Errorf("a hidden segment: %+v, %v", report, err)
	}
}
