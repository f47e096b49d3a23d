package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/bench/backend"
	"github.com/sluice-gateway/sluice/bench/report"
	"github.com/sluice-gateway/sluice/bench/scenario"
	"github.com/sluice-gateway/sluice/bench/target"
)

// childMark makes the test binary act as the bench program: it starts itself.
const childMark = "BENCH_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childMark) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// locked keeps the thread that starts the children, which die with it.
func locked(t *testing.T) {
	t.Helper()
	t.Setenv(childMark, "1")
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
}

func TestRunDirect(t *testing.T) {
	locked(t)
	dir := t.TempDir()
	page := filepath.Join(dir, "PAGE.md")
	if err := os.WriteFile(page, []byte(report.Begin+"\n"+report.End+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	err := dispatch(t.Context(), []string{
		"run", "-smoke", "-bin", dir, "-out", filepath.Join(dir, "out"), "-publish", page,
		"-targets", "direct,nginx,vllm", "-scenarios", "small-1,tokens,first-token,idle-streams", "-commit", "abc1234",
	}, nil, io.Discard, &stderr)
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	if !strings.Contains(stderr.String(), "left out: nginx") {
		t.Errorf("does not name what is not installed:\n%s", stderr.String())
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"commit abc1234", "### small-1", "**left out**: nginx is not installed"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	checkJSON(t, filepath.Join(dir, "out", report.JSONFile))
}

func checkJSON(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct{ Cells []report.Cell }
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Cells) != 5 { // vllm has a turn in first-token alone
		t.Fatalf("%d cells", len(doc.Cells))
	}
	for _, c := range doc.Cells {
		if c.Failed != "" || c.Result.Errors != 0 || c.Result.BackendCPU <= 0 || c.Result.Calls+c.Result.Tokens == 0 {
			t.Errorf("%s: %+v", c.Scenario, c)
		}
	}
}

// A target that does not start fails the run, but not the other targets.
func TestRunReportsFailure(t *testing.T) {
	locked(t)
	dir := t.TempDir()
	script := "#!/bin/sh\necho out of order; exit 1\n"
	if err := os.WriteFile(filepath.Join(dir, "haproxy"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	err := dispatch(t.Context(), []string{
		"run", "-smoke", "-bin", dir, "-out", filepath.Join(dir, "out"),
		"-targets", "haproxy,direct", "-scenarios", "small-1",
	}, nil, io.Discard, &stderr)
	if err == nil || !strings.Contains(err.Error(), "out of order") {
		t.Errorf("error %v", err)
	}
	table, err := os.ReadFile(filepath.Join(dir, "out", report.TableFile))
	if err != nil || !strings.Contains(string(table), "the run failed") || !strings.Contains(string(table), "| direct |") {
		t.Errorf("table %v:\n%s", err, table)
	}
}

func TestRefuses(t *testing.T) {
	tests := map[string]struct {
		answer error
		want   string // of the error, "" where the target is as it should be
	}{
		"refuses":      {status.Error(codes.PermissionDenied, "no"), ""},
		"wants a name": {status.Error(codes.Unauthenticated, "who"), ""},
		"is broken":    {status.Error(codes.Unavailable, "away"), "is not refused: rpc error: code = Unavailable"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			address := serve(t, grpc.NewServer(grpc.UnknownServiceHandler(
				func(any, grpc.ServerStream) error { return tt.answer })))
			b := bench{setting: target.Setting{Identity: &target.Identity{Stranger: "x"}}}
			if err := b.refuses(t.Context(), address); tt.want == "" && err != nil || !strings.Contains(fmt.Sprint(err), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
	t.Run("lets all pass", func(t *testing.T) {
		b := bench{setting: target.Setting{Identity: &target.Identity{Stranger: "x"}}}
		if err := b.refuses(t.Context(), serve(t, backend.New(scenario.Model, 1<<10))); err == nil {
			t.Error("nobody noticed")
		}
	})
}

func serve(t *testing.T, s *grpc.Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Stop()
		<-done
	})
	return l.Addr().String()
}

func TestUsage(t *testing.T) {
	tests := map[string]struct {
		args []string
		want string
	}{
		"nothing":       {nil, "usage"},
		"unknown":       {[]string{"fly"}, "usage"},
		"no rounds":     {[]string{"run", "-rounds", "0"}, "positive"},
		"no such flag":  {[]string{"run", "-fast"}, "not defined"},
		"target":        {[]string{"run", "-out", t.TempDir(), "-targets", "apache"}, "known are direct, go-pipe"},
		"scenario":      {[]string{"run", "-out", t.TempDir(), "-scenarios", "huge"}, "known are small-1"},
		"cores":         {[]string{"run", "-out", t.TempDir(), "-cores", "3-1"}, "bad range"},
		"no spec":       {[]string{"load"}, "specification"},
		"backend flags": {[]string{"backend", "-listen", "nowhere"}, "missing port"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := dispatch(t.Context(), tt.args, strings.NewReader(""), io.Discard, io.Discard)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestChosen(t *testing.T) {
	got, err := chosen(target.All(), "sluice,direct", targetName)
	if err != nil || len(got) != 2 || got[0].Name != target.Sluice || got[1].Name != target.Direct {
		t.Errorf("chosen %v, %v", got, err)
	}
	all, err := chosen(scenario.All(0, 1), "", scenarioName)
	if err != nil || len(all) != len(scenario.All(0, 1)) {
		t.Errorf("an empty list chose %d", len(all))
	}
}

func TestCountCores(t *testing.T) {
	tests := map[string]int{"": runtime.NumCPU(), "0": 1, "0,2": 2, "0-3": 4, "1,4-5": 3}
	for list, want := range tests {
		if got, err := countCores(list); err != nil || got != want {
			t.Errorf("%q: %d, %v, want %d", list, got, err, want)
		}
	}
	for _, list := range []string{"a", "1-", "2-1", "-1", ","} {
		if got, err := countCores(list); err == nil {
			t.Errorf("%q: %d", list, got)
		}
	}
}

func TestBackendEndsWithItsInput(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	in, out := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- dispatch(ctx, []string{"backend"}, in, io.Discard, io.Discard) }()
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
