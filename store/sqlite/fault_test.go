package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-gateway/sluice/store"
	"github.com/sluice-gateway/sluice/store/sqlite"
)

func put(id string, body []byte) store.Change {
	return store.Change{Item: store.Item{Kind: "thing", ID: id, Body: body}}
}

func mustExec(t *testing.T, s *sqlite.Store, sql string) {
	t.Helper()
	if err := s.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

// TestFullDisk: what does not fit is said to be so, nothing of it is kept, what
// was there can be read, and when there is room again all goes on.
func TestFullDisk(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "s.db"))
	if err := s.Apply(t.Context(), put("before", nil)); err != nil {
		t.Fatal(err)
	}
	mustExec(t, s, "PRAGMA max_page_count = 30")
	err := s.Apply(t.Context(), put("small", nil), put("large", make([]byte, store.MaxBody)))
	if !errors.Is(err, store.ErrAway) || !strings.Contains(err.Error(), "full") {
		t.Errorf("got %v", err)
	}
	for _, id := range []string{"small", "large"} {
		if _, err := s.Get(t.Context(), "thing", id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v", id, err)
		}
	}
	if _, err := s.Get(t.Context(), "thing", "before"); err != nil {
		t.Error(err)
	}
	mustExec(t, s, "PRAGMA max_page_count = 100000")
	if err := s.Apply(t.Context(), put("small", nil), put("large", make([]byte, store.MaxBody))); err != nil {
		t.Error(err)
	}
}

// TestFullDiskForReal needs a file system of its own, which only root can mount.
func TestFullDiskForReal(t *testing.T) {
	dir := tmpfs(t, "512k")
	s := open(t, filepath.Join(dir, "s.db"))
	var last error
	made := 0
	for last == nil && made < 1000 {
		if last = s.Apply(t.Context(), put(fmt.Sprintf("%04d", made), make([]byte, 4096))); last == nil {
			made++
		}
	}
	if !errors.Is(last, store.ErrAway) {
		t.Fatalf("after %d items: %v", made, last)
	}
	items, err := s.List(t.Context(), store.Query{Kind: "thing"})
	if err != nil || len(items) != made {
		t.Errorf("%d items of %d, %v", len(items), made, err)
	}
	if _, err := sqlite.Open(t.Context(), filepath.Join(dir, "other.db")); !errors.Is(err, store.ErrAway) {
		t.Errorf("a new store: %v", err)
	}
}

func TestReadOnly(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "s.db"))
	if err := s.Apply(t.Context(), put("a", nil)); err != nil {
		t.Fatal(err)
	}
	mustExec(t, s, "PRAGMA query_only = 1")
	if err := s.Apply(t.Context(), put("b", nil)); !errors.Is(err, store.ErrAway) || !strings.Contains(err.Error(), "readonly") {
		t.Errorf("apply: %v", err)
	}
	if err := s.Ping(t.Context()); !errors.Is(err, store.ErrAway) {
		t.Errorf("ping: %v", err)
	}
	if _, err := s.Get(t.Context(), "thing", "a"); err != nil {
		t.Errorf("get: %v", err)
	}
	mustExec(t, s, "PRAGMA query_only = 0")
}

// TestReadOnlyFile: a gateway that could not keep anything does not start.
func TestReadOnlyFile(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write to any file; TestReadOnly is the same in small")
	}
	path := filepath.Join(t.TempDir(), "s.db")
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	if s, err := sqlite.Open(t.Context(), path); err == nil {
		if err := s.Ping(t.Context()); !errors.Is(err, store.ErrAway) {
			t.Errorf("ping: %v", err)
		}
		_ = s.Close()
	} else if !errors.Is(err, store.ErrAway) {
		t.Errorf("open: %v", err)
	}
}

// TestDamage: a damaged file is away and found to be damaged, not an empty one.
func TestDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	s := open(t, path)
	for i := range 50 {
		if err := s.Apply(t.Context(), put(fmt.Sprintf("%04d", i), make([]byte, 4096))); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw[8*4096:] { // the first pages have the schema
		raw[8*4096+i] ^= 0x5a
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	damaged := open(t, path)
	if _, err := damaged.List(t.Context(), store.Query{Kind: "thing"}); !errors.Is(err, store.ErrAway) {
		t.Errorf("list: %v", err)
	}
	found, err := damaged.Check(t.Context())
	if err == nil && found[0].OK {
		t.Errorf("check: %+v", found)
	}
	if err := os.WriteFile(path+"2", []byte("a file of another program, and long enough to be looked at"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), path+"2"); !errors.Is(err, store.ErrAway) || !strings.Contains(err.Error(), "not a database") {
		t.Errorf("another program's: %v", err)
	}
}

func TestFileIsItsOwnersAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	s := open(t, path)
	if err := s.Apply(t.Context(), put("a", nil)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

func TestFolderMustBeThere(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "none", "s.db")
	if _, err := sqlite.Open(t.Context(), path); !errors.Is(err, store.ErrAway) || !strings.Contains(err.Error(), "must be there") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Dir(path)); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the folder was made")
	}
	if _, err := sqlite.Open(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "is a folder") {
		t.Errorf("a folder: %v", err)
	}
}

func TestSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	steps, err := sqlite.Steps()
	if err != nil {
		t.Fatal(err)
	}
	want := store.Schema{Have: 0, Want: len(steps)}
	if got, err := sqlite.Schema(t.Context(), path); got != want || err != nil {
		t.Errorf("no file: %+v, %v", got, err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("asking for the schema made the file")
	}
	var all sync.WaitGroup
	for range 8 { // at once
		all.Go(func() {
			s, err := sqlite.Open(context.Background(), path)
			if err != nil {
				t.Error(err)
				return
			}
			_ = s.Close()
		})
	}
	all.Wait()
	want.Have = want.Want
	if got, err := sqlite.Schema(t.Context(), path); got != want || err != nil {
		t.Errorf("made: %+v, %v", got, err)
	}

	s := open(t, path)
	if err := s.Apply(t.Context(), put("a", nil)); err != nil {
		t.Fatal(err)
	}
	next := store.Migration{Version: len(steps) + 1, Name: "next", SQL: "CREATE TABLE next (a); CREATE TABLE next (a);"}
	if err := s.MigrateTo(t.Context(), append(steps, next)); !errors.Is(err, store.ErrAway) || !strings.Contains(err.Error(), "(next)") {
		t.Errorf("a step that fails: %v", err)
	}
	if got, _ := sqlite.Schema(t.Context(), path); got != want {
		t.Errorf("after a step that failed: %+v", got)
	}
	next.SQL = "ALTER TABLE sluice_item ADD COLUMN more TEXT; CREATE TABLE next (a);"
	if err := s.MigrateTo(t.Context(), append(steps, next)); err != nil {
		t.Error(err)
	}
	if _, err := s.Get(t.Context(), "thing", "a"); err != nil {
		t.Errorf("after a migration: %v", err)
	}
	// The program as it is finds a schema that is newer than itself.
	_, err = sqlite.Open(t.Context(), path)
	if err == nil || !strings.Contains(err.Error(), "newer sluice") || errors.Is(err, store.ErrAway) {
		t.Errorf("a newer schema: %v", err)
	}
}
