package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/store"
	"github.com/sluice-gateway/sluice/store/postgres"
	"github.com/sluice-gateway/sluice/store/sqlite"
	"github.com/sluice-gateway/sluice/store/storetest/pgtest"
)

var made = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

func backup(t *testing.T, k store.Keeper) string {
	t.Helper()
	var out bytes.Buffer
	if _, err := store.WriteBackup(t.Context(), k, &out, made); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestBackup goes from one kind of store into the other and back: the backups are
// the same, byte for byte.
func TestBackup(t *testing.T) {
	server := pgtest.Start(t)
	file := func() *sqlite.Store {
		s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "s.db"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	first := file()
	for i := range 300 {
		item := store.Item{Kind: store.Kind([]string{"b", "a", "a-b", "a_b"}[i%4]), ID: fmt.Sprintf("%d é%%\"\\\n", i), Owner: strings.Repeat("o", i), Body: bytes.Repeat([]byte{byte(i), 0}, i*7)}
		if i%3 == 0 {
			item.State, item.Expires = "open", made.Add(time.Duration(i)*time.Millisecond)
		}
		if err := first.Apply(t.Context(), store.Change{Item: item}); err != nil {
			t.Fatal(err)
		}
		for item.Revision = 1; item.Revision < int64(i%5); item.Revision++ {
			if err := first.Apply(t.Context(), store.Change{Item: item}); err != nil {
				t.Fatal(err)
			}
		}
	}
	whole := backup(t, first)
	second, third := open(t, server.Database(t)), file()
	for name, to := range map[string]store.Keeper{"PostgreSQL": second, "SQLite": third} {
		for at := range 20 { // cut off anywhere: nothing is restored
			if _, err := store.ReadBackup(t.Context(), to, strings.NewReader(whole[:at*len(whole)/20])); err == nil || errors.Is(err, store.ErrAway) {
				t.Fatalf("%s: cut at %d: %v", name, at, err)
			}
		}
		if n, err := store.ReadBackup(t.Context(), to, strings.NewReader(whole)); n != 300 || err != nil {
			t.Fatalf("%s: %d items, %v", name, n, err)
		}
		if got := backup(t, to); got != whole {
			t.Errorf("%s: another backup: %d and %d bytes", name, len(got), len(whole))
		}
		if _, err := store.ReadBackup(t.Context(), to, strings.NewReader(whole)); !errors.Is(err, store.ErrNotEmpty) {
			t.Errorf("%s: into a full store: %v", name, err)
		}
	}
	item, err := second.Get(t.Context(), "a", "1 é%\"\\\n")
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Apply(t.Context(), store.Change{Item: item}); err != nil {
		t.Errorf("a restored item can't be changed: %v", err)
	}
}

// TestHostileBackups: nothing of one that somebody has changed is restored.
func TestHostileBackups(t *testing.T) {
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "s.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	const head = `{"format":"sluice store backup","version":1,"made":"2026-05-04T03:02:01Z"}` + "\n"
	for name, c := range map[string]struct{ text, says string }{
		"nothing":               {"", "not a backup"},
		"something else":        {"{}\n", "not a backup"},
		"a later version":       {strings.Replace(head, ":1,", ":2,", 1), "version 2"},
		"no end":                {head, "ends before its end"},
		"another checksum":      {head + `{"items":0,"sha256":"00"}` + "\n", "damaged"},
		"an item more":          {head + `{"kind":"a","id":"x","revision":1,"body":""}` + "\n" + `{"items":0,"sha256":"00"}` + "\n", "damaged"},
		"a field that is new":   {head + `{"kind":"a","id":"x","revision":1,"body":"","more":1}` + "\n", "unknown field"},
		"no revision":           {head + `{"kind":"a","id":"x","body":""}` + "\n", "revision 0"},
		"a kind that is none":   {head + `{"kind":"A b","id":"x","revision":1,"body":""}` + "\n", "a kind is"},
		"a line without an end": {head + `{"kind":"a","id":"` + strings.Repeat("x", 5<<20), "longer than"},
	} {
		if _, err := store.ReadBackup(t.Context(), s, strings.NewReader(c.text)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := backup(t, s); strings.Count(got, "\n") != 2 {
		t.Errorf("something was restored: %s", got)
	}
}

// TestBackupWhileItIsUsed: what is written meanwhile is in it as a whole or not.
func TestBackupWhileItIsUsed(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	s := open(t, url)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		var err error
		for i := 0; ctx.Err() == nil && err == nil; i++ {
			err = s.Apply(context.Background(), put(fmt.Sprint("a", i)), put(fmt.Sprint("b", i)))
		}
		done <- err
	}()
	another, err := postgres.Open(t.Context(), url, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = another.Close() }()
	for range 20 {
		text := backup(t, another)
		if a, b := strings.Count(text, `"id":"a`), strings.Count(text, `"id":"b`); a != b {
			t.Errorf("%d and %d of what is written together", a, b)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
