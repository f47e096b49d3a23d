package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/sluice-gateway/sluice/gen/inference"
)

// patience is how long a script waits for anything.
const patience = time.Minute

// running is the one command that a script has started and not ended. Its
// zero value is also the key by which a script finds it.
type running struct {
	cmd            *exec.Cmd
	stdout, stderr *stream
	done           chan error
}

// stream keeps what a command writes, for whoever waits for some of it.
type stream struct {
	mu   sync.Mutex
	more *sync.Cond
	text []byte
	over bool
}

func newStream() *stream {
	s := new(stream)
	s.more = sync.NewCond(&s.mu)
	return s
}

func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = append(s.text, p...)
	s.more.Broadcast()
	return len(p), nil
}

func (s *stream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	s.more.Broadcast()
}

// await waits until something that was written matches. It returns the match
// and takes what is before its end out, so that the next one is found after it.
func (s *stream) await(re *regexp.Regexp) (match []string, seen string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if at := re.FindSubmatchIndex(s.text); at != nil {
			match = re.FindStringSubmatch(string(s.text))
			s.text = s.text[at[1]:]
			return match, ""
		}
		if s.over {
			return nil, string(s.text)
		}
		s.more.Wait()
	}
}

func starts(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: starts COMMAND…")
	}
	r := running{cmd: exec.Command(args[0], args[1:]...), stdout: newStream(), stderr: newStream(), done: make(chan error, 1)}
	r.cmd.Dir, r.cmd.Env = ts.MkAbs("."), append(os.Environ(), "TMPDIR="+ts.Getenv("TMPDIR"), "GORACE="+ts.Getenv("GORACE"))
	r.cmd.Stdout, r.cmd.Stderr = r.stdout, r.stderr
	ts.Check(r.cmd.Start())
	late := time.AfterFunc(patience, func() { _ = r.cmd.Process.Kill() })
	go func() {
		err := r.cmd.Wait()
		late.Stop()
		r.stdout.end()
		r.stderr.end()
		r.done <- err
	}()
	ts.Defer(func() { _ = r.cmd.Process.Kill() })
	*ts.Value(running{}).(*running) = r
}

func awaits(ts *testscript.TestScript, neg bool, args []string) {
	r := ts.Value(running{}).(*running)
	if neg || len(args) != 2 || r.cmd == nil {
		ts.Fatalf("usage: awaits stdout|stderr REGEXP, after starts")
	}
	from := map[string]*stream{"stdout": r.stdout, "stderr": r.stderr}[args[0]]
	re := regexp.MustCompile(args[1])
	match, seen := from.await(re)
	if match == nil {
		ts.Fatalf("the command ended without it, after\n%s", seen)
	}
	for i, name := range re.SubexpNames() {
		if name != "" {
			ts.Setenv(name, match[i])
		}
	}
}

func signals(ts *testscript.TestScript, neg bool, args []string) {
	named := map[string]os.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP}
	r := ts.Value(running{}).(*running)
	if neg || len(args) != 1 || named[args[0]] == nil || r.cmd == nil {
		ts.Fatalf("usage: signals INT|TERM|HUP, after starts")
	}
	ts.Check(r.cmd.Process.Signal(named[args[0]]))
}

func ends(ts *testscript.TestScript, neg bool, args []string) {
	signals(ts, neg, args)
	ts.Check(<-ts.Value(running{}).(*running).done)
}

func fetches(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: fetches URL")
	}
	client := http.Client{Timeout: patience}
	response, err := client.Get(args[0])
	ts.Check(err)
	defer func() { _ = response.Body.Close() }()
	_, err = io.Copy(ts.Stdout(), response.Body)
	ts.Check(err)
}

func unloads(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: unloads ADDRESS MODEL FILE")
	}
	conn, err := grpc.NewClient(args[0], grpc.WithTransportCredentials(insecure.NewCredentials()))
	ts.Check(err)
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+strings.TrimSpace(ts.ReadFile(args[2])))
	_, err = inference.NewGRPCInferenceServiceClient(conn).RepositoryModelUnload(ctx, &inference.RepositoryModelUnloadRequest{ModelName: args[1]})
	text := "unloaded"
	if err != nil {
		text = err.Error()
	}
	_, err = io.WriteString(ts.Stdout(), text+"\n")
	ts.Check(err)
}
