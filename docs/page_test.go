package docs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// block is a fenced part of a page, and what the page says about it.
type block struct {
	line int // of its first line, from 1
	lang string
	text string
	// file is what the block is to be stored as. The page names it in the
	// block's first line, as in "# policy.yaml", in the line before the block,
	// as in "`policy.yaml`:", or in a comment, as in <!-- file: policy.yaml -->.
	file string
	// wrong: the file is an example of how not to do it.
	wrong bool
	// notRun is the reason why nobody runs the block here; another comment says
	// who does, as in <!-- test:demo -->.
	notRun string
}

// page is one of the documents that are held to their word.
type page struct {
	path   string // relative to the repository
	text   string
	blocks []block
}

var (
	commentLine = regexp.MustCompile(`^<!--\s*(file|not run|test):?\s*(.*?)\s*-->$`)
	fileComment = regexp.MustCompile(`^#\s+([\w./-]+\.ya?ml)\b`)
	fileLine    = regexp.MustCompile("^`([\\w./-]+\\.ya?ml)`:$")
	indented    = regexp.MustCompile(`^(?: {4}|\t)\S`)
)

// pages are the README, CONTRIBUTING and everything under docs.
func pages(t *testing.T) []page {
	t.Helper()
	paths, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	var all []page
	for _, path := range append([]string{"../README.md", "../CONTRIBUTING.md"}, paths...) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		p, err := parsePage(filepath.Join("docs", path), string(text))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// parsePage finds the blocks. What is said before a block counts if nothing
// else stands between.
func parsePage(path, text string) (page, error) {
	p := page{path: path, text: text}
	var open *block
	next, blank := block{}, true
	for i, line := range strings.Split(text, "\n") {
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case open != nil && isFence:
			p.blocks, open = append(p.blocks, *open), nil
		case open != nil:
			open.text += line + "\n"
			if m := fileComment.FindStringSubmatch(line); m != nil && open.text == line+"\n" && open.file == "" {
				open.file = m[1]
			}
		case isFence:
			next.line, next.lang = i+2, fence
			opened := next
			open, next = &opened, block{}
		case blank && indented.MatchString(line):
			return p, fmt.Errorf("%s:%d: an indented block is run by nobody; fence it", path, i+1)
		case line != "":
			next = said(line, next)
		}
		blank = line == ""
	}
	if open != nil {
		return p, fmt.Errorf("%s:%d: a block without an end", path, open.line)
	}
	return p, nil
}

// said adds what a line says about the block to come to what is known of it.
func said(line string, next block) block {
	if m := fileLine.FindStringSubmatch(line); m != nil {
		next.file = m[1]
		return next
	}
	m := commentLine.FindStringSubmatch(line)
	if m == nil {
		return block{}
	}
	switch what, rest := m[1], m[2]; what {
	case "file":
		next.file, next.wrong = strings.CutSuffix(rest, ", which is wrong")
	case "test":
		next.notRun = "it is the e2e test " + rest
	default:
		next.notRun = rest
	}
	return next
}

// looksRun finds a command in a block that is not said to hold any.
var looksRun = regexp.MustCompile(`(?m)^(\$ |(sudo |time )?(sluice|make|go|docker|pip|curl|bench/\S+|e2e/\S+) )`)

// problem says why the block cannot be held to its word, or "".
func (b *block) problem() string {
	switch {
	case b.notRun != "":
		return ""
	case b.lang == "sh":
		return foreign(commands(strings.Split(b.text, "\n")))
	case b.lang == "console":
		var all []string
		for _, step := range steps(b.text) {
			all = append(all, step.command)
		}
		return foreign(all)
	case b.lang == "yaml" && b.file == "":
		return "a yaml block without a name: begin it with # NAME.yaml"
	case b.lang == "yaml":
		return ""
	case b.lang != "" && b.lang != "text":
		return fmt.Sprintf("nobody runs blocks of %s: say why not, with <!-- not run: REASON -->", b.lang)
	case looksRun.MatchString(b.text):
		return "it holds a command: make it sh or console"
	}
	return ""
}

// foreign finds commands that are not run here: they take long, ask the network
// or change the machine.
func foreign(commands []string) string {
	for _, command := range commands {
		if word, _, _ := strings.Cut(strings.TrimSpace(command), " "); word != "sluice" && word != "echo" && word != "cat" {
			return fmt.Sprintf("%s is not run here: say why not, with <!-- not run: REASON -->, in a block of its own", word)
		}
	}
	return ""
}

func TestEveryBlockIsRunOrSaysWhyNot(t *testing.T) {
	for _, p := range pages(t) {
		for i := range p.blocks {
			if problem := p.blocks[i].problem(); problem != "" {
				t.Errorf("%s:%d: %s", p.path, p.blocks[i].line, problem)
			}
		}
	}
}

func TestUnmarkedBlocksAreFound(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"sh":                    {"```sh\nsluice version\n```", ""},
		"console":               {"```console\n$ sluice version\n```", ""},
		"a picture":             {"```\nclient -> sluice\n```", ""},
		"output":                {"```text\nallowed: role a\n```", ""},
		"named in its comment":  {"```yaml\n# policy.yaml\nroles: {}\n```", ""},
		"named before":          {"`policy.yaml`:\n```yaml\nroles: {}\n```", ""},
		"named in HTML":         {"<!-- file: policy.yaml -->\n\n```yaml\nroles: {}\n```", ""},
		"exempt":                {"<!-- not run: needs a cluster -->\n```yaml\nkind: Pod\n```", ""},
		"an e2e test's":         {"<!-- test:demo -->\n```python\nimport os\n```", ""},
		"another's command":     {"```sh\nsluice version\nmake test\n```", "make is not run here"},
		"at a prompt":           {"```console\n$ pip install sluice\n```", "pip is not run here"},
		"no name":               {"```yaml\nroles: {}\n```", "a yaml block without a name"},
		"a name too late":       {"```yaml\nroles: {}\n# policy.yaml\n```", "a yaml block without a name"},
		"no reason":             {"<!-- not run: -->\n```python\nimport os\n```", "nobody runs blocks of python"},
		"something between":     {"<!-- not run: is slow -->\ntext\n```python\nimport os\n```", "nobody runs blocks of python"},
		"a reason spent":        {"<!-- not run: is slow -->\n```sh\n```\n```python\n```", "nobody runs blocks of python"},
		"a hidden prompt":       {"```\n$ sluice version\n```", "it holds a command"},
		"a hidden command":      {"```text\nmake bench\n```", "it holds a command"},
		"an indented block":     {"To test:\n\n    make test", "an indented block"},
		"a tab":                 {"\n\tmake test", "an indented block"},
		"a block without end":   {"```sh\nsluice version", "a block without an end"},
		"a list's second lines": {"1. one\n    two", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := parsePage("page.md", c.text)
			got := ""
			if err != nil {
				got = err.Error()
			}
			for i := range p.blocks {
				got += p.blocks[i].problem()
			}
			if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
