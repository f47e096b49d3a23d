package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sluice": main})
}

// TestScripts runs what a user could have typed. Beside testscript's own
// commands there are
//
//	exits CODE COMMAND…           for the codes that scripts of users depend on
//	starts COMMAND…               runs a command that goes on
//	awaits stdout|stderr REGEXP   waits for what it says; named groups become variables
//	signals SIGNAL                sends it a signal
//	ends SIGNAL                   the same, and it has to end with 0
//	fetches URL                   prints what is at a URL
//	unloads ADDRESS MODEL FILE    unloads a model with the token in a file (or in
//	                              stdout), prints what a client is told
//	begins unload ADDRESS MODEL FILE, begins tokens ADDRESS FILE
//	                              the same, or a stream of tokens, and goes on meanwhile
//	finishes                      waits for what was begun first, prints what its client is told
//	finds REGEXP COMMAND…         runs a command until its output matches; named groups
//	                              become variables
//	flips FILE TEXT               changes one bit of a file, where a text first is
//	as FILE                       shows the token in a file from now on
//	logs-in NAME                  runs sluice login and enters its code as somebody
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Values[running{}] = &running{}
			env.Values[heldKey{}] = &held{}
			env.Setenv("SLUICE_KEYRING", "off")
			env.Setenv("XDG_CONFIG_HOME", env.Getenv("WORK")+"/config")
			env.Setenv("GORACE", "atexit_sleep_ms=0") // else each command takes a second more
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "starts": starts, "awaits": awaits, "signals": signals, "ends": ends, "fetches": fetches, "unloads": unloads,
			"begins": begins, "finishes": finishes, "finds": finds, "flips": flips, "as": as, "logs-in": logsIn,
		},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func flips(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flips FILE TEXT")
	}
	path := ts.MkAbs(args[0])
	file, err := os.ReadFile(path)
	ts.Check(err)
	i := bytes.Index(file, []byte(args[1]))
	if i < 0 {
		ts.Fatalf("%s does not hold %q", args[0], args[1])
	}
	file[i] ^= 1
	ts.Check(os.WriteFile(path, file, 0o600))
}
