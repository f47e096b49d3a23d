package corpus

import (
	_ "embed"
	"regexp"
	"strings"
	"sync"
)

//go:embed templates/dev.txt
var devText string

//go:embed templates/heldout.txt
var heldOutText string

//go:embed templates/prose.txt
var proseText string

//go:embed templates/names.txt
var namesText string

// template is a text with blanks.
type template struct {
	style  string
	pieces []piece
}

// piece is plain text, or a blank of a kind: [[KIND arg]] for an entity,
// [[!kind]] for a near-miss, [[kind]] for a word.
type piece struct {
	text, kind, arg string
	truth, near     bool
}

var blank = regexp.MustCompile(`\[\[(!?)(\w+)(?: (\w+))?\]\]`)

var (
	devTemplates     = sync.OnceValue(func() []template { return parse(devText) })
	heldOutTemplates = sync.OnceValue(func() []template { return parse(heldOutText) })
	prose            = sync.OnceValue(func() map[string][]string { return groups(proseText, "\n") })
	names            = sync.OnceValue(func() map[string][]string { return groups(namesText, " ") })
)

func templates(held bool) []template {
	if held {
		return heldOutTemplates()
	}
	return devTemplates()
}

// sections cuts a file at its "## name" lines.
func sections(file string, each func(name, text string)) {
	for part := range strings.SplitSeq("\n"+file, "\n## ") {
		if name, text, ok := strings.Cut(part, "\n"); ok && name != "" {
			each(name, strings.TrimRight(text, "\n"))
		}
	}
}

// groups reads a file of named lists.
func groups(file, separator string) map[string][]string {
	all := make(map[string][]string)
	sections(file, func(name, text string) { all[name] = strings.Split(text, separator) })
	return all
}

func parse(file string) []template {
	var all []template
	sections(file, func(style, text string) {
		t := template{style: style}
		at := 0
		for _, m := range blank.FindAllStringSubmatchIndex(text, -1) {
			kind, arg := text[m[4]:m[5]], ""
			if m[6] >= 0 {
				arg = text[m[6]:m[7]]
			}
			near := m[3] > m[2]
			t.pieces = append(t.pieces, piece{text: text[at:m[0]]}, piece{
				kind: kind, arg: arg, near: near, truth: !near && kind == strings.ToUpper(kind),
			})
			at = m[1]
		}
		t.pieces = append(t.pieces, piece{text: text[at:]})
		all = append(all, t)
	})
	return all
}
