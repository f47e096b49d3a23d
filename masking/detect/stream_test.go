package detect_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sluice-gateway/sluice/masking/detect"
)

// everything is a Set of all known entities.
func everything(t testing.TB) *detect.Set {
	t.Helper()
	var entries []detect.Entry
	for _, info := range detect.Entities() {
		entries = append(entries, detect.Entry{Detector: detect.Lookup(info.Entity)})
	}
	set, err := detect.Compile(entries, detect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// stream feeds text in chunks that end at the cuts, and gives the matches. It
// holds the events to what is promised of all of them.
func stream(t testing.TB, set *detect.Set, text []byte, cuts []int) []detect.Match {
	t.Helper()
	var (
		st      = set.NewStream()
		out     []byte
		matches []detect.Match
		inside  = -1
	)
	take := func(events []detect.Event) {
		t.Helper()
		for _, ev := range events {
			if ev.Start != len(out) {
				t.Fatalf("event at %d, want %d: %+v", ev.Start, len(out), ev)
			}
			out = append(out, ev.Text...)
			switch {
			case ev.Clear():
				if inside >= 0 || len(ev.Text) == 0 || ev.First || ev.Last {
					t.Fatalf("clear event inside of %d: %+v", inside, ev)
				}
				continue
			case ev.First:
				if inside >= 0 {
					t.Fatalf("match begins inside of another: %+v", ev)
				}
				matches = append(matches, detect.Match{Start: ev.Start, Index: ev.Index, Score: ev.Score})
				inside = ev.Index
			case inside != ev.Index:
				t.Fatalf("match of %d goes on inside of %d", ev.Index, inside)
			}
			if ev.Last {
				matches[len(matches)-1].End = ev.End()
				inside = -1
			}
		}
	}
	from := 0
	for _, cut := range append(slices.Clone(cuts), len(text)) {
		chunk := bytes.Clone(text[from:cut])
		take(st.Write(chunk, nil))
		for i := range chunk {
			chunk[i] = 'X' // what is kept of a chunk has to be a copy
		}
		if st.Held() > set.HoldBack() {
			t.Fatalf("%d bytes held, may be %d", st.Held(), set.HoldBack())
		}
		from = cut
	}
	take(st.Flush(nil))
	if inside >= 0 || !bytes.Equal(out, text) {
		t.Fatalf("the events are not the text:\n%q\n%q", out, text)
	}
	return matches
}

// randomCuts are n places to cut a text of so many bytes.
func randomCuts(rng *rand.Rand, size, n int) []int {
	cuts := make([]int, n)
	for i := range cuts {
		cuts[i] = rng.IntN(size + 1)
	}
	slices.Sort(cuts)
	return cuts
}

// same compares the matches of a stream with those of the whole.
func same(t testing.TB, set *detect.Set, text []byte, cuts []int) {
	t.Helper()
	whole := set.Find(text, nil)
	if got := stream(t, set, text, cuts); !slices.Equal(got, whole) {
		t.Fatalf("cut at %v\n%q\nstream %s\nwhole  %s", cuts, text, show(set, text, got), show(set, text, whole))
	}
}

func show(set *detect.Set, text []byte, matches []detect.Match) string {
	var s string
	for _, m := range matches {
		s += fmt.Sprintf("%s %d-%d %q %.2f; ", set.Info(m.Index).Entity, m.Start, m.End, text[m.Start:m.End], m.Score)
	}
	return s
}

// TestEveryCut cuts texts with seeded values at every place, and at every two.
func TestEveryCut(t *testing.T) {
	set := everything(t)
	for _, text := range seeded {
		b := []byte(text)
		if len(set.Find(b, nil)) == 0 {
			t.Errorf("nothing found in %q", text)
		}
		for i := range len(b) + 1 {
			same(t, set, b, []int{i})
			for k := i; k <= len(b); k += 3 {
				same(t, set, b, []int{i, k})
			}
		}
		all := make([]int, len(b))
		for i := range all {
			all[i] = i
		}
		same(t, set, b, all)
	}
}

var seeded = []string{
	"Write to jane.doe@example.com, or call (212) 555-0187.",
	"card 4111 1111 1111 1111, ssn 536-90-4399 and IBAN DE89 3704 0044 0532 0130 00.",
	`{"mail":"jane\u002edoe\u0040example.com","card":"4111\u00201111\/1111-1111"}`,
	"４１１１ １１１１ １１１１ １１１１ ist die Karte; jörg.müller@exämple.de",
	"4\u200b1\u200b1\u200b1 1111 1111 1111 from 10.11.12.13 and 2001:db8:85a3::8a2e:370:7334 today",
	"\u0664\u0661\u0661\u0661 \u0661\u0661\u0661\u0661 \u0661\u0661\u0661\u0661 \u0661\u0661\u0661\u0661",
}

// FuzzStream cuts any text anywhere.
func FuzzStream(f *testing.F) {
	for i, text := range seeded {
		f.Add([]byte(text), uint64(i))
	}
	set := everything(f)
	f.Fuzz(func(t *testing.T, text []byte, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 1))
		if len(text) > 4096 {
			text = text[:4096]
		}
		for range 4 {
			same(t, set, text, randomCuts(rng, len(text), rng.IntN(20)))
		}
	})
}

