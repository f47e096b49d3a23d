// Package docs_test holds the pages to their word: what they show is run or
// loaded, what they link to is there, and what they name exists.
package docs_test

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/interceptors"
)

func TestReadmeBeginsWithTheDemoAndTheTests(t *testing.T) {
	readme := pages(t)[0]
	first := readme.blocks[0]
	for _, command := range []string{"go run ./cmd/sluice demo", "make test"} {
		if first.lang != "sh" || !regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(command)+`\b`).MatchString(first.text) {
			t.Errorf("the README's first block does not hold %q:\n%s", command, first.text)
		}
	}
	if !slices.ContainsFunc(readme.blocks, func(b block) bool { return b.notRun == "it is the e2e test demo" && b.lang == "sh" }) {
		t.Error("the README has no block marked <!-- test:demo -->, which the e2e tests run")
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	noSlug  = regexp.MustCompile(`[^\p{L}\p{N}_\- ]`)
)

func TestLinksResolve(t *testing.T) {
	for _, p := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(p.text, -1) {
			if problem := p.follow(m[1]); problem != "" {
				t.Errorf("%s: %s: %s", p.path, m[0], problem)
			}
		}
	}
}

// follow says what is wrong with a link of the page, or "". Other sites are
// not asked.
func (p *page) follow(target string) string {
	if strings.Contains(target, "://") {
		return ""
	}
	file, anchor, anchored := strings.Cut(target, "#")
	text := p.text
	if file != "" {
		data, err := os.ReadFile(filepath.Join("..", path.Dir(p.path), file))
		if err != nil {
			return err.Error()
		}
		text = string(data)
	}
	if !anchored {
		return ""
	}
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		if slug(m[1]) == anchor {
			return ""
		}
	}
	return "no such heading"
}

// slug is the anchor that GitHub gives to a heading.
func slug(heading string) string {
	return strings.ReplaceAll(noSlug.ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
}

func TestLinksThatDoNotResolveAreFound(t *testing.T) {
	p := page{path: "docs/page.md", text: "# Who may what?\n## `can-i` and `who-can`\n"}
	for target, want := range map[string]string{
		"ARCHITECTURE.md": "", "../README.md": "", "#who-may-what": "", "#can-i-and-who-can": "", "https://example.com/#x": "",
		"../README.md#configure": "", "NOWHERE.md": "no such file", "#who-may": "no such heading", "../README.md#nothing": "no such heading",
	} {
		if got := p.follow(target); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", target, got, want)
		}
	}
}

var (
	code       = regexp.MustCompile("`([^`\n]+)`")
	repoPath   = regexp.MustCompile(`^([a-z0-9_.]+)/([\w./-]*)$`)
	makeTarget = regexp.MustCompile(`\bmake ([a-z][a-z0-9-]*)`)
)

// elsewhere are folders that pages speak of and that are not this repository's,
// or not there before something has been run.
var elsewhere = []string{"bin", ".bench", "testing", "testdata", "10.0.0.0"}

// TestNamedPathsExist looks at what a page writes as a path of the repository.
func TestNamedPathsExist(t *testing.T) {
	for _, p := range pages(t) {
		for _, m := range code.FindAllStringSubmatch(p.prose(), -1) {
			parts := repoPath.FindStringSubmatch(m[1])
			if parts == nil || slices.Contains(elsewhere, parts[1]) {
				continue
			}
			if _, err := os.Stat(filepath.Join("..", filepath.FromSlash(m[1]))); err != nil {
				t.Errorf("%s: `%s` is not in the repository", p.path, m[1])
			}
		}
	}
}

// prose is the page without its blocks.
func (p *page) prose() string {
	text := p.text
	for i := range p.blocks {
		text = strings.Replace(text, p.blocks[i].text, "", 1)
	}
	return text
}

func TestNamedMakeTargetsExist(t *testing.T) {
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pages(t) {
		text := ""
		for _, m := range code.FindAllStringSubmatch(p.prose(), -1) {
			text += m[1] + "\n"
		}
		for i := range p.blocks {
			text += p.blocks[i].text
		}
		for _, m := range makeTarget.FindAllStringSubmatch(text, -1) {
			if !regexp.MustCompile(`(?m)^` + m[1] + `:`).Match(makefile) {
				t.Errorf("%s: there is no %s", p.path, m[0])
			}
		}
	}
}

