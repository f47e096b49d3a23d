package server_test

import (
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/server"
	"github.com/sluice-gateway/sluice/store/storetest/pgtest"
)

// TestStoreThatCantBeOpened: a gateway that could not keep what it is to keep does
// not start, and says why without what is secret.
func TestStoreThatCantBeOpened(t *testing.T) {
	t.Setenv("SLUICE_TEST_AWAY", "postgres://u:hunter2@127.0.0.1:1/d?sslmode=disable")
	t.Setenv("SLUICE_TEST_PLAIN", "postgres://u:hunter2@db.example/d")
	for name, c := range map[string]struct{ store, says string }{
		"no folder":           {"{ sqlite: none/at/all.db }", "must be there"},
		"another file":        {"{ sqlite: policy.yaml }", "not a database"},
		"nobody there":        {`{ postgres: "${SLUICE_TEST_AWAY}" }`, "store.postgres: store: away"},
		"plaintext by chance": {`{ postgres: "${SLUICE_TEST_PLAIN}" }`, "sslmode=verify-full"},
	} {
		t.Run(name, func(t *testing.T) {
			g := prepare(t, setup{extra: "store: " + c.store + "\n"})
			err := server.Run(t.Context(), server.Options{ConfigPath: filepath.Join(g.dir, "sluice.yaml"), Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestStoreIsSeenToBeAway, and to be back.
func TestStoreIsSeenToBeAway(t *testing.T) {
	if testing.Short() {
		t.Skip("waits until the store is asked")
	}
	db := pgtest.Start(t)
	t.Setenv("SLUICE_TEST_POSTGRES", db.Database(t))
	g := start(t, setup{extra: `store: { postgres: "${SLUICE_TEST_POSTGRES}" }` + "\n"})
	shows := func(up int) bool { return strings.Contains(g.scrape(), fmt.Sprint("\nsluice_store_up ", up, "\n")) }
	eventually(t, "a store that is up", func() bool { return shows(1) })
	if err := db.Stop(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a store that is away", func() bool { return shows(0) })
	if _, err := g.ModelInfer(g.as("bob"), add("simple")); err != nil {
		t.Errorf("what needs no store: %v", err)
	}
	if err := db.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a store that is back", func() bool { return shows(1) })
	for _, says := range []string{"the store is away", "the store is back"} {
		eventually(t, "the log", func() bool { return strings.Contains(g.Log.String(), says) })
		if n := strings.Count(g.Log.String(), says); n != 1 {
			t.Errorf("says %q %d times", says, n)
		}
	}
}
