package access_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// This file holds the direction of imports:
//
//	cmd, e2e, bench -> server -> { config, interceptors, services, rest, console, demo, children of families }
//	                -> { policy, masking, approval, audit, secret, parents of families } -> { access, wire, gen }
//
// Imports go down only, and siblings do not import each other. What tests
// import is free: a test may look at its subject from any side.

const module = "github.com/sluice-gateway/sluice"

// layers lists the rooms from the bottom up. A new room has to be given its
// place here before anything may be in it.
var layers = [...][]string{
	{"access", "wire", "gen", "proto"},
	{"policy", "masking", "approval", "session", "audit", "secret", "identity", "backends", "store", "notify", "pg"},
	{"config", "interceptors", "services", "rest", "console", "demo"}, // and the children of families
	{"server"},
	{"cmd", "e2e", "bench", "examples"},
}

const (
	leaves = iota
	decisions
	adapters
	composition
	programs
)

// families are rooms whose parent is a contract, and whose children implement
// it one layer up.
var families = []string{"identity", "backends", "store", "audit", "notify"}

// parts are children of a family's room that implement nothing: they belong to
// the parent, one package for each of its jobs.
var parts = []string{"audit/merkle", "audit/payload", "audit/segment"}

// upward says why nothing above may be imported from each layer.
var upward = [...]string{
	leaves:      "words, messages and generated code are what all else stands on, so they know nobody",
	decisions:   "a decision or contract is tested without the doors, stores and engines around it, so it does not know them; server names implementations in a table",
	adapters:    "server composes adapters; one that knew server could not be tested or replaced alone",
	composition: "programs and benchmarks start the server, it does not know who does",
}

// sideways says why nothing of the same layer may be imported.
var sideways = [...]string{
	leaves:      "a leaf that leans on another drags it in everywhere",
	decisions:   "each decision is understood and changed alone; interceptors and server bring them together",
	adapters:    "adapters do not know each other: what two need belongs in a room below, what joins them in server",
	composition: "server is one room",
	programs:    "programs share through server, not with each other",
}

// place is where a package of the module stands.
type place struct {
	path  string // "identity/oidc"
	room  string // "identity"
	child string // "oidc"; "" for the room itself
	layer int
}

func (p place) familyChild() bool {
	return p.child != "" && slices.Contains(families, p.room) && !under(p.path, parts...)
}

// testOnly tells packages that help tests: wire/wiretest, identity/identitytest.
func (p place) testOnly() bool { return strings.HasSuffix(path.Base(p.path), "test") }

// locate finds a package's place; pkg is relative to the module.
func locate(pkg string) (place, error) {
	room, child, _ := strings.Cut(pkg, "/")
	p := place{path: pkg, room: room, child: child}
	p.layer = slices.IndexFunc(layers[:], func(rooms []string) bool { return slices.Contains(rooms, room) })
	if p.layer < 0 {
		return p, fmt.Errorf("%s: no such room; give it its place in layers", pkg)
	}
	if p.familyChild() {
		p.layer = adapters
	}
	return p, nil
}

// inner is a rule about imports within the module. why is asked of edges that
// broken finds.
type inner struct {
	name   string
	broken func(from, to place) bool
	why    func(from place) string
}

func always(why string) func(place) string { return func(place) string { return why } }

var innerRules = []inner{
	{
		"down only",
		func(from, to place) bool { return from.layer < to.layer },
		func(from place) string { return upward[from.layer] },
	},
	{
		"no sibling rooms",
		func(from, to place) bool { return from.layer == to.layer && from.room != to.room },
		func(from place) string { return sideways[from.layer] },
	},
	{
		"no sibling packages",
		func(from, to place) bool {
			return from.room == to.room && from.child != "" && to.child != "" &&
				!strings.HasPrefix(from.path+"/", to.path+"/") && !strings.HasPrefix(to.path+"/", from.path+"/")
		},
		always("the parts of a room do not know each other: what two of them need belongs in their parent"),
	},
	{
		"own family only",
		func(from, to place) bool {
			return from.familyChild() && from.room != to.room && slices.Contains(families, to.room)
		},
		always("an implementation knows the contract of its own family and no other"),
	},
	{
		"test helpers in tests only",
		func(from, to place) bool { return to.testOnly() && !from.testOnly() },
		always("what poisons buffers or signs for strangers has no place in the program"),
	},
}

// exception is an edge that the rules forbid and we want all the same.
type exception struct {
	covers func(from, to place) bool
	why    string
}

