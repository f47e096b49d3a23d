package masking_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/masking"
)

// analyzer is a service that answers as the test says.
type analyzer func(ctx context.Context, text string) ([]masking.Span, error)

func (a analyzer) Analyze(ctx context.Context, text string) ([]masking.Span, error) {
	return a(ctx, text)
}

// findsNames finds every "Jane" in code points.
func findsNames(_ context.Context, text string) (spans []masking.Span, err error) {
	if !utf8.ValidString(text) {
		return nil, errors.New("asked about what is no UTF-8")
	}
	for at := 0; ; {
		i := strings.Index(text[at:], "Jane")
		if i < 0 {
			return spans, nil
		}
		start := utf8.RuneCountInString(text[:at+i])
		spans = append(spans, masking.Span{Start: start, End: start + 4, Entity: "PERSON", Score: 0.85})
		at += i + 4
	}
}

// asks is a plan with a rule that asks a service.
func asks(t testing.TB, ask analyzer, how masking.Presidio, change func(r *masking.Rule)) *masking.Plan {
	t.Helper()
	how.URL = "http://presidio:3000"
	d := masking.Document{
		Detectors: []masking.Detector{{Name: "PERSON", Presidio: &how}},
		Masking:   []masking.Rule{redacts(func(r *masking.Rule) { r.Entities = entities("EMAIL", "PERSON") })},
	}
	if change != nil {
		change(&d.Masking[0])
	}
	return compile(t, d, masking.Options{
		Analyzer: func(masking.Presidio) (masking.Analyzer, error) { return ask, nil },
	}).Plan(nil, "m")
}

func TestAnalyzer(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"nothing", "clean", "clean"},
		{"a name", "ask Jane.", "ask [PERSON]."},
		{"code points", "größe \u200b😀 Jane, Jane", "größe \u200b😀 [PERSON], [PERSON]"},
		{"bytes that are no UTF-8", "\xff\xfe Jane \xf0\x9f", "\xff\xfe [PERSON] \xf0\x9f"},
		{"beside a match", "Jane a@b.org", "[PERSON] [EMAIL]"},
		{"within a match", "to Jane.doe@example.com", "to [EMAIL]"},
	}
	for _, stream := range []masking.StreamUse{masking.Whole, masking.Window} {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				checkBuffers(t)
				p := asks(t, findsNames, masking.Presidio{Stream: stream}, nil)
				if got := wholeText(t, nil, tt.in, p); got != tt.want {
					t.Errorf("got  %q\nwant %q", got, tt.want)
				}
				everyCut(t, p, tt.in, tt.want)
			})
		}
	}
}

// TestAnalyzerWindows shows that a long stream is not held to its end, and is
// shown to the service in stretches that its cuts don't change.
func TestAnalyzerWindows(t *testing.T) {
	checkBuffers(t)
	in := strings.Repeat("Jane writes to a@b.org, and größe is not a name. ", 200)
	want := strings.Repeat("[PERSON] writes to [EMAIL], and größe is not a name. ", 200)
	var shown []string
	p := asks(t, func(ctx context.Context, text string) ([]masking.Span, error) {
		shown = append(shown, text)
		return findsNames(ctx, text)
	}, masking.Presidio{Stream: masking.Window}, nil)
	if got := wholeText(t, nil, in, p); got != want {
		t.Fatalf("got %q", got)
	}
	windows := strings.Join(shown, "|")
	for seed := range uint64(30) {
		shown = nil
		var answers []*pb.ModelStreamInferResponse
		for _, chunk := range append(chunks(rand.New(rand.NewPCG(seed, 5)), in), "") {
			answers = append(answers, answer(false, output(&pb.ModelInferResponse{}, raw, "text_output", chunk)))
		}
		got, refused := sent(t, p.Answers(decoupled), true, answers...)
		if refused != nil {
			t.Fatal(refused)
		}
		if out := joined(t, got, "text_output", 1)[0]; out != want {
			t.Fatalf("seed %d: got %q", seed, out)
		}
		if got := strings.Join(shown, "|"); got != windows {
			t.Fatalf("seed %d: other windows", seed)
		}
		early := joined(t, got[:len(got)-1], "text_output", 1)[0]
		if len(early) < len(want)-3<<10 {
			t.Errorf("seed %d: %d bytes of %d were sent before the end", seed, len(early), len(want))
		}
	}
}

