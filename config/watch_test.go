package config_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/config"
)

// watched is a watcher at work, inside a bubble of synctest.
type watched struct {
	*testing.T
	path string
	hup  chan os.Signal

	mu      sync.Mutex // guards the rest against the watcher's goroutine
	log     bytes.Buffer
	applied []*config.Config
	refuse  error
}

// Write takes a line of the log.
func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

func (w *watched) apply(_ context.Context, _, loaded *config.Config) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refuse == nil {
		w.applied = append(w.applied, loaded)
	}
	return w.refuse
}

// refuseWith makes Apply answer err from now on.
func (w *watched) refuseWith(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refuse = err
}

// takeLog returns what was logged since the last call.
func (w *watched) takeLog() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.log.Reset()
	return w.log.String()
}

// watch runs test with a watcher over files; the watcher polls every 2 s.
func watch(t *testing.T, files map[string]string, test func(w *watched)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &watched{T: t, path: lay(t, files), hup: make(chan os.Signal)}
		watcher := &config.Watcher{Path: w.path, Logger: slog.New(slog.NewTextHandler(w, nil)), Apply: w.apply}
		first, problems := watcher.Load()
		if err := problems.Err(); err != nil {
			t.Fatal(err)
		}
		_ = w.apply(t.Context(), nil, first)
		ctx, cancel := context.WithCancel(t.Context())
		go watcher.Run(ctx, w.hup)
		test(w)
		cancel()
		synctest.Wait()
	})
}

// after waits, and expects so many configurations to have been applied so far.
func (w *watched) after(d time.Duration, want int) {
	w.Helper()
	time.Sleep(d)
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.applied) != want {
		w.Errorf("applied %d configurations, want %d; log:\n%s", len(w.applied), want, w.log.String())
	}
}

// logged expects words in the log since the last call.
func (w *watched) logged(words ...string) {
	w.Helper()
	log := w.takeLog()
	for _, word := range words {
		if !strings.Contains(log, word) {
			w.Errorf("%q is not in the log:\n%s", word, log)
		}
	}
}

func (w *watched) put(name, content string) {
	w.Helper()
	put(w.T, filepath.Join(filepath.Dir(w.path), name), content)
}

func rightFiles() map[string]string {
	return map[string]string{"sluice.yaml": document(nil), "policy.yaml": rightPolicy}
}

const otherPolicy = `roles: { reader: [ { models: ["*"], verbs: [infer, list] } ] }
bindings: [ { role: reader, groups: [users] } ]
`

func TestWatcherFollowsContent(t *testing.T) {
	watch(t, rightFiles(), func(w *watched) {
		w.after(time.Minute, 1)
		w.put("policy.yaml", rightPolicy) // a new time stamp is no change
		w.after(time.Minute, 1)
		w.put("policy.yaml", otherPolicy)
		w.after(3*time.Second, 2)
		w.logged("configuration taken over")
		w.put("sluice.yaml", document(map[string]string{"server": "server: { ready: all }"}))
		w.after(3*time.Second, 3)
		if w.applied[2].Server.Ready != "all" {
			w.Error("what was applied is not what was written")
		}
		w.after(time.Hour, 3)
	})
}

// Half a file may be a valid one, so nothing is taken over that is still being
// written.
func TestWatcherWaitsForTheWriter(t *testing.T) {
	watch(t, rightFiles(), func(w *watched) {
		time.Sleep(time.Second)
		for i := range 100 {
			w.put("policy.yaml", otherPolicy+strings.Repeat("#", i))
			w.after(100*time.Millisecond, 1)
		}
		w.after(time.Second, 2)
	})
}

func TestWatcherKeepsTheOldOneInForce(t *testing.T) {
	watch(t, rightFiles(), func(w *watched) {
		w.put("policy.yaml", "roles: 5\nbinding: []\n")
		w.after(3*time.Second, 1)
		w.logged("policy.yaml:1:1: roles: must be a mapping", "policy.yaml:2:1: binding: unknown key", "stays in force", "problems=2")
		w.after(time.Hour, 1)
		if log := w.takeLog(); log != "" {
			w.Errorf("the same problems are logged again: %s", log)
		}
		w.put("policy.yaml", otherPolicy)
		w.after(3*time.Second, 2)
	})
}

