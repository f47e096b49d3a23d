package target

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// program writes a shell script of that name into bin.
func program(t *testing.T, bin, name, script string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
}

func setting(t *testing.T, bin string, ready func(context.Context, Target, string) error) Setting {
	t.Helper()
	return Setting{
		Bin: bin, Dir: t.TempDir(), CPUs: 1, Backend: "127.0.0.1:9999",
		Identity: &Identity{Issuer: "i", Audience: "a", Group: "g", JWKS: "jwks.json"}, Ready: ready,
	}
}

func byName(t *testing.T, name string) Target {
	t.Helper()
	all := All()
	i := slices.IndexFunc(all, func(t Target) bool { return t.Name == name })
	if i < 0 {
		t.Fatalf("no target %q", name)
	}
	return all[i]
}

func TestStartAndStop(t *testing.T) {
	bin := t.TempDir()
	program(t, bin, "pipe", `echo "$@" > args; cat > /dev/null; echo ended > end`)
	asked := 0
	ready := func(context.Context, Target, string) error {
		if asked++; asked < 3 {
			return errors.New("not yet")
		}
		return nil
	}
	r, err := Start(t.Context(), byName(t, Pipe), setting(t, bin, ready))
	if err != nil {
		t.Fatal(err)
	}
	if asked != 3 || len(r.Probe.PIDs) != 1 || !strings.HasPrefix(r.Probe.HeapURL, "http://127.0.0.1:") {
		t.Errorf("asked %d times, measured by %+v", asked, r.Probe)
	}
	r.Stop()
	if !r.procs[0].ended() {
		t.Error("goes on after Stop")
	}
	args, err := os.ReadFile(filepath.Join(r.dir, "args"))
	if err != nil || !strings.Contains(string(args), "-listen "+r.Address+" -backend 127.0.0.1:9999") {
		t.Errorf("started with %q, %v", args, err)
	}
	if err := r.Remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(r.dir); err == nil {
		t.Error("its folder is still there")
	}
}

func TestStopKillsWhatDoesNotEnd(t *testing.T) {
	t.Parallel() // it takes as long as a stop may
	bin := t.TempDir()
	program(t, bin, "haproxy", `trap "" TERM; echo up; exec 0<&-; while :; do read nothing < /dev/zero || :; done`)
	r, err := Start(t.Context(), byName(t, HAProxy), setting(t, bin, func(context.Context, Target, string) error { return nil }))
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	r.Stop()
	if !r.procs[0].ended() || time.Since(began) > 10*stopGrace {
		t.Errorf("ended: %v, after %v", r.procs[0].ended(), time.Since(began))
	}
}

func TestStartFails(t *testing.T) {
	never := func(context.Context, Target, string) error { return errors.New("no answer from it") }
	tests := map[string]struct {
		target, script string
		change         func(*Setting)
		want           string
	}{
		"ends at once":   {Nginx, "echo bad directive; exit 1", func(*Setting) {}, "bad directive"},
		"no program":     {Pipe, "", func(s *Setting) { s.Bin = "/nonexistent" }, "no such file"},
		"no core":        {Pipe, "", func(s *Setting) { s.CPUs = 0 }, "at least one core"},
		"no backend":     {Pipe, "", func(s *Setting) { s.Backend = "here" }, "missing port"},
		"backend's port": {Pipe, "", func(s *Setting) { s.Backend = "here:http" }, "invalid syntax"},
		"no folder":      {Pipe, "", func(s *Setting) { s.Dir = "/nonexistent" }, "no such file"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bin := t.TempDir()
			program(t, bin, "nginx", tt.script)
			s := setting(t, bin, never)
			tt.change(&s)
			_, err := Start(t.Context(), byName(t, tt.target), s)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestNoAnswerInTime(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	s := setting(t, "", func(context.Context, Target, string) error { return errors.New("refused") })
	if _, err := Start(ctx, byName(t, Direct), s); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("error %v", err)
	}
}

func TestMissing(t *testing.T) {
	bin := t.TempDir()
	program(t, bin, "envoy", "")
	for name, want := range map[string]string{
		Direct: "", EnvoyPlain: "", EnvoyJWT: "", EnvoyExtProc: "extproc", Nginx: "nginx", Sluice: "sluice",
	} {
		if got := byName(t, name).Missing(bin); got != want {
			t.Errorf("%s misses %q, want %q", name, got, want)
		}
	}
}

func TestFreePort(t *testing.T) {
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		t.Fatalf("port %d is not free: %v", port, err)
	}
	l.Close()
}

func TestVersions(t *testing.T) {
	bin := t.TempDir()
	program(t, bin, "envoy", `echo "envoy  version: abc/1.40.0/Clean/RELEASE/BoringSSL"`)
	program(t, bin, "nginx", `echo "nginx version: nginx/1.22.1" >&2`)
	got := Versions(t.Context(), bin)
	if want := []string{"envoy 1.40.0", "nginx 1.22.1"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
