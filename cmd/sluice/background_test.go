package main

import (
	"context"
	"io"
	"net/http"
	"net/url"
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

// held are calls that a script has begun and not seen the end of.
type held struct{ ends []chan string }

// heldKey is by what a script finds them.
type heldKey struct{}

// unload unloads a model with the token in a file, and says what a client is told.
func unload(ts *testscript.TestScript, address, model, file string) chan string {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	ts.Check(err)
	token := strings.TrimSpace(ts.ReadFile(file))
	end := make(chan string, 1)
	go func() {
		defer func() { _ = conn.Close() }()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
		_, err := inference.NewGRPCInferenceServiceClient(conn).RepositoryModelUnload(ctx, &inference.RepositoryModelUnloadRequest{ModelName: model})
		if err != nil {
			end <- err.Error()
			return
		}
		end <- "unloaded"
	}()
	return end
}

func unloads(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: unloads ADDRESS MODEL FILE")
	}
	_, err := io.WriteString(ts.Stdout(), <-unload(ts, args[0], args[1], args[2])+"\n")
	ts.Check(err)
}

func begins(ts *testscript.TestScript, neg bool, args []string) {
	all := ts.Value(heldKey{}).(*held)
	switch {
	case !neg && len(args) == 4 && args[0] == "unload":
		all.ends = append(all.ends, unload(ts, args[1], args[2], args[3]))
	case !neg && len(args) == 3 && args[0] == "tokens":
		all.ends = append(all.ends, generate(ts, args[1], args[2]))
	default:
		ts.Fatalf("usage: begins unload ADDRESS MODEL FILE, or begins tokens ADDRESS FILE")
	}
}

// generate has the model tokens say something again and again, and returns when the
// first of it has come.
func generate(ts *testscript.TestScript, address, file string) chan string {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+strings.TrimSpace(ts.ReadFile(file)))
	stream, err := inference.NewGRPCInferenceServiceClient(conn).ModelStreamInfer(ctx)
	ts.Check(err)
	request := &inference.ModelInferRequest{
		ModelName: "tokens",
		Inputs: []*inference.ModelInferRequest_InferInputTensor{
			{Name: "text_input", Datatype: "BYTES", Shape: []int64{1}, Contents: &inference.InferTensorContents{BytesContents: [][]byte{[]byte("hi")}}},
			{Name: "stream", Datatype: "BOOL", Shape: []int64{1}, Contents: &inference.InferTensorContents{BoolContents: []bool{true}}},
		},
	}
	ts.Check(stream.Send(request))
	_, err = stream.Recv()
	ts.Check(err)
	end := make(chan string, 1)
	go func() {
		defer func() { cancel(); _ = conn.Close() }()
		for {
			if _, err := stream.Recv(); err != nil {
				end <- err.Error()
				return
			}
		}
	}()
	return end
}

// finishes waits for the call that was begun first and prints what its client was told.
func finishes(ts *testscript.TestScript, neg bool, args []string) {
	all := ts.Value(heldKey{}).(*held)
	if neg || len(args) != 0 || len(all.ends) == 0 {
		ts.Fatalf("usage: finishes, after begins")
	}
	_, err := io.WriteString(ts.Stdout(), <-all.ends[0]+"\n")
	all.ends = all.ends[1:]
	ts.Check(err)
}

// finds runs a command again and again until its output matches; named groups
// become variables.
func finds(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: finds REGEXP COMMAND…")
	}
	re := regexp.MustCompile(args[0])
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		_ = ts.Exec(args[1], args[2:]...)
		out := ts.ReadFile("stdout")
		if match := re.FindStringSubmatch(out); match != nil {
			for i, name := range re.SubexpNames() {
				if name != "" {
					ts.Setenv(name, match[i])
				}
			}
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("it never printed that; at last it was\n%s%s", out, ts.ReadFile("stderr"))
		}
	}
}

// logsIn runs sluice login and answers its code on the issuer's page as somebody;
// nobody refuses.
func logsIn(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: logs-in NAME")
	}
	cmd := exec.Command("sluice", "login")
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "SLUICE_SERVER", "SLUICE_KEYRING", "XDG_CONFIG_HOME", "HOME", "GORACE"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	said, told := new(strings.Builder), newStream()
	cmd.Stdout, cmd.Stderr = said, told
	ts.Check(cmd.Start())
	late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	match, _ := told.await(regexp.MustCompile(`(?s)^.*open\n\n  (\S+)\n.*\n  ([A-Z]{4}-[A-Z]{4})\n`))
	if match == nil {
		ts.Fatalf("login asked for no code")
	}
	response, err := http.PostForm(match[1], url.Values{"user_code": {match[2]}, "name": {args[0]}})
	ts.Check(err)
	ts.Check(response.Body.Close())
	_ = cmd.Wait() // what it says tells whether it failed
	told.mu.Lock()
	defer told.mu.Unlock()
	_, err = io.WriteString(ts.Stdout(), said.String())
	ts.Check(err)
	_, err = io.WriteString(ts.Stderr(), match[0]+string(told.text))
	ts.Check(err)
}

// as shows the token in a file from now on.
func as(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: as FILE")
	}
	ts.Setenv("SLUICE_TOKEN", strings.TrimSpace(ts.ReadFile(args[0])))
}
