// Command tgitest serves the double of TGI for the end-to-end suite, on
// loopback:
//
//	tgitest -listen 127.0.0.1:8080 -say say.json
//
// The file has what [tgitest.Options] needs to say the suite's text:
// {"tokens": […], "endless": "~", "ticks": […]}.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/sluice-gateway/sluice/backends/tgi/tgitest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "tgitest:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("tgitest", flag.ContinueOnError)
	flags.SetOutput(stderr)
	listen := flags.String("listen", "127.0.0.1:8080", "loopback address to serve on")
	say := flags.String("say", "", "JSON file of what to say")
	adapters := flags.String("adapters", "", "names of adapters, with commas")
	key := flags.String("api-key", "", "key that is wanted; none without it")
	delay := flags.Duration("delay", 500*time.Microsecond, "time that a token takes")
	comments := flags.Int("comments", 10, "a keep-alive comment before each so many events")
	tight := flags.Bool("tight", false, "write data: without a blank, as TGI 1 did")
	if err := flags.Parse(args); err != nil {
		return err
	}
	o := tgitest.Options{APIKey: *key, Delay: *delay, Comments: *comments, Tight: *tight}
	if *adapters != "" {
		o.Adapters = strings.Split(*adapters, ",")
	}
	if err := read(*say, &o); err != nil {
		return err
	}
	return serve(ctx, *listen, tgitest.New(o))
}

func read(file string, o *tgitest.Options) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var said struct {
		Tokens, Ticks []string
		Endless       string
	}
	if err := json.Unmarshal(text, &said); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	o.Tokens, o.Ticks, o.Endless = said.Tokens, said.Ticks, said.Endless
	return nil
}

func serve(ctx context.Context, address string, h http.Handler) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	if tcp, ok := l.Addr().(*net.TCPAddr); !ok || !tcp.IP.IsLoopback() {
		return errors.Join(fmt.Errorf("%s is not on loopback", address), l.Close())
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
