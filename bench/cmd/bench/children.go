package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"

	"github.com/sluice-gateway/sluice/bench/backend"
	"github.com/sluice-gateway/sluice/bench/load"
	"github.com/sluice-gateway/sluice/bench/scenario"
)

// cheapGC makes the processes around the target collect garbage seldom: on a
// machine that all share, they would take its time.
const cheapGC = 400

// serveBackend serves until stdin ends, which it does with the parent.
func serveBackend(args []string, stdin io.Reader) error {
	flags := flag.NewFlagSet("bench backend", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:0", "address to serve on")
	llm := flags.String("listen-llm", "127.0.0.1:0", "address to speak HTTP on, as vLLM and TGI do")
	if err := flags.Parse(args); err != nil {
		return err
	}
	debug.SetGCPercent(cheapGC)
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	hl, err := net.Listen("tcp", *llm)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	s := backend.New(scenario.Model, scenario.MaxOutput)
	web := &http.Server{Handler: backend.NewLLM(scenario.Model), ReadHeaderTimeout: time.Minute}
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		_ = web.Close()
		s.Stop()
	}()
	go func() { _ = web.Serve(hl) }() // ends with Close; who needs it notices sooner
	if err := s.Serve(l); !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil
}

// sendLoad reads a load.Spec from stdin and writes the load.Result to stdout.
func sendLoad(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	debug.SetGCPercent(cheapGC)
	var spec load.Spec
	if err := json.NewDecoder(stdin).Decode(&spec); err != nil {
		return fmt.Errorf("specification: %w", err)
	}
	res, err := load.Run(ctx, spec)
	if err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(res)
}

// loadProcess makes a measurement in a process of its own, of this program.
func loadProcess(ctx context.Context, self, cores string, spec load.Spec) (load.Result, error) {
	var res load.Result
	in, err := json.Marshal(spec)
	if err != nil {
		return res, err
	}
	argv := []string{self, "load"}
	if cores != "" {
		argv = append([]string{"taskset", "-c", cores}, argv...)
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return res, fmt.Errorf("%w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	return res, json.Unmarshal(stdout.Bytes(), &res)
}
