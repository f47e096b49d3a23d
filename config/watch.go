package config

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	// DefaultPoll is how often a [Watcher] looks at the files.
	DefaultPoll = 2 * time.Second
	// settle is how long a changed file has to stay as it is.
	settle = 200 * time.Millisecond
)

// Watcher keeps a configuration in step with its files. What it loads is taken
// over as a whole or not at all: while the files have problems, or Apply
// refuses them, the configuration before stays in force.
type Watcher struct {
	// Path is the configuration file.
	Path string
	// Poll is how often the files are looked at; 0 is [DefaultPoll].
	Poll time.Duration
	// Logger hears of what was taken over and of every problem.
	Logger *slog.Logger
	// Apply takes a configuration over, or leaves everything as it was and
	// returns an error. old is the one in force. It is called by one goroutine
	// at a time.
	Apply func(ctx context.Context, old, loaded *Config) error

	// Reloaded, if set, hears of each attempt to load again: the digest of all files,
	// and why nothing was taken over, or nil.
	Reloaded func(ctx context.Context, digest string, err error)

	started, current *Config
	seen             map[string]digest // what was loaded last
	unsettled        map[string]digest // a change that may still be being written
}

// Load loads the configuration for the first time, to be called before
// [Watcher.Run]. What changes between the two is noticed by Run.
func (w *Watcher) Load() (*Config, Problems) {
	l := newLoader(w.Path)
	w.current, w.seen = l.load(), l.digests
	w.started = w.current
	return w.current, l.problems.sorted()
}

// Run reloads when a file's content changes, and on each signal from hup (which
// may be nil) whether it did or not, until ctx ends.
func (w *Watcher) Run(ctx context.Context, hup <-chan os.Signal) {
	if w.Poll <= 0 {
		w.Poll = DefaultPoll
	}
	timer := time.NewTimer(w.Poll)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
			w.reload(ctx)
		case <-timer.C:
			timer.Reset(w.look(ctx))
		}
	}
}

// look reloads if the files have changed and have been the same for two looks
// in a row: half a policy file may be a valid one, without the rule that
// denies. It returns when to look again.
func (w *Watcher) look(ctx context.Context) time.Duration {
	now := w.digests()
	switch {
	case maps.Equal(now, w.seen):
		w.unsettled = nil
	case maps.Equal(now, w.unsettled):
		w.unsettled = nil
		w.reload(ctx)
	default:
		w.unsettled = now
		return min(w.Poll, settle)
	}
	return w.Poll
}

// digests reads the files of the last time. A configuration that could not be
// loaded is not tried again until one of them changes.
func (w *Watcher) digests() map[string]digest {
	now := make(map[string]digest, len(w.seen))
	for path := range w.seen {
		now[path] = digestOf(readFile(path))
	}
	return now
}

func (w *Watcher) reload(ctx context.Context) {
	l := newLoader(w.Path)
	loaded := l.load()
	if loaded == nil {
		// A broken file may name fewer files than it will when it is repaired;
		// those of before are watched on.
		maps.Copy(w.seen, l.digests)
		problems := l.problems.sorted()
		w.refuse(ctx, problems)
		w.reloaded(ctx, problems.Err())
		return
	}
	w.seen = l.digests
	if err := w.Apply(ctx, w.current, loaded); err != nil {
		w.Logger.LogAttrs(ctx, slog.LevelError, "configuration not taken over, the one before stays in force",
			slog.String("file", w.Path), slog.Any("error", err))
		w.reloaded(ctx, err)
		return
	}
	if keys := NeedRestart(w.started, loaded); len(keys) > 0 {
		w.Logger.LogAttrs(ctx, slog.LevelWarn, "some changed settings need a restart", slog.Any("keys", keys))
	}
	w.current = loaded
	w.Logger.LogAttrs(ctx, slog.LevelInfo, "configuration taken over", slog.String("file", w.Path))
	w.reloaded(ctx, nil)
}

func (w *Watcher) reloaded(ctx context.Context, err error) {
	if w.Reloaded != nil {
		w.Reloaded(ctx, w.Digest(), err)
	}
}

// Digest tells one state of the files that were read from another. It is not to be
// called while [Watcher.Run] runs, but by what that calls.
func (w *Watcher) Digest() string {
	// By name, not by path: the same files have the same digest from wherever they are read.
	var files []string
	for path, one := range w.seen {
		files = append(files, filepath.Base(path)+string(one[:]))
	}
	slices.Sort(files)
	sum := sha256.Sum256([]byte(strings.Join(files, "")))
	return hex.EncodeToString(sum[:])
}

// maxLogged bounds the log lines of one bad file.
const maxLogged = 100

func (w *Watcher) refuse(ctx context.Context, problems Problems) {
	for _, p := range problems[:min(len(problems), maxLogged)] {
		w.Logger.LogAttrs(ctx, slog.LevelError, "configuration problem", slog.String("problem", p.String()))
	}
	w.Logger.LogAttrs(ctx, slog.LevelError, "configuration not loaded, the one before stays in force",
		slog.String("file", w.Path), slog.Int("problems", len(problems)))
}
