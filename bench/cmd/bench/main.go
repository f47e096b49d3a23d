// Command bench measures Sluice beside its peers. `bench run` starts each in
// turn and writes tables; `bench backend` and `bench load` are the processes
// that it runs before and behind them. See docs/PERFORMANCE.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

func main() {
	// Children are bound to the thread that starts them: this one.
	runtime.LockOSThread()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := dispatch(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage: bench run|backend|load [flags]; bench run -help lists them")

func dispatch(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return errUsage
	}
	switch args[0] {
	case "run":
		return run(ctx, args[1:], stderr)
	case "backend":
		return serveBackend(args[1:], stdin)
	case "load":
		return sendLoad(ctx, stdin, stdout)
	}
	return errUsage
}
