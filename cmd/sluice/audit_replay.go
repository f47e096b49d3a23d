package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sluice-gateway/sluice/audit/replay"
)

// replaying is what audit replay is told.
type replaying struct {
	clientFlags
	speed   float64
	from    time.Duration
	longest time.Duration
	step    bool
	again   again
}

func newAuditReplayCmd() *cobra.Command {
	var p replaying
	cmd := &cobra.Command{
		Use:   "replay SESSION [--speed 2] [--from 10s] [--step] | replay SESSION --against MODEL[:VERSION] [--diff]",
		Short: "Play a session again, in its own timing or to a model",
		Long: `Replay plays what was asked and answered in a session as it came, as far as it is
kept and as it is kept: masked. It needs audit_read and payload_read on the session's
models; each call that is opened is recorded.

On a terminal these keys are heard:

  space   stop, and go on        n, enter   one message, and stop there
  + -     faster, slower         f b        ten seconds on, and back
  q       end

With --against the requests are sent again, to a model or a version of one, through
the gateway at --grpc and under your own token: you get what you yourself may get.
The answers are compared with those of then; --diff prints where they differ. Only
inference is sent. A request that was masked is sent masked. It exits with 1 if an
answer is another one than it was.`,
		Example: `  sluice audit replay 5f0c9d7b2a6e4f18b3d2c1a097e6f5d4 --speed 2
  sluice audit replay 5f0c9d7b2a6e4f18b3d2c1a097e6f5d4 --against llama:3 --diff --tolerance 1e-5`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return misused(cmd, "say which session; \"sluice audit search\" shows it with --output json, as session.id")
			}
			return p.check(cmd)
		},
		RunE: func(cmd *cobra.Command, args []string) error { return p.run(cmd, args[0]) },
	}
	p.add(cmd)
	p.again.add(cmd)
	cmd.Flags().Float64Var(&p.speed, "speed", 1, "how many times as fast as it was; 0 does not wait at all")
	cmd.Flags().DurationVar(&p.from, "from", 0, "begin this long after the session's beginning")
	cmd.Flags().DurationVar(&p.longest, "longest", 10*time.Second, "wait no longer than this where nothing happened")
	cmd.Flags().BoolVar(&p.step, "step", false, "begin stopped: each key n is one message; needs a terminal")
	return cmd
}

func (p *replaying) run(cmd *cobra.Command, session string) error {
	l, err := p.log(cmd)
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	s, err := replay.Load(cmd.Context(), l, session)
	switch {
	case errors.Is(err, replay.ErrNoSession):
		return fmt.Errorf("nothing is recorded of session %s, or nothing that you may see", shown(session))
	case err != nil:
		return err
	}
	damageOf(&s.Damage).tell(cmd.ErrOrStderr())
	if p.again.against != "" {
		return p.again.run(cmd, &p.clientFlags, l.server, s)
	}
	return p.play(cmd, s)
}

func (p *replaying) check(cmd *cobra.Command) error {
	switch {
	case p.speed < 0 || p.from < 0 || p.longest < 0:
		return misused(cmd, "--speed, --from and --longest are not less than 0")
	case p.again.against == "" && p.output == "json":
		return misused(cmd, "a session is played, not printed as json; with --against the results are")
	}
	return p.again.check(cmd)
}

// play plays a session, with the keys of a terminal if there is one.
func (p *replaying) play(cmd *cobra.Command, s *replay.Session) error {
	player := replay.Player{Out: cmd.OutOrStdout(), Speed: p.speed, From: p.from, Longest: p.longest, Stepping: p.step}
	if p.speed == 0 {
		player.Speed = -1
	}
	if p.longest == 0 {
		player.Longest = -1
	}
	f, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		if p.step {
			return usage("--step needs a terminal to hear keys from")
		}
		return player.Play(cmd.Context(), s)
	}
	before, err := term.MakeRaw(int(f.Fd()))
	if err != nil {
		return err
	}
	defer func() { _ = term.Restore(int(f.Fd()), before) }()
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	player.Keys = keysFrom(ctx, f)
	if out, ok := player.Out.(*os.File); ok && term.IsTerminal(int(out.Fd())) {
		player.Out = rawLines{out}
	}
	return player.Play(ctx, s)
}

// keysFrom hears keys. In raw mode Ctrl-C is a byte as any other. A read of a
// terminal can't be ended: the goroutine ends with the program, or the next key.
func keysFrom(ctx context.Context, from io.Reader) <-chan replay.Key {
	keys := make(chan replay.Key)
	go func() {
		defer close(keys)
		var one [1]byte
		for {
			if n, err := from.Read(one[:]); err != nil || n == 0 {
				return
			}
			key := replay.Key(one[0])
			switch one[0] {
			case 3, 4: // Ctrl-C, Ctrl-D
				key = replay.Quit
			case '\r':
				key = replay.Step
			}
			select {
			case keys <- key:
			case <-ctx.Done():
				return
			}
		}
	}()
	return keys
}

// rawLines ends lines as a terminal in raw mode wants them.
type rawLines struct{ w io.Writer }

func (r rawLines) Write(p []byte) (int, error) {
	if _, err := r.w.Write(bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n"))); err != nil {
		return 0, err
	}
	return len(p), nil
}
