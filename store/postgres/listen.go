package postgres

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sluice-gateway/sluice/pg"
	"github.com/sluice-gateway/sluice/store"
)

// The pauses between attempts to listen again: the first, and the longest.
const (
	firstPause   = 50 * time.Millisecond
	longestPause = store.Poll
)

// channel is where the trigger of the first migration tells of changes.
const channel = "sluice_item"

// listen hands notices to the watches until ctx ends. Whenever it could not, it
// says afterwards that anything may have changed.
func (s *Store) listen(ctx context.Context) {
	pause := firstPause
	for {
		err := s.hear(ctx, func() {
			if pause > firstPause {
				s.log.LogAttrs(ctx, slog.LevelInfo, "store: hears of other replicas' changes again")
			}
			pause = firstPause
			s.hub.TellAll()
		})
		if ctx.Err() != nil {
			return
		}
		if pause == firstPause {
			s.log.LogAttrs(ctx, slog.LevelWarn, "store: does not hear of other replicas' changes, and asks every few seconds", slog.Any("error", err))
		}
		timer := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		pause = min(2*pause, longestPause)
	}
}

// hear listens on one connection until that breaks. A connection that is silent
// is asked whether it is still there: one whose other end is gone is silent too.
func (s *Store) hear(ctx context.Context, ready func()) error {
	conn, err := pgx.ConnectConfig(ctx, s.pool.Config().ConnConfig)
	if err != nil {
		return err
	}
	defer pg.Leave(conn)
	if err := within(ctx, func(ctx context.Context) error {
		_, err := conn.Exec(ctx, "LISTEN "+channel)
		return err
	}); err != nil {
		return err
	}
	ready()
	for {
		err := within(ctx, func(ctx context.Context) error { return s.notice(ctx, conn) })
		if errors.Is(err, context.DeadlineExceeded) {
			err = within(ctx, conn.Ping)
		}
		if err != nil {
			return err
		}
	}
}

func within(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, store.Timeout)
	defer cancel()
	return f(ctx)
}

func (s *Store) notice(ctx context.Context, conn *pgx.Conn) error {
	n, err := conn.WaitForNotification(ctx)
	if err != nil {
		return err
	}
	if kind, id, ok := strings.Cut(n.Payload, " "); ok {
		s.hub.Tell(store.Hint{Kind: store.Kind(kind), ID: id})
	} else {
		s.hub.TellAll() // an operator's own NOTIFY
	}
	return nil
}
