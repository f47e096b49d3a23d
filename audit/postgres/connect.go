package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// readers is how many searches go on at once, unless the connection string says
// pool_max_conns. Each replica's writer has a connection of its own beside them.
const readers = 6

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
