package tlsfiles

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// interval is how often the files are read at most.
	interval = time.Second
	// maxFile bounds one file, in bytes; the bundle of all public authorities
	// has a quarter of a megabyte.
	maxFile = 4 << 20
)

// watched is what some files held when they last made sense. It is safe for
// concurrent use, and nobody waits for another's reading.
type watched[T any] struct {
	paths  []string
	parse  func(contents [][]byte) (T, error)
	logger *slog.Logger

	good atomic.Pointer[T]

	looking sync.Mutex // guards the rest
	looked  time.Time
	tried   [sha256.Size]byte // what the last attempt was made with
}

// watch reads the files for the first time. Empty paths are files that are not
// configured; their content is nil.
func watch[T any](logger *slog.Logger, parse func(contents [][]byte) (T, error), paths ...string) (*watched[T], error) {
	w := &watched[T]{paths: paths, parse: parse, logger: logger, looked: time.Now()}
	contents, sum, err := w.read()
	if err != nil {
		return nil, err
	}
	value, err := parse(contents)
	if err != nil {
		return nil, err
	}
	w.tried = sum
	w.good.Store(&value)
	return w, nil
}

// get returns what the files hold now, give or take the interval.
func (w *watched[T]) get(ctx context.Context) T {
	if w.looking.TryLock() {
		if now := time.Now(); now.Sub(w.looked) >= interval {
			w.looked = now
			w.look(ctx)
		}
		w.looking.Unlock()
	}
	return *w.good.Load()
}

// look takes the files over if they are new and good. Each bad content is
// logged once.
func (w *watched[T]) look(ctx context.Context) {
	contents, sum, err := w.read()
	if sum == w.tried {
		return
	}
	w.tried = sum
	var value T
	if err == nil {
		value, err = w.parse(contents)
	}
	if err != nil {
		w.logger.LogAttrs(ctx, slog.LevelError, "TLS files not taken over, those before stay in use", slog.Any("error", err))
		return
	}
	w.good.Store(&value)
	w.logger.LogAttrs(ctx, slog.LevelInfo, "TLS files taken over", slog.Any("files", w.paths))
}

// read returns the contents and what tells them from others; an error counts
// as content.
func (w *watched[T]) read() (contents [][]byte, sum [sha256.Size]byte, err error) {
	h := sha256.New()
	for _, path := range w.paths {
		var content []byte
		if path != "" {
			content, err = readFile(path)
		}
		if err != nil {
			return nil, sha256.Sum256([]byte(err.Error())), err
		}
		_, _ = fmt.Fprintf(h, "%d ", len(content))
		_, _ = h.Write(content)
		contents = append(contents, content)
	}
	return contents, [sha256.Size]byte(h.Sum(nil)), nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(content) > maxFile {
		err = fmt.Errorf("%s is longer than %d MiB", path, maxFile>>20)
	}
	return content, err
}
