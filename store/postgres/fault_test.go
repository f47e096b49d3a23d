package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/store"
	"github.com/sluice-gateway/sluice/store/postgres"
	"github.com/sluice-gateway/sluice/store/storetest/pgtest"
)

func put(id string) store.Change {
	return store.Change{Item: store.Item{Kind: "thing", ID: id}}
}

// eventually tries until it works: after a restart the way back is not one call.
func eventually(t *testing.T, what string, f func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		if err = f(); err == nil {
			return
		}
		if !errors.Is(err, store.ErrAway) {
			t.Fatalf("%s: %v, want away", what, err)
		}
	}
	t.Fatalf("%s: still %v", what, err)
}

// TestRestart: a server that stops under calls and watches makes each call say
// away, and when it is back all goes on; a watch says that it may have missed
// something, and hears again.
func TestRestart(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	var log lockedBuffer
	s, err := postgres.Open(t.Context(), url, postgres.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Apply(t.Context(), put("a")); err != nil {
		t.Fatal(err)
	}
	hints := s.Watch(t.Context(), "thing")
	<-hints
	calling, stop := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			for calling.Err() == nil {
				if _, err := s.Get(t.Context(), "thing", "a"); err != nil && !errors.Is(err, store.ErrAway) {
					t.Errorf("get: %v", err)
				}
			}
		})
	}
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{"apply": s.Apply(t.Context(), put("b")), "two": s.Apply(t.Context(), put("b"), put("c")), "ping": s.Ping(t.Context())} {
		if !errors.Is(err, store.ErrAway) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	stop()
	callers.Wait()
	eventually(t, "ping", func() error { return s.Ping(t.Context()) })
	another := open(t, url)
	if err := another.Apply(t.Context(), put("d")); err != nil {
		t.Fatal(err)
	}
	for hint := (store.Hint{ID: "none"}); hint.ID != ""; { // may have missed something
		hint = <-hints
	}
	// It hears again, by itself and not by the poll: with the id.
	for i, heard := 0, false; !heard; i++ {
		if i > 100 {
			t.Fatal("hears no ids any more")
		}
		id := "e" + string(rune('a'+i%26)) + string(rune('a'+i/26))
		if err := another.Apply(t.Context(), put(id)); err != nil {
			t.Fatal(err)
		}
		for hint := (store.Hint{ID: "none"}); hint.ID != "" && !heard; {
			hint = <-hints
			heard = hint.ID == id
		}
	}
	if text := log.String(); strings.Count(text, "does not hear") > 2 || !strings.Contains(text, "hears of other replicas' changes again") {
		t.Errorf("log: %s", text)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestBrokenCommit: where the connection breaks while a change is committed, the
// store does not say that nothing changed, nor does it try again by itself.
func TestBrokenCommit(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	way := newWay(t, server.Socket())
	s := open(t, strings.Replace(url, "host="+strings.ReplaceAll(path.Dir(server.Socket()), "/", "%2F"), "host=127.0.0.1&sslmode=disable&port="+way.port(t), 1))
	direct := open(t, url)
	if err := s.Apply(t.Context(), put("a")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		lost    string // what the server answers to a request with this in it
		changes []store.Change
	}{
		{"STMTCACHE", []store.Change{put("one")}}, // prepared by the one above
		{"COMMIT", []store.Change{put("several"), put("more")}},
	} {
		name := c.changes[0].ID
		way.deafen(c.lost)
		err := s.Apply(t.Context(), c.changes...)
		if !errors.Is(err, store.ErrAway) || errors.Is(err, store.ErrConflict) {
			t.Errorf("%s: %v", name, err)
		}
		way.hear()
		// The server has done it: that is what the store can't know.
		eventually(t, name, func() error {
			_, err := direct.Get(t.Context(), "thing", name)
			if errors.Is(err, store.ErrNotFound) {
				return store.ErrAway // not yet
			}
			return err
		})
		eventually(t, "ping", func() error { return s.Ping(t.Context()) })
		if err := s.Apply(t.Context(), c.changes...); !errors.Is(err, store.ErrConflict) {
			t.Errorf("%s: the caller tries again, and it is done twice: %v", name, err)
		}
	}
}

func TestSchema(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	steps, err := postgres.Steps()
	if err != nil {
		t.Fatal(err)
	}
	want := store.Schema{Want: len(steps)}
	if got, err := postgres.Schema(t.Context(), url); got != want || err != nil {
		t.Errorf("an empty database: %+v, %v", got, err)
	}
	var all sync.WaitGroup
	for range 6 { // replicas that start at once
		all.Go(func() {
			s, err := postgres.Open(context.Background(), url, postgres.Options{})
			if err != nil {
				t.Error(err)
				return
			}
			_ = s.Close()
		})
	}
	all.Wait()
	want.Have = want.Want
	if got, err := postgres.Schema(t.Context(), url); got != want || err != nil {
		t.Errorf("made: %+v, %v", got, err)
	}
	s := open(t, url)
	if err := s.Apply(t.Context(), put("a")); err != nil {
		t.Fatal(err)
	}
	next := store.Migration{Version: len(steps) + 1, Name: "next", SQL: "CREATE TABLE next (a int); CREATE TABLE next (a int);"}
	if err := s.MigrateTo(t.Context(), append(steps, next)); !errors.Is(err, store.ErrAway) || !strings.Contains(err.Error(), "(next)") {
		t.Errorf("a step that fails: %v", err)
	}
	if got, _ := postgres.Schema(t.Context(), url); got != want {
		t.Errorf("after a step that failed: %+v", got)
	}
	next.SQL = "ALTER TABLE sluice_item ADD COLUMN more text; CREATE TABLE next (a int);"
	if err := s.MigrateTo(t.Context(), append(steps, next)); err != nil {
		t.Error(err)
	}
	if _, err := s.Get(t.Context(), "thing", "a"); err != nil {
		t.Errorf("a replica that is older by one: %v", err)
	}
	_, err = postgres.Open(t.Context(), url, postgres.Options{})
	if err == nil || !strings.Contains(err.Error(), "newer sluice") || errors.Is(err, store.ErrAway) {
		t.Errorf("a newer schema: %v", err)
	}
}

func TestReadOnly(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	s := open(t, url)
	if err := s.Apply(t.Context(), put("a")); err != nil {
		t.Fatal(err)
	}
	standby, err := postgres.Open(t.Context(), url+"&default_transaction_read_only=on", postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = standby.Close() }()
	for what, err := range map[string]error{"ping": standby.Ping(t.Context()), "apply": standby.Apply(t.Context(), put("b")), "two": standby.Apply(t.Context(), put("b"), put("c"))} {
		if !errors.Is(err, store.ErrAway) || !strings.Contains(err.Error(), "read-only") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := standby.Get(t.Context(), "thing", "a"); err != nil {
		t.Error(err)
	}
	found, err := standby.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	bad := make(map[string]bool)
	for _, f := range found {
		bad[f.ID] = !f.OK
	}
	// pgtest's server has fsync off.
	if !bad["writable"] || !bad["write"] || !bad["durable"] || bad["items"] || bad["indexes"] || bad["notices"] {
		t.Errorf("found %+v", found)
	}
}

func TestConnectionStrings(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	nobody := l.Addr().String()
	for name, c := range map[string]struct{ url, says string }{
		"no connection string":     {"hunter2 and more", "not a connection string"},
		"a port that is none":      {"postgres://u:hunter2@h:port/d", "not a connection string"},
		"TLS if nobody objects":    {"postgres://u:hunter2@db.example/d", "sslmode=verify-full"},
		"the same by a word":       {"host=db.example user=u password=hunter2 sslmode=prefer", "sslmode=verify-full"},
		"a server that is silent":  {"postgres://u:hunter2@" + nobody + "/d?sslmode=disable&connect_timeout=1", "away"},
		"one of several is remote": {"postgres://u:hunter2@127.0.0.1,db.example/d", "db.example"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := postgres.Open(t.Context(), c.url, postgres.Options{})
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v", err)
			}
		})
	}
}
