package detect_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-gateway/sluice/masking/detect"
)

func TestCompileErrors(t *testing.T) {
	email := detect.Lookup("EMAIL")
	tests := []struct {
		name    string
		entries []detect.Entry
		options detect.Options
		want    string
	}{
		{"no detector", []detect.Entry{{}}, detect.Options{}, "entry 0: no detector"},
		{"threshold", []detect.Entry{{Detector: email, Threshold: 1.5}}, detect.Options{}, "EMAIL: threshold 1.5: must be from 0 to 1"},
		{"threshold below", []detect.Entry{{Detector: email, Threshold: -1}}, detect.Options{}, "EMAIL: threshold -1"},
		{"hold-back too small", nil, detect.Options{HoldBack: 10}, "hold_back 10: must be from 64"},
		{"hold-back too large", nil, detect.Options{HoldBack: 1 << 20}, "must be from 64 to 65536"},
		{"longer than hold-back", []detect.Entry{{Detector: email}}, detect.Options{HoldBack: 100}, "EMAIL: its longest match of 244 bytes needs a hold_back of at least 256, not 100"},
		{"two problems", []detect.Entry{{}, {Detector: email, Threshold: 2}}, detect.Options{}, "entry 0: no detector\nEMAIL: threshold 2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			set, err := detect.Compile(tt.entries, tt.options)
			if set != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("set %v, error %v, want %q", set != nil, err, tt.want)
			}
		})
	}
}

// TestEntities holds the table to what its users rely on.
func TestEntities(t *testing.T) {
	seen := map[string]bool{}
	for _, info := range detect.Entities() {
		d := detect.Lookup(info.Entity)
		if d == nil || d.Info() != info {
			t.Errorf("%s: looked up %v", info.Entity, d)
		}
		switch {
		case seen[info.Entity]:
			t.Errorf("%s is there twice", info.Entity)
		case info.Entity != strings.ToUpper(info.Entity) || strings.Trim(info.Entity, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") != "":
			t.Errorf("%q is no name of an entity", info.Entity)
		case info.Description == "" || strings.Contains(info.Description, "\n"):
			t.Errorf("%s: description %q", info.Entity, info.Description)
		case info.Threshold <= 0 || info.Threshold > 1 || info.Longest < 0 || info.Longest > detect.DefaultHoldBack:
			t.Errorf("%s: %+v", info.Entity, info)
		case info.Longest == 0 && info.Entity != "JWT" && info.Entity != "PRIVATE_KEY":
			t.Errorf("%s has no longest match", info.Entity)
		}
		seen[info.Entity] = true
	}
	for _, name := range append(slices.Clone(common), "URL_CREDENTIALS", "DATE_OF_BIRTH", "PASSPORT") {
		if !seen[name] {
			t.Errorf("%s is missing", name)
		}
	}
	if d := detect.Lookup("email"); d != nil {
		t.Error("names are found in small letters")
	}
}

func TestSetTellsOfItsEntries(t *testing.T) {
	set := setOf(t, "CARD", "EMAIL")
	if set.Len() != 2 || set.Info(0).Entity != "CARD" || set.Info(1).Entity != "EMAIL" || set.HoldBack() != 256 {
		t.Errorf("%d entries, %v, %v, hold-back %d", set.Len(), set.Info(0), set.Info(1), set.HoldBack())
	}
}

// TestChoice shows which of several matches counts.
func TestChoice(t *testing.T) {
	ab, abc, bcd, other := regex(t, "ab"), regex(t, "abc"), regex(t, "bcde"), regex(t, "abc")
	tests := []struct {
		name      string
		detectors []*detect.Detector
		text      string
		want      []detect.Match
	}{
		{"leftmost, not longest", []*detect.Detector{bcd, ab}, "abcde", []detect.Match{{Start: 0, End: 2, Index: 1, Score: 1}}},
		{"longest of those that begin there", []*detect.Detector{ab, abc}, "abcde", []detect.Match{{Start: 0, End: 3, Index: 1, Score: 1}}},
		{"first of equal ones", []*detect.Detector{other, abc}, "abcde", []detect.Match{{Start: 0, End: 3, Index: 0, Score: 1}}},
		{"not overlapping", []*detect.Detector{abc, bcd}, "abcdebcde", []detect.Match{{Start: 0, End: 3, Index: 0, Score: 1}, {Start: 5, End: 9, Index: 1, Score: 1}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			set := compile(t, tt.detectors...)
			if got := set.Find([]byte(tt.text), nil); !slices.Equal(got, tt.want) {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
			everyCut(t, set, tt.text)
		})
	}
}

func TestThreshold(t *testing.T) {
	ssn := detect.Lookup("SSN")
	text := []byte("the number 536904399 here")
	for threshold, want := range map[float32]int{0: 0, 0.1: 1, 0.5: 0, 1: 0} {
		set, err := detect.Compile([]detect.Entry{{Detector: ssn, Threshold: threshold}}, detect.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := set.Find(text, nil); len(got) != want {
			t.Errorf("threshold %v: %+v", threshold, got)
		}
	}
}

// TestContextReach: words count up to 64 bytes before a match, whole ones only,
// and a word without a star ends where its letters end.
func TestContextReach(t *testing.T) {
	number := regex(t, `\b\d{6}\b`).Scored(0.2)
	set, err := detect.Compile([]detect.Entry{{Detector: number, Context: []string{"badge", "Ausweis*", "Straße", "数字"}}}, detect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	fill := func(n int) string { return strings.Repeat(".", n) }
	tests := []struct {
		name, text string
		found      bool
	}{
		{"near", "badge 123456", true},
		{"capitals", "BADGE: 123456", true},
		{"no prefix", "badges 123456", false},
		{"prefix", "Ausweisnummer 123456", true},
		{"end of a word", "mybadge 123456", false},
		{"accents and other letters", "STRAßE 123456", true},
		{"without spaces", "この数字123456", false}, // letters touch the number
		{"without spaces, apart", "この数字 123456", true},
		{"far, at the text's beginning", "badge" + fill(59) + "123456", true},
		{"far", ".badge" + fill(58) + "123456", true},
		{"too far", ".badge" + fill(59) + "123456", false},
		{"cut by the reach", "xxbadge" + fill(59) + "123456", false},
		{"behind", "123456 badge", false},
		{"full width", "ｂａｄｇｅ 123456", true},
		{"zero width", "ba\u200bdge 123456", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := set.Find([]byte(tt.text), nil); (len(got) == 1) != tt.found {
				t.Errorf("%q: %+v", tt.text, got)
			}
			everyCut(t, set, tt.text)
		})
	}
}

// racing tells that the race detector is on.
var racing bool

// TestNothingAllocated: clean text costs no memory, whole or streamed.
func TestNothingAllocated(t *testing.T) {
	set := everything(t)
	rng := rand.New(rand.NewPCG(1, 1))
	for name, text := range map[string][]byte{
		"plain":  prose(rng, 4096, 0),
		"folded": bytes.ReplaceAll(prose(rng, 4096, 0), []byte("e"), []byte("é")),
		"hits":   prose(rng, 4096, 500),
	} {
		t.Run(name, func(t *testing.T) {
			st := set.NewStream()
			events := make([]detect.Event, 0, 256)
			matches := make([]detect.Match, 0, 256)
			run := func() {
				for i := 0; i+4 <= len(text); i += 4 {
					events = st.Write(text[i:i+4], events[:0])
				}
				events = st.Flush(events[:0])
			}
			run()
			if n := testing.AllocsPerRun(10, run); n > 0 {
				t.Errorf("%v allocations in a stream", n)
			}
			matches = set.Find(text, matches[:0])
			if racing {
				return // what is pooled does not stay
			}
			// A pool may be emptied by the collector at any time.
			if n := testing.AllocsPerRun(100, func() { matches = set.Find(text, matches[:0]) }); n > 0.5 {
				t.Errorf("%v allocations in a whole", n)
			}
		})
	}
}

// TestShared uses a Set from many goroutines.
func TestShared(t *testing.T) {
	set := everything(t)
	text := prose(rand.New(rand.NewPCG(8, 8)), 1<<14, 200)
	text = append(text, "jörg@exämple.de"...)
	want := set.Find(text, nil)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 5 {
				if !slices.Equal(set.Find(text, nil), want) {
					t.Error("another result")
				}
				same(t, set, text, []int{i * 1000, i*1000 + 17})
			}
		})
	}
	wg.Wait()
}

