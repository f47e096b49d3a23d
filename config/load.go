package config

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/policy"
)

// Load reads the configuration at path and the policy files that it names, and
// checks all of it: the settings by themselves, between the parts, the files
// that are named, the references to secrets, the policy as a whole. It returns
// either a configuration or problems. Paths in it that were relative count from
// path's folder. Secrets are looked at, so that a missing one is a problem now,
// but not kept.
func Load(path string) (*Config, Problems) {
	l := newLoader(path)
	return l.load(), l.problems.sorted()
}

// loader is one reading of the files.
type loader struct {
	path string
	// digests has what was read, also of files that could not be.
	digests  map[string]digest
	problems Problems
}

type digest [sha256.Size]byte

func newLoader(path string) *loader {
	return &loader{path: path, digests: make(map[string]digest)}
}

func (l *loader) load() *Config {
	data, err := l.read(l.path)
	if err != nil {
		l.problems = Problems{{File: l.path, Message: err.Error()}}
		return nil
	}
	c := new(Config)
	at, problems := Decode(l.path, data, c)
	l.problems = problems
	if !at.any() {
		return nil
	}
	c.anchor(filepath.Dir(l.path))
	l.problems = append(l.problems, at.Place("", c.Validate())...)
	l.problems = append(l.problems, at.Place("", checkFiles(c))...)
	c.Compiled = l.policy(c, at)
	if len(l.problems) > 0 {
		return nil
	}
	return c
}

// read reads a file and remembers its digest.
func (l *loader) read(path string) ([]byte, error) {
	data, err := readFile(path)
	l.digests[path] = digestOf(data, err)
	return data, err
}

// digestOf tells apart contents, and one way of being unreadable from another.
func digestOf(data []byte, err error) digest {
	if err != nil {
		return sha256.Sum256([]byte("unreadable: " + err.Error()))
	}
	return sha256.Sum256(data)
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, cannot(err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, cannot(err)
	}
	return data, nil
}

// cannot puts an error of the file system into words without the path, which
// the problem has already.
func cannot(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return fmt.Errorf("cannot be read: %w", err)
}

// policy reads the policy files and compiles them together. A file that is not
// YAML at all leaves nothing to compile: what is bound to its roles would be
// reported as wrong.
func (l *loader) policy(c *Config, at *Positions) *policy.Policy {
	var files []policy.File
	places := make(map[string]*Positions)
	whole := true
	for i, path := range c.Policy {
		if slices.Index(c.Policy, path) < i {
			continue // reported already
		}
		data, err := l.read(path)
		if err != nil {
			l.problems = append(l.problems, at.Place("", []access.Problem{{Path: indexed("policy", i), Message: path + " " + err.Error()}})...)
			whole = false
			continue
		}
		file := policy.File{Name: path}
		pos, problems := Decode(path, data, &file.Document)
		l.problems = append(l.problems, problems...)
		whole = whole && pos.any()
		files, places[path] = append(files, file), pos
	}
	if !whole || len(files) == 0 {
		return nil
	}
	compiled, problems := policy.Compile(files, policy.Options{Sources: c.Identity.Sources()})
	for _, p := range problems {
		l.problems = append(l.problems, places[p.File].Place("", []access.Problem{p.Problem})...)
	}
	return compiled
}

// anchor makes every relative path in c relative to dir.
func (c *Config) anchor(dir string) {
	walk(reflect.ValueOf(c).Elem(), "", func(v reflect.Value, _ string) bool {
		if a, ok := v.Addr().Interface().(interface{ Anchor(dir string) }); ok {
			a.Anchor(dir)
		}
		return true
	})
	for i := range c.Policy {
		c.Policy[i] = anchored(c.Policy[i], dir)
	}
	c.Store.SQLite = anchored(c.Store.SQLite, dir)
}

func anchored(path, dir string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
