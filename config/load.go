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
	c.Rules = l.rules(c, at)
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

// rules reads the policy files and what they name.
func (l *loader) rules(c *Config, at *Positions) *Rules {
	if len(c.Policy) == 0 {
		return nil // reported already
	}
	var there []string
	for i, path := range c.Policy {
		switch _, err := l.read(path); {
		case slices.Contains(c.Policy[:i], path): // reported already
		case err != nil:
			l.problems = append(l.problems, at.Place("", []access.Problem{{Path: indexed("policy", i), Message: path + " " + err.Error()}})...)
		default:
			there = append(there, path)
		}
	}
	rules, problems := ReadRules(there, RulesOptions{
		Sources: c.Identity.Sources(), ReadFile: l.read, Analyzer: Presidio, Incomplete: len(there) < len(unique(c.Policy)),
		Stateless: !c.HasStore(), NoTokens: c.noTokens(),
	})
	l.problems = append(l.problems, problems...)
	return rules
}

// unique leaves out what was there before.
func unique(paths []string) (once []string) {
	for _, p := range paths {
		if !slices.Contains(once, p) {
			once = append(once, p)
		}
	}
	return once
}

// anchor makes every relative path in c relative to dir.
func (c *Config) anchor(dir string) {
	anchor(c, dir)
	for i := range c.Policy {
		c.Policy[i] = anchored(c.Policy[i], dir)
	}
	c.Store.SQLite = anchored(c.Store.SQLite, dir)
	c.anchorAudit(dir)
}

// anchor makes relative the paths of all values below what into points to that
// know that they are paths.
func anchor(into any, dir string) {
	walk(reflect.ValueOf(into).Elem(), "", func(v reflect.Value, _ string) bool {
		if a, ok := v.Addr().Interface().(interface{ Anchor(dir string) }); ok {
			a.Anchor(dir)
		}
		return true
	})
}

func anchored(path, dir string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
