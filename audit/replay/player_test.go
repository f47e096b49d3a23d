package replay_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/payload"
	"github.com/sluice-gateway/sluice/audit/replay"
	pb "github.com/sluice-gateway/sluice/gen/inference"
)

// screen writes down when what was written, since its first line.
type screen struct {
	mu    sync.Mutex
	begun time.Time
	text  strings.Builder
	at    []string
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun.IsZero() {
		s.begun = time.Now()
	}
	s.at = append(s.at, fmt.Sprintf("%v %s", time.Since(s.begun).Round(time.Millisecond), bytes.TrimSpace(b)))
	return s.text.Write(b)
}

// when is the time at which a text was written.
func (s *screen) when(t *testing.T, text string) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, line := range s.at {
		if at, what, _ := strings.Cut(line, " "); what == text {
			return at
		}
	}
	t.Errorf("%q is not written: %q", text, s.at)
	return ""
}

// tokens is a session with a request and its answers, one each second.
func tokens(t *testing.T) *replay.Session {
	s := &tape{}
	s.add(0, "ModelStreamInfer", "tokens", "1", ask(t, "tokens", "hello"),
		chunk(t, time.Second, "one"), chunk(t, 2*time.Second, " two"), chunk(t, 3*time.Second, " three"))
	return load(t, s)
}

func TestPlay(t *testing.T) {
	tests := []struct {
		name   string
		player replay.Player
		want   map[string]string // text: when
		not    string
	}{
		{"in its own timing", replay.Player{}, map[string]string{"one": "1s", "two": "2s", "three": "3s"}, ""},
		{"twice as fast", replay.Player{Speed: 2}, map[string]string{"one": "500ms", "three": "1.5s"}, ""},
		{"at once", replay.Player{Speed: -1}, map[string]string{"one": "0s", "three": "0s"}, ""},
		{"from the middle", replay.Player{From: 2 * time.Second}, map[string]string{"two": "0s", "three": "1s"}, "one"},
		{"no long pauses", replay.Player{Longest: 100 * time.Millisecond}, map[string]string{"one": "100ms", "three": "300ms"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				out := &screen{}
				tt.player.Out = out
				if err := tt.player.Play(t.Context(), tokens(t)); err != nil {
					t.Fatal(err)
				}
				for text, want := range tt.want {
					if got := out.when(t, text); got != want {
						t.Errorf("%q after %s, want %s", text, got, want)
					}
				}
				if text := out.text.String(); tt.not != "" && strings.Contains(text, tt.not) || !strings.Contains(text, "masked") || !strings.Contains(text, "-- end, after 00:03.000") {
					t.Errorf("%s", text)
				}
			})
		})
	}
}

func TestLooks(t *testing.T) {
	out := &screen{}
	if err := (&replay.Player{Out: out, Speed: -1}).Play(t.Context(), tokens(t)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"session s of Bob (https://issuer#bob), 2026-03-14T09:00:00Z, 1 calls in 00:03.000",
		"00:00.000 > ModelStreamInfer tokens 1 \n    text_input BYTES[1]\n      \"hello\"\n",
		"00:01.000 < ModelStreamInfer tokens 1 one two three\n",
	} {
		if !strings.Contains(out.text.String(), want) {
			t.Errorf("%s\nlacks %q", out.text.String(), want)
		}
	}
}

// TestKeys plays a session while somebody presses keys.
func TestKeys(t *testing.T) {
	press := func(keys chan replay.Key, after time.Duration, key replay.Key) {
		time.Sleep(after) // of the bubble: no real time passes
		keys <- key
	}
	tests := []struct {
		name string
		keys func(keys chan replay.Key)
		want map[string]string
	}{
		{"pause, and go on", func(keys chan replay.Key) {
			press(keys, 1500*time.Millisecond, replay.Pause)
			press(keys, 10*time.Second, replay.Pause)
		}, map[string]string{"one": "1s", "two": "12s", "three": "13s"}},
		{"step by step", func(keys chan replay.Key) {
			press(keys, 1500*time.Millisecond, replay.Step)
			press(keys, time.Second, replay.Step)
		}, map[string]string{"two": "1.5s", "three": "2.5s"}},
		{"faster, and slower again", func(keys chan replay.Key) {
			press(keys, time.Second+time.Millisecond, replay.Faster)
			press(keys, 500*time.Millisecond, replay.Slower)
		}, map[string]string{"one": "1s", "two": "1.501s", "three": "2.5s"}},
		{"back", func(keys chan replay.Key) { press(keys, 2500*time.Millisecond, replay.Back) }, map[string]string{"-- at 00:00.000": "2.5s", "three": "5.5s"}},
		{"nobody at the keys any more", func(keys chan replay.Key) {
			press(keys, 1500*time.Millisecond, replay.Pause)
			close(keys)
		}, map[string]string{"one": "1s", "three": "3s"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				out, keys := &screen{}, make(chan replay.Key)
				var pressing sync.WaitGroup
				pressing.Go(func() { tt.keys(keys) })
				p := replay.Player{Out: out, Keys: keys}
				if err := p.Play(t.Context(), tokens(t)); err != nil {
					t.Fatal(err)
				}
				pressing.Wait()
				for text, want := range tt.want {
					if got := out.when(t, text); got != want {
						t.Errorf("%q after %s, want %s", text, got, want)
					}
				}
			})
		})
	}
}

func TestQuitAndCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys := make(chan replay.Key, 1)
		keys <- replay.Quit
		out := &screen{}
		if err := (&replay.Player{Out: out, Keys: keys, Stepping: true}).Play(t.Context(), tokens(t)); err != nil || strings.Contains(out.text.String(), "one") {
			t.Errorf("%s, %v", out.text.String(), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		if err := (&replay.Player{Out: out}).Play(ctx, tokens(t)); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

// TestATerminalIsNotMoved: what a caller or a model wrote can't do anything to the
// terminal that shows it.
func TestATerminalIsNotMoved(t *testing.T) {
	evil := "\x1b]0;owned\x07\x1b[2J\u009b31m\u202egnp\r\x00\u2028"
	s := &tape{}
	r := s.add(0, "ModelInfer", "m"+evil, "1", ask(t, "m", evil),
		payload.Frame{Kind: payload.Answer, Message: bytesOf(t, says(evil))}, payload.Frame{Kind: payload.Failure, Message: []byte(evil)},
		chunk(t, 0, evil), payload.Frame{Kind: payload.OtherAsked, Type: "inference.RepositoryModelLoadRequest", Message: bytesOf(t, &pb.RepositoryModelLoadRequest{ModelName: "x\u202e"})})
	r.Name, r.Request = evil, evil
	s.records[0].Payload.ID = "p1"
	out := &screen{}
	if err := (&replay.Player{Out: out, Speed: -1}).Play(t.Context(), load(t, s)); err != nil {
		t.Fatal(err)
	}
	if i := strings.IndexAny(out.text.String(), "\x1b\x07\u009b\u202e\r\x00\u2028"); i >= 0 {
		t.Errorf("%q", out.text.String())
	}
}

func TestWhatIsNotThere(t *testing.T) {
	s := &tape{}
	r := s.add(0, "ModelStreamInfer", "tokens", "1")
	r.Payload, r.Timing = nil, []int64{1e6, 1e6}
	s.add(time.Second, "ModelInfer", "m", "2").Payload.ID = "shredded"
	s.add(2*time.Second, "ModelInfer", "m", "3").Payload = &audit.PayloadRef{}
	s.add(3*time.Second, "ModelInfer", "m", "4", payload.Frame{Kind: payload.Request, Cut: true, Size: 7})
	other := s.add(0, "ModelInfer", "m", "5")
	other.Session = "other"
	session := load(t, s)
	if len(session.Calls) != 4 || session.Length() != 3*time.Second {
		t.Errorf("%d calls in %v", len(session.Calls), session.Length())
	}
	out := &screen{}
	if err := (&replay.Player{Out: out, Speed: -1}).Play(t.Context(), session); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"nothing of it was to be kept", payload.ErrShredded.Error(), "it could not be kept", "7 bytes, not kept for their size"} {
		if !strings.Contains(out.text.String(), want) {
			t.Errorf("%s\nlacks %q", out.text.String(), want)
		}
	}
	if _, err := replay.Load(t.Context(), s, "none"); !errors.Is(err, replay.ErrNoSession) {
		t.Error(err)
	}
}

// TestWhatIsDamagedIsToldOf: a damaged record hides no session, and no session that
// may be damaged is one that never was.
func TestWhatIsDamagedIsToldOf(t *testing.T) {
	s := &tape{torn: true}
	if _, err := replay.Load(t.Context(), s, "s"); err == nil || errors.Is(err, replay.ErrNoSession) || !strings.Contains(err.Error(), "2 records") {
		t.Error(err)
	}
	s.add(0, "ModelInfer", "m", "1", ask(t, "m", "hi"))
	if got := load(t, s); len(got.Calls) != 1 || got.Damage.Records != 2 {
		t.Errorf("%d calls, damaged %+v", len(got.Calls), got.Damage)
	}
}

func TestTensorsAreCut(t *testing.T) {
	many := make([]float32, 100)
	s := &tape{}
	s.add(0, "ModelInfer", "m", "1", payload.Frame{Kind: payload.Answer, Message: bytesOf(t, counts(many...))})
	out := &screen{}
	if err := (&replay.Player{Out: out, Speed: -1}).Play(t.Context(), load(t, s)); err != nil || !strings.Contains(out.text.String(), "… 84 more") {
		t.Errorf("%s, %v", out.text.String(), err)
	}
}
