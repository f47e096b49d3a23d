package jsonl_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/jsonl"
	"github.com/sluice-gateway/sluice/audit/sinktest"
)

// read gives the seqs in all files of a folder, the oldest file first.
func read(t *testing.T, dir string) (seqs []uint64) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "audit.jsonl*"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	if len(names) > 1 && strings.HasSuffix(names[0], ".jsonl") {
		names = append(names[1:], names[0]) // the one without a time is the newest
	}
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(bytes.NewReader(raw))
		for lines.Scan() {
			var r audit.Record
			if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
				t.Fatalf("%s: %v in %q", name, err, lines.Text())
			}
			seqs = append(seqs, r.Seq)
		}
	}
	return seqs
}

func newSink(dir string, change func(*jsonl.Config)) *jsonl.Sink {
	cfg := jsonl.Config{Path: access.Path(filepath.Join(dir, "audit.jsonl"))}
	if change != nil {
		change(&cfg)
	}
	return jsonl.New("files", cfg)
}

func TestSuite(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Place {
		dir := t.TempDir()
		inner := filepath.Join(dir, "in")
		if err := os.Mkdir(inner, 0o700); err != nil {
			t.Fatal(err)
		}
		move := func(from, to string) func(t *testing.T) {
			return func(t *testing.T) {
				t.Helper()
				if err := os.Rename(from, to); err != nil {
					t.Fatal(err)
				}
			}
		}
		return sinktest.Place{
			Sink: newSink(inner, nil), Received: func(t *testing.T) []uint64 { return read(t, inner) },
			Break: move(inner, inner+".away"), Mend: move(inner+".away", inner), Why: "a file system that hangs can't be made here",
		}
	})
}

func send(t *testing.T, s *jsonl.Sink, seq uint64, n int) {
	t.Helper()
	if err := s.Send(t.Context(), sinktest.Entries(seq, n)); err != nil {
		t.Fatal(err)
	}
}

func TestFullFilesAreKeptInNumber(t *testing.T) {
	dir := t.TempDir()
	s := newSink(dir, func(c *jsonl.Config) { c.MaxSize, c.Keep = 1, 2 })
	for i := range 5 {
		send(t, s, uint64(i), 1)
	}
	if got := read(t, dir); !slices.Equal(got, []uint64{3, 4}) {
		t.Errorf("got %v, want the last two files", got)
	}
}

func TestATornLineIsCutOffBeforeMoreIsWritten(t *testing.T) {
	for name, tail := range map[string]string{
		"a torn line": `{"sluice.seq": 1, "user`, "nothing": "", "a long torn line": strings.Repeat("x", 9000),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := newSink(dir, nil)
			send(t, s, 0, 1)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "audit.jsonl")
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, append(raw, tail...), 0o600); err != nil {
				t.Fatal(err)
			}
			send(t, s, 1, 1)
			if got := read(t, dir); !slices.Equal(got, []uint64{0, 1}) {
				t.Errorf("got %v", got)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestAFileThatWasMovedIsNotWrittenToAnyMore(t *testing.T) {
	dir := t.TempDir()
	s := newSink(dir, nil)
	send(t, s, 0, 1)
	if err := os.Rename(filepath.Join(dir, "audit.jsonl"), filepath.Join(dir, "moved")); err != nil {
		t.Fatal(err)
	}
	send(t, s, 1, 1)
	if got := read(t, dir); !slices.Equal(got, []uint64{1}) {
		t.Errorf("got %v", got)
	}
	info, err := os.Stat(filepath.Join(dir, "audit.jsonl"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v; want it private", info.Mode(), err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsNoRegularFileIsRefused(t *testing.T) {
	s := jsonl.New("files", jsonl.Config{Path: "/dev/null"})
	if err := s.Send(t.Context(), sinktest.Entries(0, 1)); err == nil || !strings.Contains(err.Error(), "regular") {
		t.Errorf("got %v", err)
	}
}

func TestSettingsAreChecked(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  jsonl.Config
		want string
	}{
		"fine":    {jsonl.Config{Path: "x"}, ""},
		"no path": {jsonl.Config{}, "is missing"},
		"minus":   {jsonl.Config{Path: "x", Keep: -1}, "positive"},
	} {
		t.Run(name, func(t *testing.T) {
			c.cfg.SetDefaults()
			problems := c.cfg.Validate()
			if (c.want == "") != (len(problems) == 0) || c.want != "" && !strings.Contains(problems[0].Message, c.want) {
				t.Errorf("got %v", problems)
			}
		})
	}
}
