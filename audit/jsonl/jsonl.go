// Package jsonl writes records to files, one JSON object a line, and starts
// another file when one is full. A batch is in the file, and on the disk, or not
// in it at all: a line is never torn, also not by a disk that was full for a while.
package jsonl

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit"
)

// Config says where the files are.
type Config struct {
	// Path is the file that is written to. Full ones are beside it, with the time
	// of their end behind the name.
	Path access.Path `yaml:"path"`
	// MaxSize is from which size on another file is begun. Default: 100MiB.
	MaxSize access.Size `yaml:"max_size"`
	// Keep is how many full files are kept; older ones are deleted. Default: 10.
	Keep int `yaml:"keep"`
}

const (
	defaultSize = 100 << 20
	defaultKeep = 10
	private     = 0o600
	// stamp is the time in a full file's name; names sort in its order.
	stamp = "20060102T150405.000000000Z"
)

// SetDefaults fills in what is not set.
func (c *Config) SetDefaults() {
	if c.MaxSize == 0 {
		c.MaxSize = defaultSize
	}
	if c.Keep == 0 {
		c.Keep = defaultKeep
	}
}

// Validate reports what is wrong, after SetDefaults.
func (c *Config) Validate() (problems []access.Problem) {
	if c.Path == "" {
		problems = append(problems, access.Problem{Path: "path", Message: "is missing"})
	}
	if c.MaxSize < 0 || c.Keep < 0 {
		problems = append(problems, access.Problem{Path: "", Message: "max_size and keep must be positive"})
	}
	return problems
}

// Sink writes the files. It is safe for concurrent use.
type Sink struct {
	name string
	cfg  Config

	mu   sync.Mutex
	file *os.File
	size int64
}

var _ audit.Sink = (*Sink)(nil)

// New returns a sink; the file is made when there is something to write.
func New(name string, cfg Config) *Sink {
	cfg.SetDefaults()
	return &Sink{name: name, cfg: cfg}
}

// Name is the sink's name in the configuration.
func (s *Sink) Name() string { return s.name }

// Send appends the records and syncs the file.
func (s *Sink) Send(_ context.Context, batch []audit.Entry) error {
	var lines bytes.Buffer
	enc := json.NewEncoder(&lines)
	enc.SetEscapeHTML(false)
	for _, e := range batch {
		if err := enc.Encode(e.Record); err != nil {
			return fmt.Errorf("record %d: %w", e.Record.Seq, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.open(); err != nil {
		return err
	}
	if err := s.write(lines.Bytes()); err != nil {
		return errors.Join(err, s.undo())
	}
	s.size += int64(lines.Len())
	if s.size >= int64(s.cfg.MaxSize) {
		s.rotate()
	}
	return nil
}

func (s *Sink) write(lines []byte) error {
	if _, err := s.file.Write(lines); err != nil {
		return err
	}
	return s.file.Sync()
}

// undo takes a batch out again that is not all there, and lets the file go: what
// is in it is looked at anew.
func (s *Sink) undo() error {
	err := s.file.Truncate(s.size)
	err = errors.Join(err, s.file.Close())
	s.file = nil
	return err
}

// open opens the file, anew where somebody moved or deleted it.
func (s *Sink) open() error {
	if s.file != nil {
		there, err := os.Stat(string(s.cfg.Path))
		mine, mineErr := s.file.Stat()
		if err == nil && mineErr == nil && os.SameFile(there, mine) {
			return nil
		}
		_ = s.file.Close() // synced with its last batch
		s.file = nil
	}
	f, err := os.OpenFile(string(s.cfg.Path), os.O_CREATE|os.O_RDWR, private)
	if err != nil {
		return err
	}
	size, err := whole(f)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	s.file, s.size = f, size
	return nil
}

// whole cuts off a line that has no end, which a process left that was killed,
// and goes to the end.
func whole(f *os.File) (size int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, fmt.Errorf("%s is not a regular file", f.Name())
	}
	var tail [4096]byte
	for size = info.Size(); size > 0; {
		n := min(size, int64(len(tail)))
		if _, err := f.ReadAt(tail[:n], size-n); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(tail[:n], '\n'); i >= 0 {
			size -= n - int64(i) - 1
			break
		}
		size -= n
	}
	if size < info.Size() {
		if err := f.Truncate(size); err != nil {
			return 0, err
		}
	}
	_, err = f.Seek(size, 0)
	return size, err
}

// rotate ends the file and deletes the oldest ones. The batch is written by then:
// where this fails the file grows on, and it is tried again with the next one.
func (s *Sink) rotate() {
	path := string(s.cfg.Path)
	_ = s.file.Close() // synced
	s.file = nil
	if os.Rename(path, path+"."+time.Now().UTC().Format(stamp)) != nil {
		return
	}
	full, err := s.full()
	if err != nil {
		return
	}
	for _, old := range full[:max(0, len(full)-s.cfg.Keep)] {
		_ = os.Remove(old)
	}
}

// full lists the full files, the oldest first.
func (s *Sink) full() ([]string, error) {
	path := string(s.cfg.Path)
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	var all []string
	for _, e := range entries {
		after, ours := strings.CutPrefix(e.Name(), filepath.Base(path)+".")
		if _, err := time.Parse(stamp, after); ours && err == nil {
			all = append(all, filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
	slices.Sort(all)
	return all, nil
}

// Close lets the file go.
func (s *Sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}
