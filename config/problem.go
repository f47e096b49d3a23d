package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/access"
)

// maxPath bounds how much of a path is printed, in bytes: a key can be as long
// as the file.
const maxPath = 200

// Problem is one thing wrong in a file, with its place. Line and Column count
// from 1; both are 0 where the whole file is meant.
type Problem struct {
	File         string
	Line, Column int
	// Path is where in the document, as in "backends[1].type"; "" is its root.
	Path    string
	Message string
}

// String prints the problem as compilers do, so that editors can jump to it:
// `sluice.yaml:12:5: backends[1].type: unknown backend type "tritn"`.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	if p.Path != "" {
		b.WriteString(": " + p.Path[:min(len(p.Path), maxPath)])
	}
	return b.String() + ": " + p.Message
}

// Problems is everything wrong, in the order of the files and of their lines.
type Problems []Problem

// Err is nil where there are no problems, else an error with one a line.
func (ps Problems) Err() error {
	if len(ps) == 0 {
		return nil
	}
	return problemsError(ps)
}

// String is one problem a line.
func (ps Problems) String() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

type problemsError Problems

func (e problemsError) Error() string { return Problems(e).String() }

// sorted orders by file, in the order in which files first appear, then by
// place, and drops repeats.
func (ps Problems) sorted() Problems {
	order := make(map[string]int)
	for _, p := range ps {
		if _, known := order[p.File]; !known {
			order[p.File] = len(order)
		}
	}
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(order[a.File]-order[b.File], a.Line-b.Line, a.Column-b.Column)
	})
	return slices.Compact(ps)
}

// Positions knows where in a file each path of its document stands.
type Positions struct {
	file string
	at   map[string]place
	// wrong holds the paths that the decoder has complained about already, and
	// spoilt their parents: what a part has to say about the values there is a
	// consequence ("is empty" where the only key was refused).
	wrong, spoilt map[string]bool
}

type place struct{ line, column int }

// any tells whether the file could be read as YAML.
func (ps *Positions) any() bool { return len(ps.at) > 0 }

// Locate returns the line and column of path, or of its nearest ancestor that
// the file has; 0, 0 where the file has nothing at all. A value in a mapping
// stands where its key does.
func (ps *Positions) Locate(path string) (line, column int) {
	for {
		if p, ok := ps.at[path]; ok {
			return p.line, p.column
		}
		if path == "" {
			return 0, 0
		}
		path = parent(path)
	}
}

// Place turns a part's problems, whose paths are relative to prefix, into
// problems with a position. It leaves out what concerns a value that could
// not be decoded in the first place.
func (ps *Positions) Place(prefix string, problems []access.Problem) Problems {
	var placed Problems
	for _, p := range problems {
		path := join(prefix, p.Path)
		if ps.spoilt[path] || ps.hopeless(path) {
			continue
		}
		line, column := ps.Locate(path)
		placed = append(placed, Problem{File: ps.file, Line: line, Column: column, Path: path, Message: p.Message})
	}
	return placed
}

// blame marks what stands at path as wrong.
func (ps *Positions) blame(path string) {
	ps.wrong[path] = true
	if path != "" {
		ps.spoilt[parent(path)] = true
	}
}

// hopeless tells whether path or something above it could not be decoded.
func (ps *Positions) hopeless(path string) bool {
	for ; path != ""; path = parent(path) {
		if ps.wrong[path] {
			return true
		}
	}
	return ps.wrong[""]
}

// parent cuts the last step off a path. Keys may hold dots and brackets
// themselves; then some of the steps do not exist, and the next one does.
func parent(path string) string {
	return path[:max(strings.LastIndexAny(path, ".["), 0)]
}

func join(prefix, path string) string {
	if prefix == "" || path == "" || path[0] == '[' {
		return prefix + path
	}
	return prefix + "." + path
}

func indexed(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }
