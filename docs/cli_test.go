package docs_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// cliBlock is what parsePage says of a block that is marked <!-- test:cli -->: it
// is run here, against a demo of its own.
const cliBlock = "it is the e2e test cli"

// TestCommandsAgainstADemo runs, page by page and in order, the blocks that need a
// running gateway. Each command of a block has to succeed.
func TestCommandsAgainstADemo(t *testing.T) {
	touch(t)
	for _, p := range pages(t) {
		var marked []block
		for _, b := range p.blocks {
			if b.notRun == cliBlock {
				marked = append(marked, b)
			}
		}
		if len(marked) == 0 {
			continue
		}
		t.Run(p.path, func(t *testing.T) {
			d := startDemo(t)
			for _, b := range marked {
				d.run(t, p.path, b)
			}
		})
	}
}

// demo is a running `sluice demo`.
type demo struct{ console, issuer, dir string }

var demoListens = regexp.MustCompile(`^  (admin|issuer) +http://(\S+)$`)

func startDemo(t *testing.T) demo {
	t.Helper()
	d := demo{dir: t.TempDir()}
	cmd := exec.Command(filepath.Join(program, "sluice"), "demo", "--grpc", "127.0.0.1:0", "--rest", "off", "--metrics", "off",
		"--console", "127.0.0.1:0", "--issuer", "127.0.0.1:0", "--data", filepath.Join(d.dir, "data"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		_ = cmd.Wait() // how demos end is tested elsewhere
		late.Stop()
	})
	for lines := bufio.NewScanner(out); d.console == "" || d.issuer == ""; {
		if !lines.Scan() {
			t.Fatal("the demo ended at its start")
		}
		if m := demoListens.FindStringSubmatch(lines.Text()); m != nil && m[1] == "admin" {
			d.console = m[2]
		} else if m != nil {
			d.issuer = m[2]
		}
	}
	return d
}

var demoToken = regexp.MustCompile(`sluice demo token \w+`)

// run runs a block as a reader would paste it; only the demo's places are its own.
func (d demo) run(t *testing.T, path string, b block) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	script := demoToken.ReplaceAllString(b.text, "$0 --issuer "+d.issuer)
	cmd := exec.CommandContext(ctx, "sh", "-eu", "-c", script)
	cmd.Dir = d.dir
	cmd.Env = append(os.Environ(), "PATH="+program+string(os.PathListSeparator)+os.Getenv("PATH"), "HOME="+d.dir,
		"XDG_CONFIG_HOME="+d.dir, "SLUICE_KEYRING=off", "SLUICE_SERVER=http://"+d.console)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s:%d: %v\n%s", path, b.line, err, out)
	}
	if strings.Contains(string(out), "\x1b") {
		t.Errorf("%s:%d: prints escapes: %q", path, b.line, out)
	}
	t.Logf("%s", out)
}
