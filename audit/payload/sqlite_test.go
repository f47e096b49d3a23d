package payload_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/merkle"
	"github.com/sluice-gateway/sluice/audit/payload"
	"github.com/sluice-gateway/sluice/audit/sqlite"
)

// TestShreddedInTheFile: after a day's time nothing of its key is left in any file of
// the log, and its payloads do not open any more. What was kept before opens until
// then, also after the log was closed.
func TestShreddedInTheFile(t *testing.T) {
	dir := t.TempDir()
	open := func() *sqlite.Log {
		log, err := sqlite.Open(t.Context(), filepath.Join(dir, "audit.db"))
		if err != nil {
			t.Fatal(err)
		}
		return log
	}
	log := open()
	k, _ := keeper(t, func(o *payload.Options) { o.Store, o.Now = log, (&clock{now: opened}).Now })
	c := k.Begin("m", infer, "", opened)
	c.Answer(message(t, response("the secret garden, "+email)))
	sealed := await(c, true)
	r := &audit.Record{Replica: "a", Kind: audit.KindCall, Time: opened, Payload: sealed.Ref}
	b := r.Append(nil)
	err := log.Append(t.Context(), audit.Batch{Replica: "a", Sync: true, Entries: []audit.Entry{{Record: r, Bytes: b, Leaf: merkle.Leaf(b), Payload: sealed.Payload}}})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := log.Keys(t.Context())
	if err != nil || len(keys) != 1 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	wrapped := keys[0].Sealed
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if n := filesWith(t, dir, wrapped); n == 0 {
		t.Error("the wrapped key is in no file: the test looks for the wrong thing")
	}
	if n := filesWith(t, dir, []byte("garden")) + filesWith(t, dir, []byte(email)); n != 0 {
		t.Errorf("what was said is in %d files", n)
	}

	log = open()
	defer func() { _ = log.Close() }()
	again, _ := keeper(t, func(o *payload.Options) { o.Store = log })
	read, err := payload.NewReader(log, newWrap(t, 1), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	if _, err := read.Open(t.Context(), sealed.Ref); err != nil {
		t.Error(err)
	}
	words, _, err := read.Words(t.Context(), "garden")
	if err != nil {
		t.Fatal(err)
	}
	if n := count(t, log, words); n != 1 {
		t.Errorf("the word is found %d times, want once", n)
	}
	if n, err := again.Shred(t.Context(), opened.Add(48*time.Hour)); n != 1 || err != nil {
		t.Fatalf("%d keys are deleted, %v", n, err)
	}
	if _, err := read.Open(t.Context(), sealed.Ref); !errors.Is(err, audit.ErrNotFound) {
		t.Errorf("opened: %v", err)
	}
	if n := count(t, log, words); n != 0 {
		t.Errorf("the word is found %d times by its old hash", n)
	}
	if n := filesWith(t, dir, wrapped); n != 0 {
		t.Errorf("the wrapped key is still in %d files", n)
	}
	if n := filesWith(t, dir, sealed.Payload.Body); n != 0 {
		t.Logf("the sealed payload is still in %d files: nobody can open it", n)
	}
}

func count(t *testing.T, log *sqlite.Log, words [][]uint64) (n int) {
	t.Helper()
	for _, err := range log.Search(t.Context(), audit.Query{Words: words}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// filesWith counts the files below a folder that hold some bytes.
func filesWith(t *testing.T, dir string, what []byte) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, what) {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