var exceptions = []exception{
	{
		func(from, to place) bool { return from.path == "wire" && to.path == "access" },
		"a budget that is used up says so in the words of access",
	},
	{
		func(from, to place) bool { return from.path == "wire" && to.room == "gen" },
		"typed views of messages are of generated types",
	},
	{
		func(from, to place) bool {
			return to.path == "store" && slices.Contains([]string{"approval", "session", "secret", "notify"}, from.room)
		},
		"what decisions have to remember they keep in one store, whose contract is plain Go and knows none of them",
	},
	{
		func(from, to place) bool { return from.path == "config" && to.familyChild() && !to.testOnly() },
		"config gathers the Config types of all parts, each of which owns its own",
	},
	{
		func(from, to place) bool { return from.room == "bench" && to.room == "bench" },
		"bench is one program in several packages",
	},
	{
		func(from, to place) bool { return from.room == "backends" && to.path == "backends/connection" },
		"the flavours of KServe v2 servers are reached in one way, which is more than the contract",
	},
	{
		func(from, to place) bool { return from.room == "backends" && to.path == "backends/generate" },
		"what HTTP servers of generated text share is far more than the contract, and no other kind of server needs it",
	},
	{
		func(from, to place) bool { return from.path == "backends/vllm" && to.path == "backends/openai" },
		"vLLM is a server with OpenAI's routes and some of its own",
	},
	{
		func(from, to place) bool {
			return from.familyChild() && from.room == to.room && under(to.path, parts...)
		},
		"the parts of a parent are the parent's, cut into packages: its children know them as they know it",
	},
}

// outer is a rule about imports from outside of the module.
type outer struct {
	name   string
	broken func(from place, imported string) bool
	why    string
}

// under tells whether pkg is one of the roots or lies below one.
func under(pkg string, roots ...string) bool {
	return slices.ContainsFunc(roots, func(root string) bool { return pkg == root || strings.HasPrefix(pkg, root+"/") })
}

var outerRules = []outer{
	{
		"standard library in access",
		func(from place, imported string) bool {
			first, _, _ := strings.Cut(imported, "/")
			return from.room == "access" && strings.Contains(first, ".")
		},
		"everything imports access, so a dependency of it is one of everything",
	},
	{
		"plain decisions",
		func(from place, imported string) bool {
			plain := slices.Contains([]string{"policy", "masking", "approval", "audit", "secret"}, from.room) &&
				!from.familyChild() && !under(from.path, "masking/presidio", "secret/transit") // ask services over HTTP, behind interfaces of their parents
			return plain && (imported == "net" || under(imported, "net/http", "database/sql", "google.golang.org/grpc"))
		},
		"decisions are plain Go: no sockets, no SQL, no gRPC",
	},
	{
		"no test libraries",
		func(from place, imported string) bool {
			return !from.testOnly() && under(imported, "testing", "net/http/httptest", "go.uber.org/goleak", "google.golang.org/grpc/test")
		},
		"test libraries register flags and weaken defaults; the program has none of them",
	},
}

// breach is a rule that an import broke.
type breach struct{ rule, why string }

// judge finds what forbids the import, or nil. Both are import paths, from
// without the module's.
func judge(from, imported string) (*breach, error) {
	f, err := locate(from)
	if err != nil {
		return nil, err
	}
	rel, ours := strings.CutPrefix(imported, module+"/")
	if !ours {
		for _, r := range outerRules {
			if r.broken(f, imported) {
				return &breach{r.name, r.why}, nil
			}
		}
		return nil, nil
	}
	to, err := locate(rel)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(exceptions, func(e exception) bool { return e.covers(f, to) }) {
		return nil, nil
	}
	for _, r := range innerRules {
		if r.broken(f, to) {
			return &breach{r.name, r.why(f)}, nil
		}
	}
	return nil, nil
}

// TestImports holds every package of the module to the rules.
func TestImports(t *testing.T) {
	imports := listImports(t)
	if len(imports["access"]) == 0 || len(imports["gen/inference"]) == 0 {
		t.Fatalf("go list told nothing of access or gen/inference: %d packages", len(imports))
	}
	for from, all := range imports {
		for _, imported := range all {
			b, err := judge(from, imported)
			if err != nil {
				t.Error(err)
			} else if b != nil {
				t.Errorf("%s imports %s: %s (%s)", from, strings.TrimPrefix(imported, module+"/"), b.why, b.rule)
			}
		}
	}
}

// listImports gives what each package imports outside of its tests.
func listImports(t *testing.T) map[string][]string {
	t.Helper()
	touch(t)
	// -e: what does not build yet still imports.
	out, err := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Imports", module+"/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	imports := map[string][]string{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return imports
		} else if err != nil {
			t.Fatal(err)
		}
		imports[strings.TrimPrefix(p.ImportPath, module+"/")] = p.Imports
	}
}

// touch looks at every Go file. go test remembers a result until something
// changes that the test itself looked at; what go list reads does not count.
func touch(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && len(d.Name()) > 2 && d.Name()[0] == '.':
			return fs.SkipDir
		case path.Ext(name) == ".go":
			_, _ = os.Stat(name) // only that it was looked at matters
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