// A broken sluice.yaml names no policy files; they are watched on, and one that
// it names anew is too.
func TestWatcherKnowsAllFiles(t *testing.T) {
	watch(t, rightFiles(), func(w *watched) {
		w.put("sluice.yaml", "policy: [")
		w.after(3*time.Second, 1)
		w.logged("is not YAML")
		w.put("policy.yaml", otherPolicy)
		w.after(3*time.Second, 1)
		w.logged("is not YAML")
		w.put("sluice.yaml", document(map[string]string{"policy": "policy: [new.yaml]"}))
		w.after(3*time.Second, 1)
		w.logged("new.yaml cannot be read: no such file or directory")
		w.put("new.yaml", rightPolicy)
		w.after(3*time.Second, 2)
		if err := os.Remove(w.path); err != nil {
			w.Fatal(err)
		}
		w.after(3*time.Second, 2)
		w.logged("sluice.yaml: cannot be read")
	})
}

func TestWatcherOnSignal(t *testing.T) {
	watch(t, rightFiles(), func(w *watched) {
		w.hup <- os.Interrupt // which one is the caller's to choose
		w.after(0, 2)
		w.put("policy.yaml", otherPolicy)
		w.hup <- os.Interrupt
		w.after(0, 3)
		w.after(time.Minute, 3)
	})
}

func TestWatcherWhereApplyRefuses(t *testing.T) {
	watch(t, rightFiles(), func(w *watched) {
		w.refuseWith(errors.New("no room"))
		w.put("policy.yaml", otherPolicy)
		w.after(3*time.Second, 1)
		w.logged("not taken over", "no room")
		w.refuseWith(nil)
		w.hup <- os.Interrupt
		w.after(0, 2)
	})
}

// What needs a restart is said as long as it does, and does not hold up the
// rest: a role that was taken away has to be away.
func TestWatcherNamesWhatNeedsARestart(t *testing.T) {
	watch(t, rightFiles(), func(w *watched) {
		w.put("sluice.yaml", document(map[string]string{
			"server": `server: { grpc: "127.0.0.1:1", ready: all, limits: { max_streams: 5 } }`, "more": "store: { sqlite: a }",
		}))
		w.after(3*time.Second, 2)
		w.logged(`keys="[server.grpc server.limits store]"`)
		w.put("policy.yaml", otherPolicy)
		w.after(3*time.Second, 3)
		w.logged("need a restart")
		w.put("sluice.yaml", document(nil))
		w.after(3*time.Second, 4)
		if log := w.takeLog(); strings.Contains(log, "restart") {
			w.Errorf("nothing differs from the start any more: %s", log)
		}
	})
}

// Each attempt is heard of, with a digest of the files that tells them apart.
func TestWatcherTellsOfEachAttempt(t *testing.T) {
	path := lay(t, map[string]string{"sluice.yaml": document(nil), "policy.yaml": "roles: {}\n"})
	var heard []string
	w := &config.Watcher{
		Path: path, Poll: time.Millisecond, Logger: slog.New(slog.DiscardHandler),
		Apply: func(context.Context, *config.Config, *config.Config) error { return nil },
	}
	if cfg, problems := w.Load(); cfg == nil {
		t.Fatal(problems)
	}
	first := w.Digest()
	ctx, cancel := context.WithCancel(t.Context())
	w.Reloaded = func(_ context.Context, digest string, err error) {
		if heard = append(heard, digest); err == nil {
			t.Error("broken files are told of as taken over")
		}
		cancel()
	}
	if err := os.WriteFile(path, []byte("what: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.Run(ctx, nil)
	if len(heard) != 1 || heard[0] == first {
		t.Errorf("heard %v, at first %s", heard, first)
	}
}