// TestNamedCommandsExist looks at commands that stand in the text.
func TestNamedCommandsExist(t *testing.T) {
	s := &session{page: &page{}, dir: t.TempDir()}
	for _, p := range pages(t) {
		for _, m := range code.FindAllStringSubmatch(p.prose(), -1) {
			words := strings.Fields(m[1])
			if len(words) < 2 || words[0] != "sluice" || !isCommand(words[1]) {
				continue
			}
			topic := words[1]
			if topic == "policy" && len(words) > 2 && isCommand(words[2]) {
				topic += " " + words[2]
			}
			if out := s.run(t, "sluice help "+topic); s.code != 0 {
				t.Errorf("%s: `%s`: %s", p.path, m[1], out)
			}
		}
	}
}

func isCommand(word string) bool { return regexp.MustCompile(`^[a-z][a-z-]*$`).MatchString(word) }

// TestReasonsAreDocumented: a caller who is shown a reason finds what to do.
func TestReasonsAreDocumented(t *testing.T) {
	source, err := os.ReadFile("../access/error.go")
	if err != nil {
		t.Fatal(err)
	}
	policyPage, err := os.ReadFile("POLICY.md")
	if err != nil {
		t.Fatal(err)
	}
	reasons := regexp.MustCompile(`Reason\w+\s+= "([A-Z_]+)"`).FindAllStringSubmatch(string(source), -1)
	if len(reasons) < 15 {
		t.Fatalf("found %d reasons only", len(reasons))
	}
	for _, m := range reasons {
		if !strings.Contains(string(policyPage), "| `"+m[1]+"` |") {
			t.Errorf("docs/POLICY.md does not say what to do about %s", m[1])
		}
	}
}

// TestVerbsAreDocumented: every verb has its row, which says whether it is in "*".
func TestVerbsAreDocumented(t *testing.T) {
	policyPage, err := os.ReadFile("POLICY.md")
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]string{}
	for _, row := range regexp.MustCompile(`(?m)^\| (.*?) \| .* \| (yes|no) \|$`).FindAllStringSubmatch(string(policyPage), -1) {
		for _, verb := range code.FindAllStringSubmatch(row[1], -1) {
			said[verb[1]] = row[2]
		}
	}
	for _, verb := range access.Verbs() {
		want := map[bool]string{true: "yes", false: "no"}[verb.InStar()]
		if got := said[verb.String()]; got != want {
			t.Errorf("in * is verb %s: %s; docs/POLICY.md says %q", verb, want, got)
		}
	}
	if len(said) != len(access.Verbs()) {
		t.Errorf("docs/POLICY.md speaks of %d verbs, there are %d", len(said), len(access.Verbs()))
	}
}

// TestArchitectureNamesEveryRoom: a folder that the page does not know is one
// that nobody finds.
func TestArchitectureNamesEveryRoom(t *testing.T) {
	architecture, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, depth := range []string{"../*/*.go", "../*/*/*.go"} {
		sources, err := filepath.Glob(depth)
		if err != nil || len(sources) == 0 {
			t.Fatalf("there is no %s (%v)", depth, err)
		}
		for _, source := range sources {
			room := strings.Split(filepath.ToSlash(source), "/")[1]
			if !strings.HasPrefix(room, ".") && !strings.Contains(string(architecture), "`"+room+"/") {
				t.Fatalf("docs/ARCHITECTURE.md does not name %s/", room)
			}
		}
	}
}

// TestPictureOfTheWay: the README draws the steps in the order in which they
// stand.
func TestPictureOfTheWay(t *testing.T) {
	readme := pages(t)[0]
	i := slices.IndexFunc(readme.blocks, func(b block) bool { return strings.Contains(b.text, interceptors.Telemetry+" ▶") })
	if i < 0 {
		t.Fatal("the README has no picture")
	}
	_, way, _ := strings.Cut(readme.blocks[i].text, "▶")
	way, _, _ = strings.Cut(way[strings.Index(way, interceptors.Telemetry):], "\n")
	for _, step := range strings.Split(interceptors.Order(), ", ") {
		_, after, found := strings.Cut(way, step)
		if !found && step != interceptors.Recovery {
			t.Errorf("the picture lacks %s, or has it in the wrong place", step)
		} else if found {
			way = after
		}
	}
}