// TestStreamAgain: a flushed or reset Stream knows nothing of the text before.
func TestStreamAgain(t *testing.T) {
	set := everything(t)
	st := set.NewStream()
	text := []byte("card 4111 1111 1111 1111 -----BEGIN PRIVATE KEY-----")
	clear := []byte("1111 1111 and more. ")
	for name, end := range map[string]func(){
		"flushed": func() { st.Flush(nil) },
		"reset":   st.Reset,
	} {
		t.Run(name, func(t *testing.T) {
			st.Write(text, nil)
			end()
			if st.Held() != 0 {
				t.Errorf("%d bytes held", st.Held())
			}
			events := append(st.Write(clear, nil), st.Flush(nil)...)
			if len(events) != 1 || !events[0].Clear() || !bytes.Equal(events[0].Text, clear) || events[0].Start != 0 {
				t.Errorf("%+v", events)
			}
		})
	}
}

// TestFindKeepsNothing: text is the caller's again when Find returns, and was
// not changed.
func TestFindKeepsNothing(t *testing.T) {
	set := everything(t)
	for _, s := range []string{"jane@example.com", "jäne@example.com"} {
		text := []byte(s)
		matches := set.Find(text, nil)
		if string(text) != s || len(matches) != 1 || matches[0].End != len(s) {
			t.Errorf("%q: %+v", text, matches)
		}
		if again := set.Find([]byte("nothing"), matches); len(again) != 1 {
			t.Errorf("appended %+v", again)
		}
	}
}