func TestAnalyzerThatDoesNotAnswer(t *testing.T) {
	away := errors.New("away")
	fails := func(context.Context, string) ([]masking.Span, error) { return nil, away }
	lies := func(context.Context, string) ([]masking.Span, error) {
		return []masking.Span{{Start: 2, End: 1000}}, nil
	}
	tests := []struct {
		name   string
		ask    analyzer
		how    masking.Presidio
		change func(r *masking.Rule)
		passes bool
	}{
		{"blocks by default", fails, masking.Presidio{}, nil, false},
		{"passes where the detector says so", fails, masking.Presidio{OnError: masking.Pass}, nil, true},
		{"blocks where the rule says so", fails, masking.Presidio{OnError: masking.Pass}, func(r *masking.Rule) { r.OnError = masking.Block }, false},
		{"passes where the rule says so", fails, masking.Presidio{}, func(r *masking.Rule) { r.OnError = masking.Pass }, true},
		{"places beyond the text", lies, masking.Presidio{}, nil, false},
		{"places beyond the text, passed", lies, masking.Presidio{OnError: masking.Pass}, nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checkBuffers(t)
			p := asks(t, tt.ask, tt.how, tt.change)
			got, refused := unary(t, p, output(&pb.ModelInferResponse{}, raw, "out", "to a@b.org"), nil)
			if tt.passes {
				if refused != nil || elementsOf(t, got, 0)[0] != "to [EMAIL]" {
					t.Errorf("got %v, %v", got, refused)
				}
				return
			}
			wantRefusal(t, refused, access.Unavailable, "PERSON")
			if refused.Reason != access.ReasonDetectorAway || strings.Contains(refused.Message, "away") {
				t.Errorf("got %+v", refused)
			}
			if text := p.Text(t.Context(), "an error's text", nil); strings.Contains(text, "error") {
				t.Errorf("%q was let out", text)
			}
		})
	}
}

// TestAnalyzerOfLongTexts bounds what is held for a service.
func TestAnalyzerOfLongTexts(t *testing.T) {
	checkBuffers(t)
	long := strings.Repeat("words ", 200_000) + "Jane a@b.org"
	in := output(&pb.ModelInferResponse{}, raw, "out", long)
	_, refused := unary(t, asks(t, findsNames, masking.Presidio{}, nil), in, nil)
	wantRefusal(t, refused, access.Unavailable, "longer")
	got, refused := unary(t, asks(t, findsNames, masking.Presidio{OnError: masking.Pass}, nil), in, nil)
	if refused != nil || !strings.HasSuffix(elementsOf(t, got, 0)[0], "words Jane [EMAIL]") {
		t.Errorf("%v, or not masked", refused)
	}
	got, refused = unary(t, asks(t, findsNames, masking.Presidio{Stream: masking.Window}, nil), in, nil)
	if refused != nil || !strings.HasSuffix(elementsOf(t, got, 0)[0], "words [PERSON] [EMAIL]") {
		t.Errorf("%v, or not masked", refused)
	}
}

func TestAnalyzerThresholdAndCounts(t *testing.T) {
	checkBuffers(t)
	high := 0.9
	p := asks(t, findsNames, masking.Presidio{}, func(r *masking.Rule) { r.Entities[1].Threshold = &high })
	if got := wholeText(t, nil, "Jane", p); got != "Jane" {
		t.Errorf("got %q", got)
	}
	var c masking.Counts
	p = asks(t, findsNames, masking.Presidio{}, func(r *masking.Rule) { r.Observe = true })
	if got, refused := unary(t, p, output(&pb.ModelInferResponse{}, raw, "out", "Jane a@b.org Jane"), &c); got != nil || refused != nil {
		t.Errorf("got %v, %v", got, refused)
	}
	if c.Observed["PERSON"] != 2 || c.Observed["EMAIL"] != 1 || c.Masked != nil {
		t.Errorf("counted %v", c)
	}
}

// TestAnalyzerOverlaps has what a service finds reach into a match, and a match
// into what it finds: nothing of either is left.
func TestAnalyzerOverlaps(t *testing.T) {
	checkBuffers(t)
	const in = "Mr Jane jane@example.com Jane Roe"
	tests := []struct {
		name       string
		start, end int
		want       string
	}{
		{"begins before", 3, 12, "Mr [PERSON][EMAIL] Jane Roe"},
		{"begins within", 20, 33, "Mr Jane [EMAIL][PERSON]"},
		{"around", 3, 33, "Mr [PERSON]"},
		{"the same", 8, 24, "Mr Jane [EMAIL] Jane Roe"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := asks(t, func(context.Context, string) ([]masking.Span, error) {
				return []masking.Span{{Start: tt.start, End: tt.end, Score: 1}}, nil
			}, masking.Presidio{}, nil)
			if got := wholeText(t, nil, in, p); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
			everyCut(t, p, in, tt.want)
		})
	}
}
