package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// readers is how many searches go on at once, unless the connection string says
	// pool_max_conns. Each replica's writer has a connection of its own beside them.
	readers = 6
	// connectTimeout bounds how long a server is waited for, unless the connection
	// string says connect_timeout.
	connectTimeout = 3 * time.Second
	// parting bounds the goodbye to a server that may not answer.
	parting = time.Second
)

// errURL does not repeat the connection string, which has a password in it.
var errURL = errors.New("not a connection string of PostgreSQL; write it as postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full")

// settings reads a connection string.
func settings(url string) (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errURL
	}
	if host, prefers := prefersTLS(cfg.ConnConfig); prefers {
		return nil, fmt.Errorf("the connection to %s would go on in plaintext if somebody on the way says so: add sslmode=verify-full (with sslrootcert=FILE for a CA of your own), or sslmode=disable if plaintext is what you want", host)
	}
	if !strings.Contains(url, "pool_max_conns") {
		cfg.MaxConns = readers
	}
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = connectTimeout
	}
	if cfg.ConnConfig.RuntimeParams["application_name"] == "" {
		cfg.ConnConfig.RuntimeParams["application_name"] = "sluice audit"
	}
	cfg.AfterConnect = settle
	return cfg, nil
}

// prefersTLS tells whether the connection is over a network with sslmode=prefer,
// which is what a connection string without sslmode means: TLS of any
// certificate, or else none.
func prefersTLS(cfg *pgx.ConnConfig) (host string, prefers bool) {
	if cfg.TLSConfig == nil {
		return "", false
	}
	for _, f := range cfg.Fallbacks {
		if f.TLSConfig == nil && !local(f.Host) {
			return f.Host, true
		}
	}
	return "", false
}

func local(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasPrefix(host, "/") || ip != nil && ip.IsLoopback()
}

// settle sets up a connection. A gateway that has gone without a goodbye does not
// hold its locks for longer than half a minute; what is asked for is found by
// indexes, and planned for the days that it is about.
func settle(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `SELECT set_config(s.name, v.value, false) FROM pg_settings s JOIN (VALUES
		('idle_in_transaction_session_timeout', '10s'), ('tcp_keepalives_idle', '10'), ('tcp_keepalives_interval', '5'), ('tcp_keepalives_count', '3'),
		('client_connection_check_interval', '5s'), ('plan_cache_mode', 'force_custom_plan'), ('jit', 'off'), ('datestyle', 'ISO'), ('timezone', 'UTC'),
		('enable_seqscan', 'off'), ('enable_hashjoin', 'off'), ('enable_mergejoin', 'off'), ('enable_bitmapscan', 'off')) v (name, value) ON v.name = s.name`)
	return err
}

// broken tells whether the connection is gone, rather than the statement wrong.
func broken(err error) bool {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		// 57P01 to 57P03: the server is stopped, has crashed, is not up yet.
		return strings.HasPrefix(refused.Code, "57P0") || strings.HasPrefix(refused.Code, "08")
	}
	return true
}

// refused tells whether the server refused a statement with a code.
func refused(err error, code string) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == code
}

// leave closes a connection, and does not wait for a server that is silent.
func leave(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), parting)
	defer cancel()
	_ = conn.Close(ctx)
}
