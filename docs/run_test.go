package docs_test

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the outputs in console blocks anew")

// program is the folder with the sluice that pages are run with.
var program string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(withProgram(m.Run))
}

func withProgram(run func() int) int {
	dir, err := os.MkdirTemp("", "sluice-docs-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "sluice"), "../cmd/sluice").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	program = dir
	return run()
}

// session is a reader who follows a page from top to bottom, in a folder of his
// own.
type session struct {
	page    *page
	dir     string
	code    int // what the last command ended with
	pending []block
	outputs map[string]string // what a console block shows -> what is so
}

// TestPages stores the files of each page, checks them, runs its commands and
// compares what they print with what the page shows.
func TestPages(t *testing.T) {
	touch(t)
	for _, p := range pages(t) {
		t.Run(p.path, func(t *testing.T) {
			s := &session{page: &p, dir: t.TempDir(), outputs: map[string]string{}}
			for _, b := range p.blocks {
				switch {
				case b.notRun != "" || b.problem() != "": // TestEveryBlockIsRunOrSaysWhyNot tells of problems
				case b.lang == "yaml":
					s.store(t, b)
				case b.lang == "sh":
					s.checkFiles(t)
					s.script(t, b)
				case b.lang == "console":
					s.checkFiles(t)
					s.console(t, b)
				}
			}
			s.checkFiles(t)
			if *update {
				s.write(t)
			}
		})
	}
}

// touch looks at every Go file. go test remembers a result until something
// changes that the test itself looked at; what go build reads does not count.
func touch(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && len(d.Name()) > 2 && d.Name()[0] == '.':
			return fs.SkipDir
		case filepath.Ext(name) == ".go":
			_, _ = os.Stat(name) // only that it was looked at matters
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// exits is what a page says of a command's exit code, in a comment behind it.
var exits = regexp.MustCompile(`#.*\bexit (\d)(?: or (\d))?`)

// script runs the commands of a sh block, which shows no output. They have to
// end with 0 where the page does not say otherwise.
func (s *session) script(t *testing.T, b block) {
	t.Helper()
	for _, command := range commands(strings.Split(b.text, "\n")) {
		want := []string{"0"}
		if m := exits.FindStringSubmatch(command); m != nil {
			want = m[1:]
		}
		out := s.run(t, command)
		if code := strconv.Itoa(s.code); code != want[0] && code != want[len(want)-1] {
			t.Errorf("%s:%d: %s\nended with %s, not %s:\n%s", s.page.path, b.line, command, code, want[0], out)
		}
	}
}

// commands joins lines that end in a backslash, and drops what is empty or a
// comment.
func commands(lines []string) []string {
	var all []string
	more := false
	for _, line := range lines {
		switch {
		case more:
			all[len(all)-1] += "\n" + line
		case strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#"):
			continue
		default:
			all = append(all, line)
		}
		more = strings.HasSuffix(line, `\`)
	}
	return all
}

// step is a command of a console block and what it shows.
type step struct{ command, output string }

// steps takes a console block apart at its prompts.
func steps(text string) []step {
	var all []step
	more := false
	for _, line := range strings.SplitAfter(text, "\n") {
		command, prompt := strings.CutPrefix(line, "$ ")
		switch last := len(all) - 1; {
		case more:
			all[last].command += line
		case prompt:
			all = append(all, step{command: command})
		case last >= 0:
			all[last].output += line
		}
		more = (prompt || more) && strings.HasSuffix(line, "\\\n")
	}
	return all
}

// console runs the commands of a console block and compares all that they
// print. One that fails has to be followed by "echo $?": a reader's script would
// stop there.
func (s *session) console(t *testing.T, b block) {
	t.Helper()
	all := steps(b.text)
	is := ""
	for i, step := range all {
		got := s.run(t, step.command)
		is += "$ " + step.command + got
		if got != step.output && !*update {
			t.Errorf("%s:%d: $ %sprints\n%swhere the page shows (go test ./docs -update mends it)\n%s", s.page.path, b.line, step.command, got, step.output)
		}
		if asked := i+1 < len(all) && strings.TrimSpace(all[i+1].command) == "echo $?"; s.code != 0 && !asked {
			t.Errorf("%s:%d: $ %sends with %d, and the page does not show it with echo $?:\n%s", s.page.path, b.line, step.command, s.code, got)
		}
	}
	s.outputs[b.text] = is
}

// serve would go on; that its configuration is good is what can be said here.
// The scripts of cmd/sluice serve.
var serve = regexp.MustCompile(`(?m)^sluice serve\b`)

// run runs a command with the shell, $? being what the last one ended with, and
// returns all that it printed.
func (s *session) run(t *testing.T, command string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command = serve.ReplaceAllString(command, "sluice check")
	cmd := exec.CommandContext(ctx, "sh", "-c", fmt.Sprintf("(exit %d)\n%s", s.code, command))
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "PATH="+program+string(os.PathListSeparator)+os.Getenv("PATH"), "HOME="+s.dir)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	s.code = cmd.ProcessState.ExitCode()
	return string(out)
}

// write puts what was printed into the page.
func (s *session) write(t *testing.T) {
	t.Helper()
	text := s.page.text
	for shown, is := range s.outputs {
		text = strings.Replace(text, "```console\n"+shown+"```", "```console\n"+is+"```", 1)
	}
	if text == s.page.text {
		return
	}
	if err := os.WriteFile(filepath.Join("..", s.page.path), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestStepsOfAConsole(t *testing.T) {
	got := steps("$ sluice check \\\n    --config a.yaml\na.yaml is good\n\n$ echo $?\n0\n")
	want := []step{{"sluice check \\\n    --config a.yaml\n", "a.yaml is good\n\n"}, {"echo $?\n", "0\n"}}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestWhatAPageShowsIsCompared tries pages whose word is not kept.
func TestWhatAPageShowsIsCompared(t *testing.T) {
	s := &session{page: &page{path: "page.md"}, dir: t.TempDir()}
	if got := s.run(t, "echo $?"); got != "0\n" {
		t.Errorf("at first $? is %q", got)
	}
	if got := s.run(t, "sluice serv 2>&1 | grep -c mean; (exit 7)"); got != "1\n" || s.code != 7 {
		t.Errorf("got %q and %d", got, s.code)
	}
	if got := s.run(t, "echo $?"); got != "7\n" || s.code != 0 {
		t.Errorf("after a failure $? is %q", got)
	}
	if got := s.run(t, "sluice serve --config missing.yaml"); !strings.Contains(got, "missing.yaml") || s.code != 1 {
		t.Errorf("serve is run as it stands: %q and %d", got, s.code)
	}
}
