package pg_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/pg"
	"github.com/sluice-gateway/sluice/store/storetest/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConnectionStringsAreRefusedWithoutWhatIsInThem(t *testing.T) {
	for name, c := range map[string]struct{ url, says string }{
		"no connection string":     {"hunter2 and more", "not a connection string"},
		"a port that is none":      {"postgres://u:hunter2@h:port/d", "not a connection string"},
		"TLS if nobody objects":    {"postgres://u:hunter2@db.example/d", "sslmode=verify-full"},
		"the same by a word":       {"host=db.example user=u password=hunter2 sslmode=prefer", "sslmode=verify-full"},
		"one of several is remote": {"postgres://u:hunter2@127.0.0.1,db.example/d", "db.example"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := pg.Settings(c.url, 3, "test", nil)
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAConnectionStringDecides(t *testing.T) {
	for name, c := range map[string]struct {
		url     string
		most    int32
		app     string
		seconds float64
	}{
		"nothing said":      {"postgres://u@db.example/d?sslmode=verify-full", 3, "test", 3},
		"all said":          {"postgres://u@db.example/d?sslmode=disable&pool_max_conns=7&application_name=mine&connect_timeout=9", 7, "mine", 9},
		"this machine":      {"postgres://u@127.0.0.1/d", 3, "test", 3},
		"a socket":          {"host=/run/postgresql dbname=d", 3, "test", 3},
		"by another's name": {"host=localhost dbname=d pool_max_conns=2", 2, "test", 3},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := pg.Settings(c.url, 3, "test", nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := cfg.ConnConfig; cfg.MaxConns != c.most || got.RuntimeParams["application_name"] != c.app || got.ConnectTimeout.Seconds() != c.seconds {
				t.Errorf("%d connections of %q within %v", cfg.MaxConns, got.RuntimeParams["application_name"], got.ConnectTimeout)
			}
		})
	}
}

func TestWhichErrorsAreOfTheConnection(t *testing.T) {
	of := func(code string) error { return fmt.Errorf("wrapped: %w", &pgconn.PgError{Code: code}) }
	for name, c := range map[string]struct {
		err             error
		broken, refused bool
	}{
		"the server stops":   {of("57P01"), true, false},
		"it has crashed":     {of("57P02"), true, false},
		"it is not up":       {of("57P03"), true, false},
		"it has no way":      {of("08006"), true, false},
		"a wrong statement":  {of("42601"), false, false},
		"a full disk":        {of("53100"), false, false},
		"a lock":             {of("55P03"), false, true},
		"a damaged file":     {of("XX001"), false, true},
		"of the network":     {errors.New("broken pipe"), true, false},
		"canceled by itself": {of("57014"), false, false},
	} {
		if pg.Broken(c.err) != c.broken || pg.Refused(c.err, "55P03", "XX") != c.refused {
			t.Errorf("%s: broken %v, refused %v", name, pg.Broken(c.err), pg.Refused(c.err, "55P03", "XX"))
		}
	}
}

// TestMigrate: of many that start at once one takes the steps; a step that fails leaves
// nothing; a database that is newer is refused by who is asked.
func TestMigrate(t *testing.T) {
	cfg, err := pg.Settings(pgtest.Start(t).Database(t), 8, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	s := pg.Schema{Table: "steps", Lock: 7, Steps: []pg.Step{{"one", "CREATE TABLE a (n int); INSERT INTO a VALUES (1)"}, {"two", "INSERT INTO a VALUES (2)"}}}
	errNewer := errors.New("newer")
	check := func(have int) error {
		if have > len(s.Steps) {
			return errNewer
		}
		return nil
	}
	if v, err := s.Version(t.Context(), pool); v != 0 || err != nil {
		t.Errorf("an empty database has version %d, %v", v, err)
	}
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			if err := s.Migrate(context.Background(), pool, check); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	var rows int
	if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM a").Scan(&rows); err != nil || rows != 2 {
		t.Errorf("%d rows, %v", rows, err)
	}
	s.Steps = append(s.Steps, pg.Step{"three", "INSERT INTO a VALUES (3); INSERT INTO nowhere VALUES (3)"})
	if err := s.Migrate(t.Context(), pool, check); err == nil || !strings.Contains(err.Error(), "migration 3 (three)") {
		t.Errorf("a step that fails: %v", err)
	}
	if v, err := s.Version(t.Context(), pool); v != 2 || err != nil {
		t.Errorf("after it: version %d, %v", v, err)
	}
	s.Steps = s.Steps[:1]
	if err := s.Migrate(t.Context(), pool, check); !errors.Is(err, errNewer) {
		t.Errorf("a newer database: %v", err)
	}
	// Tables of before that had no names of steps.
	if _, err := pool.Exec(t.Context(), "CREATE TABLE old (version integer PRIMARY KEY, at timestamptz NOT NULL DEFAULT now()); INSERT INTO old (version) VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	old := pg.Schema{Table: "old", Lock: 7, Steps: []pg.Step{{"one", "SELECT 1/0"}, {"two", "INSERT INTO a VALUES (4)"}}}
	if err := old.Migrate(t.Context(), pool, check); err != nil {
		t.Error(err)
	}
}
