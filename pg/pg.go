// Package pg is what the store and the audit log share of PostgreSQL: how a connection
// string is read, and refused where it would go in plaintext; how a schema is brought up
// to date; which errors say that the way there is broken. It knows neither's tables.
package pg

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
	// connectTimeout bounds how long a server is waited for, unless the connection
	// string says connect_timeout.
	connectTimeout = 3 * time.Second
	// parting bounds the goodbye to a server that may not answer.
	parting = time.Second
)

// errURL does not repeat the connection string, which has a password in it.
var errURL = errors.New("not a connection string of PostgreSQL; write it as postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full")

// Settings reads a connection string (a URL or key=value pairs, as all PostgreSQL
// clients take). Unless it says otherwise there are so many connections at most, of an
// application of this name. Each is set up by settle.
func Settings(url string, connections int32, name string, settle func(context.Context, *pgx.Conn) error) (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errURL
	}
	if host, prefers := prefersTLS(cfg.ConnConfig); prefers {
		return nil, fmt.Errorf("the connection to %s would go on in plaintext if somebody on the way says so: add sslmode=verify-full (with sslrootcert=FILE for a CA of your own), or sslmode=disable if plaintext is what you want", host)
	}
	if !strings.Contains(url, "pool_max_conns") {
		cfg.MaxConns = connections
	}
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = connectTimeout
	}
	if cfg.ConnConfig.RuntimeParams["application_name"] == "" {
		cfg.ConnConfig.RuntimeParams["application_name"] = name
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

// Broken tells whether the connection is gone, rather than the statement wrong.
func Broken(err error) bool {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		// 57P01 to 57P03: the server is stopped, has crashed, is not up yet.
		return strings.HasPrefix(refused.Code, "57P0") || strings.HasPrefix(refused.Code, "08")
	}
	return true
}

// Refused tells whether the server refused a statement with one of the codes, or with
// one of a class (two letters).
func Refused(err error, codes ...string) bool {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		return false
	}
	for _, code := range codes {
		if strings.HasPrefix(refused.Code, code) {
			return true
		}
	}
	return false
}

// Leave closes a connection, and does not wait for a server that is silent.
func Leave(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), parting)
	defer cancel()
	_ = conn.Close(ctx)
}
