package main

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/bench/masking/corpus"
	"github.com/sluice-gateway/sluice/bench/masking/score"
	"github.com/sluice-gateway/sluice/bench/report"
	"github.com/sluice-gateway/sluice/masking/detect"
)

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"part", []string{"-part", "both"}, "-part both"},
		{"only", []string{"-only", "looks"}, "-only looks"},
		{"publish half", []string{"-publish", "page", "-only", "speed"}, "only a whole run"},
		{"publish development", []string{"-publish", "page", "-part", "development"}, "only a whole run"},
		{"argument", []string{"more"}, "no arguments"},
		{"no round", []string{"-rounds", "0"}, "at least one"},
		{"fine", []string{"-part", "development", "-only", "accuracy"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parseOptions(c.args, &bytes.Buffer{})
			if got := ""; err != nil && c.want == "" || err == nil && c.want != got || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestRunWithoutPresidio(t *testing.T) {
	var stdout, stderr bytes.Buffer
	out := t.TempDir()
	if err := run(t.Context(), []string{"-only", "accuracy", "-docs", "200", "-examples", "1", "-out", out}, &stdout, &stderr); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(stderr.String(), "left out: Presidio") {
		t.Errorf("does not say what is left out: %s", stderr.String())
	}
	for _, want := range []string{"| EMAIL |", "200 texts", "Presidio not installed", "near-miss"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("no %q in:\n%s", want, stdout.String())
		}
	}
	if b, err := os.ReadFile(filepath.Join(out, "masking-accuracy.md")); err != nil || string(b) != stdout.String() {
		t.Errorf("what is written is not what is printed: %v", err)
	}
}

// double stands for Python with Presidio: it finds one mail address at code
// points 1 to 3 of every text of two that it is given.
const double = `#!/bin/sh
if [ "$1" = -c ]; then printf 2.2.0; exit; fi
while read -r line; do
	case $line in
	*analyze*broken*) echo '{"spans": []}' ;;
	*analyze*) echo '{"spans": [[[1, 3, "EMAIL_ADDRESS", 0.5]], []]}' ;;
	*load*few*) echo '{"loaded": 0}' ;;
	*load*) echo '{"loaded": 2}' ;;
	*) echo '{"seconds": 0.25, "hits": 1}' ;;
	esac
done
`

func startDouble(t *testing.T) *presidio {
	t.Helper()
	python := filepath.Join(t.TempDir(), "python")
	if err := os.WriteFile(python, []byte(double), 0o700); err != nil {
		t.Fatal(err)
	}
	p, err := startPresidio(t.Context(), python, "presidio.py")
	if err != nil || p == nil {
		t.Fatalf("%v, %v", p, err)
	}
	t.Cleanup(p.stop)
	return p
}

func TestPresidioIsAsked(t *testing.T) {
	p := startDouble(t)
	if p.version != "2.2.0" {
		t.Errorf("version %q", p.version)
	}
	found, err := p.analyze([]string{"üäöx", "b"}, []string{"EMAIL_ADDRESS"})
	if err != nil || len(found) != 2 || len(found[1]) != 0 || found[0][0] != (score.Found{Start: 2, End: 6, Entity: "EMAIL_ADDRESS", Score: 0.5}) {
		t.Errorf("%+v, %v", found, err)
	}
	if err := p.load([]string{"a", "b"}, nil); err != nil {
		t.Error(err)
	}
	if seconds, err := p.seconds(); err != nil || seconds != 0.25 {
		t.Errorf("%v seconds, %v", seconds, err)
	}
	if _, err := p.analyze([]string{"broken", "b"}, nil); err == nil || !strings.Contains(err.Error(), "about 2 texts") {
		t.Errorf("too few answers: %v", err)
	}
	if err := p.load([]string{"few", "b"}, nil); err == nil {
		t.Error("texts got lost, and nobody minds")
	}
}

func TestSpeedOfBothStandsInOneTable(t *testing.T) {
	o, err := parseOptions([]string{"-size", "65536", "-rounds", "1", "-commit", "abc"}, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	text := corpus.Lines(o.part, o.seed, o.size, corpus.Prose, common)[:2*chunkSize]
	set, err := compile(common)
	if err != nil {
		t.Fatal(err)
	}
	s, err := race(o.rounds, text, set, startDouble(t))
	if err != nil || len(s.whole) != 1 || len(s.stream) != 1 || s.peer[0] != 2*chunkSize/0.25/1e6 {
		t.Fatalf("%+v, %v", s, err)
	}
	tables, err := speed(o, nil, report.Machine{Go: "go1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"commit abc", "| mixed | ten |", "| prose | all", "A clean token of 4 bytes", "| prose, English | ten |"} {
		if !strings.Contains(tables, want) {
			t.Errorf("no %q in:\n%s", want, tables)
		}
	}
}

func TestPublishNeedsBothSides(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(page, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := publish(page, map[string]string{"accuracy": "x"})
	if err == nil || !strings.Contains(err.Error(), "accuracy begin") {
		t.Errorf("published into a page without marks: %v", err)
	}
}

func TestInsertReplacesWhatWasThere(t *testing.T) {
	page := "a\n<!-- bench-masking: speed begin -->\nold\n<!-- bench-masking: speed end -->\nb\n"
	got, err := insert(page, "speed", "\nnew\n\n")
	want := "a\n<!-- bench-masking: speed begin -->\nnew\n<!-- bench-masking: speed end -->\nb\n"
	if err != nil || got != want {
		t.Errorf("%q, %v", got, err)
	}
	if again, err := insert(got, "speed", "new"); err != nil || again != want {
		t.Errorf("the second time: %q, %v", again, err)
	}
}

// Every kind that the corpus has is in one line, and every line has values.
func TestEveryKindIsInOneLine(t *testing.T) {
	kinds := gather(kindsOf)
	slices.Sort(kinds)
	if twice := len(kinds) - len(slices.Compact(slices.Clone(kinds))); twice > 0 {
		t.Errorf("%d kinds are in more than one line", twice)
	}
	seen := make(map[string]bool)
	for _, d := range corpus.Generate(corpus.HeldOut, 1, 3000) {
		for _, s := range d.Truth {
			seen[s.Kind] = true
			if !slices.Contains(kinds, s.Kind) {
				t.Fatalf("%s is in no line", s.Kind)
			}
		}
	}
	for _, info := range detect.Entities() {
		if !slices.Contains(gather(entity.known), info.Entity) {
			t.Errorf("the detector of %s is not measured", info.Entity)
		}
	}
	for _, kind := range kinds {
		if !seen[kind] {
			t.Errorf("no value of %s", kind)
		}
	}
}

func TestCodePointsBecomeBytes(t *testing.T) {
	got := inBytes("né 😀 x", []span{{start: 3, end: 4, entity: "A", score: 1}, {start: 5, end: 6}})
	want := []score.Found{{Start: 4, End: 8, Entity: "A", Score: 1}, {Start: 9, End: 10}}
	if !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestPercent(t *testing.T) {
	for share, want := range map[float64]string{0: "0", 1: "100", 0.5: "50.0", 0.99951: "99.95", 0.0004: "0.04"} {
		if got := percent(share); got != want {
			t.Errorf("%v is written %s, want %s", share, got, want)
		}
	}
	if got := percent(math.NaN()); got != "–" {
		t.Errorf("nothing is written %s", got)
	}
}

// A word is decided on when what follows shows its end; the last at the end.
func TestDelay(t *testing.T) {
	set, err := detect.Compile([]detect.Entry{{Detector: detect.Lookup("EMAIL")}}, detect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tokens := []string{"jane", ".doe", "@exam", "ple.com", " wrote"}
	all := delay(set, tokens)
	if len(all) != len(tokens) {
		t.Fatalf("%d delays of %d tokens", len(all), len(tokens))
	}
	if most := all[len(all)-1]; most < 3 {
		t.Errorf("the first token of an address left %d tokens later, before the address was seen", most)
	}
}

func TestStreamAndWholeSeeTheSameText(t *testing.T) {
	text := corpus.Lines(corpus.Development, 1, 1<<16, corpus.Mixed, common)
	joined := bytes.Join(cut(text), nil)
	if string(joined) != text {
		t.Error("the chunks are not the text")
	}
	set, err := compile(common)
	if err != nil {
		t.Fatal(err)
	}
	if findAll(set, [][]byte{joined}) == 0 || streamAll(set, cut(text)) < 2 {
		t.Error("nothing is found in lines of which some hold a value")
	}
}