// TestRandomSets makes texts of pieces that detectors look at, and cuts them,
// for any choice of entities, thresholds and hold-back.
func TestRandomSets(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 150 {
		set := randomSet(t, rng)
		for range 100 {
			var text []byte
			for range rng.IntN(50) {
				text = append(text, pieces[rng.IntN(len(pieces))]...)
			}
			same(t, set, text, randomCuts(rng, len(text), rng.IntN(30)))
		}
	}
}

// randomSet is a Set of some entities, and of some own ones.
func randomSet(t *testing.T, rng *rand.Rand) *detect.Set {
	t.Helper()
	own := []*detect.Detector{
		regex(t, `\bEMP-\d{2,6}\b`), regex(t, `[a-z]{3,20}@`), regex(t, `.{1,10}\d{4}`),
		dictionary(t, "Jane", "Jane Doe", "Jürgen", "田中", "phone", "example"),
	}
	entries := []detect.Entry{{Detector: own[rng.IntN(len(own))]}}[:rng.IntN(2)]
	longest := 100
	for _, info := range detect.Entities() {
		if rng.IntN(6) == 0 {
			entries = append(entries, detect.Entry{Detector: detect.Lookup(info.Entity), Threshold: float32(rng.IntN(8)) / 10})
			longest = max(longest, info.Longest)
		}
	}
	set, err := detect.Compile(entries, detect.Options{HoldBack: longest + 12 + rng.IntN(300)*rng.IntN(2)})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

var pieces = []string{
	"a", "jane", ".", "@", "example", ".com", " ", "  ", "-", "4111", "1111", "11111111", "536", "90", "4399", "1", "0", "+", "(", ")", ":", "::",
	"DE", "89", "3704", "\\", "\\u0034", "\\u0040", "\\n", "\\/", "\\ud835\\udfd2", "\u200b", "\u00ad", "４", "ö", "日本", "\xff", "\xe2\x80",
	"\n", "10.0.0.1", "fe80", "/", "card ", "phone ", "212-555-0187", "\x00", "\u200b\u200b\u200b\u200b\u200b", "\\u200b\\u200b\\u200b",
	"eyJhbGciOiJIUzI1NiJ9", ".eyJzdWIiOiIxIn0", "-----BEGIN ", "RSA PRIVATE KEY-----", "-----END ", "://", "user:pw@", "AKIAIOSFODNN7EXAMPLE", "ghp_", "sk-",
	"born ", "dob ", "March ", "12", "1980", "passport ", "pesel ", "44051401359", "12345678Z", "756.9217.0769.85", "123.456.789-09",
	"sk-abcdefghijklmnopqrstuvwxyz0123456789", "secret_access_key=", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "AB 12 34 56 C", "RSSMRA85T10A562S",
	"\\ud83d", "\U000e0001\U000e0001\U000e0001", "\\udb40\\udc01\\udb40\\udc01\\udb40\\udc01", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
	"                                      ", "eyJmb28iOiJiYXIi", "EMP-12", "34", "田中", "Jürgen", "Jane Doe", "Jane ",
	"jane.doe@example.com", "4111 1111 1111 1111", "536-90-4399", "DE89370400440532013000", "GB", "82", "WEST", "12345698765432",
}
