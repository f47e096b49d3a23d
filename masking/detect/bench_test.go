package detect_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/sluice-gateway/sluice/masking/detect"
)

// common are the ten kinds that most rules name; keys are several entities.
var common = []string{
	"EMAIL", "CARD", "SSN", "PHONE", "IBAN", "IP", "MAC", "JWT", "PRIVATE_KEY",
	"AWS_KEY", "GCP_KEY", "GITHUB_TOKEN", "SLACK_TOKEN", "STRIPE_KEY", "OPENAI_KEY",
}

func setOf(t testing.TB, entities ...string) *detect.Set {
	t.Helper()
	entries := make([]detect.Entry, len(entities))
	for i, name := range entities {
		if entries[i].Detector = detect.Lookup(name); entries[i].Detector == nil {
			t.Fatalf("no detector of %s", name)
		}
	}
	set, err := detect.Compile(entries, detect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// BenchmarkStream feeds realistic text of which 1 % of the lines hold something
// to find, in chunks of 2 KiB.
func BenchmarkStream(b *testing.B) {
	text := prose(rand.New(rand.NewPCG(1, 1)), 1<<20, 10)
	st := setOf(b, common...).NewStream()
	var events []detect.Event
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		for from := 0; from < len(text); from += 2048 {
			events = st.Write(text[from:min(from+2048, len(text))], events[:0])
		}
		events = st.Flush(events[:0])
	}
}

// BenchmarkFind looks at texts as a whole: the same one, one that has to be
// folded, one in another script, and with all entities.
func BenchmarkFind(b *testing.B) {
	text := prose(rand.New(rand.NewPCG(1, 1)), 1<<20, 10)
	accents := bytes.ReplaceAll(text, []byte("es"), []byte("és"))
	japanese := bytes.Repeat([]byte("これは日本語の文章で、特に何も含まれていません。"), 1<<20/72)
	for _, c := range []struct {
		name string
		set  *detect.Set
		text []byte
	}{
		{"common", setOf(b, common...), text},
		{"everything", everything(b), text},
		{"accents", setOf(b, common...), accents},
		{"Japanese", setOf(b, common...), japanese},
	} {
		b.Run(c.name, func(b *testing.B) {
			var matches []detect.Match
			b.SetBytes(int64(len(c.text)))
			b.ReportAllocs()
			for b.Loop() {
				matches = c.set.Find(c.text, matches[:0])
			}
		})
	}
}

// BenchmarkToken streams clean text in tokens of four bytes.
func BenchmarkToken(b *testing.B) {
	text := prose(rand.New(rand.NewPCG(1, 1)), 1<<16, 0)
	st := setOf(b, common...).NewStream()
	var events []detect.Event
	b.ReportAllocs()
	for i := 0; b.Loop(); i += 4 {
		if i+4 > len(text) {
			i = 0
		}
		events = st.Write(text[i:i+4], events[:0])
	}
}
