package detect_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/sluice-gateway/sluice/masking/detect"
)

// The corpora in testdata have one archive a detector, named after its entity,
// with three files of one text a line:
//
//	hits         what has to be found stands between « and »
//	near-misses  nothing is to be found
//	split        as hits, and | is where the text is cut into chunks
//
// {U+200B} stands for a character that can't be seen, {NL} for a new line.
const corpusFiles = "hits near-misses split"

var invisible = regexp.MustCompile(`\{U\+[0-9A-F]+\}`)

// line is a text of a corpus.
type line struct {
	text string
	want []string // what is to be found, in order
	cuts []int
}

func parseLine(s string, split bool) (l line) {
	s = strings.ReplaceAll(s, "{NL}", "\n")
	s = invisible.ReplaceAllStringFunc(s, func(u string) string {
		r, _ := strconv.ParseUint(u[3:len(u)-1], 16, 32)
		return string(rune(r))
	})
	from := 0
	for _, r := range s {
		switch {
		case r == '«':
			from = len(l.text)
		case r == '»':
			l.want = append(l.want, l.text[from:])
		case r == '|' && split:
			l.cuts = append(l.cuts, len(l.text))
		default:
			l.text += string(r)
		}
	}
	return l
}

// corpus reads the lines of an entity.
func corpus(t testing.TB, entity string) map[string][]line {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", strings.ToLower(entity)+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string][]line{}
	for _, f := range txtar.Parse(data).Files {
		if !slices.Contains(strings.Fields(corpusFiles), f.Name) {
			t.Fatalf("%s: %s is none of %s", entity, f.Name, corpusFiles)
		}
		for s := range strings.Lines(string(f.Data)) {
			if s = strings.TrimSuffix(s, "\n"); s != "" {
				lines[f.Name] = append(lines[f.Name], parseLine(s, f.Name == "split"))
			}
		}
	}
	return lines
}

// TestCorpora holds each detector to its corpus.
func TestCorpora(t *testing.T) {
	all := everything(t)
	for _, info := range detect.Entities() {
		t.Run(info.Entity, func(t *testing.T) {
			set := setOf(t, info.Entity)
			lines := corpus(t, info.Entity)
			for name := range strings.FieldsSeq(corpusFiles) {
				if len(lines[name]) < 2 {
					t.Errorf("%s has %d lines", name, len(lines[name]))
				}
				for _, l := range lines[name] {
					if (name == "near-misses") != (len(l.want) == 0) {
						t.Errorf("%s: %q has %d marks", name, l.text, len(l.want))
					}
					if got := found(set, l.text); !slices.Equal(got, l.want) {
						t.Errorf("%s: in %q\n found %q\n want  %q", name, l.text, got, l.want)
					}
					same(t, set, []byte(l.text), l.cuts)
					everyCut(t, set, l.text)
					everyCut(t, all, l.text)
				}
			}
		})
	}
}

// everyCut cuts a text at every place, and into single bytes.
func everyCut(t testing.TB, set *detect.Set, text string) {
	t.Helper()
	cuts := make([]int, len(text))
	for i := range text {
		same(t, set, []byte(text), []int{i})
		cuts[i] = i
	}
	for i := range cuts {
		cuts[i] = i
	}
	same(t, set, []byte(text), cuts)
}

// TestNoStrangers: a corpus that no detector has is a forgotten one.
func TestNoStrangers(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		entity := strings.ToUpper(strings.TrimSuffix(filepath.Base(name), ".txtar"))
		if detect.Lookup(entity) == nil {
			t.Errorf("%s is of no detector", name)
		}
	}
}
