package replay

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	pb "github.com/sluice-gateway/sluice/gen/inference"
)

// output is an output over all answers to a request: the texts of a stream are put
// together, element by element, its numbers follow each other.
type output struct {
	tensor
	answers int
	refused bool // it is a stream's error, and not a model's output of that name
}

// errorOutput is the name under which a stream's errors are compared.
const errorOutput = "error_message"

func join(to []output, m *pb.ModelInferResponse) []output {
	for _, t := range tensors(m.GetOutputs(), m.GetRawOutputContents(), false) {
		i := slices.IndexFunc(to, func(o output) bool { return o.name == t.name })
		if i < 0 {
			to = append(to, output{tensor: t, answers: 1})
			continue
		}
		o := &to[i]
		o.answers++
		o.numbers = append(o.numbers, t.numbers...)
		for n, text := range t.texts {
			if n < len(o.texts) {
				o.texts[n] += text
			} else {
				o.texts = append(o.texts, text)
			}
		}
	}
	return to
}

func joinStream(to []output, m *pb.ModelStreamInferResponse) []output {
	if m.GetErrorMessage() != "" {
		to = append(to, output{tensor{name: errorOutput, datatype: "BYTES", texts: []string{m.GetErrorMessage()}}, 1, true})
	}
	return join(to, m.GetInferResponse())
}

// refusal is the error among a stream's answers; nil if there is none.
func refusal(answers []output) error {
	for i := range answers {
		if answers[i].refused {
			return errors.New(answers[i].texts[0])
		}
	}
	return nil
}

// Difference is where an answer is another than it was.
type Difference struct {
	// Output is the output's name, Element which of its elements; -1 for all of it.
	Output  string
	Element int
	// Was and Is are what was answered then and now, cut to where they differ.
	Was, Is string
}

// String shows a difference as two lines.
func (d Difference) String() string {
	at := Plain(d.Output)
	if d.Element >= 0 {
		at = fmt.Sprintf("%s[%d]", at, d.Element)
	}
	return fmt.Sprintf("%s\n  - %s\n  + %s", at, Plain(d.Was), Plain(d.Is))
}

// maxDifferences is how many differences of one request are told.
const maxDifferences = 20

// compare finds where two answers differ.
func compare(was, is []output, o Options) (all []Difference) {
	add := func(d Difference) bool {
		all = append(all, d)
		return len(all) < maxDifferences
	}
	for i := range was {
		w := &was[i]
		n := slices.IndexFunc(is, func(o output) bool { return o.name == w.name })
		if n < 0 {
			if !add(Difference{w.name, -1, "there", "missing"}) {
				return all
			}
			continue
		}
		if !w.compare(&is[n].tensor, o, add) {
			return all
		}
	}
	for i := range is {
		if !slices.ContainsFunc(was, func(o output) bool { return o.name == is[i].name }) && !add(Difference{is[i].name, -1, "missing", "there"}) {
			return all
		}
	}
	return all
}

// compare tells add of each difference, as long as it wants to hear of them.
func (t *output) compare(is *tensor, o Options, add func(Difference) bool) bool {
	switch {
	case t.datatype != is.datatype:
		return add(Difference{t.name, -1, t.datatype, is.datatype})
	case len(t.texts) != len(is.texts):
		return add(Difference{t.name, -1, fmt.Sprint(len(t.texts), " texts"), fmt.Sprint(len(is.texts), " texts")})
	case len(t.numbers) != len(is.numbers):
		return add(Difference{t.name, -1, fmt.Sprint(len(t.numbers), " numbers"), fmt.Sprint(len(is.numbers), " numbers")})
	}
	for i, text := range t.texts {
		if text != is.texts[i] {
			was, now := around(text, is.texts[i])
			if !add(Difference{t.name, i, was, now}) {
				return false
			}
		}
	}
	for i, v := range t.numbers {
		if !o.close(v, is.numbers[i]) && !add(Difference{t.name, i, fmt.Sprint(v), fmt.Sprint(is.numbers[i])}) {
			return false
		}
	}
	return true
}

// close tells whether two numbers are the same, as far as asked for.
func (o Options) close(a, b float64) bool {
	if a == b || math.IsNaN(a) && math.IsNaN(b) {
		return true
	}
	d := math.Abs(a - b)
	return d <= o.Absolute || d <= o.Relative*max(math.Abs(a), math.Abs(b)) && !math.IsInf(d, 0)
}

const (
	// shownAround is how much of what two texts share is shown on either side of where
	// they differ, shownMiddle how much of that, in bytes.
	shownAround = 40
	shownMiddle = 400
)

// around cuts two texts to where they differ, and a little more.
func around(a, b string) (string, string) {
	before := 0
	for before < min(len(a), len(b)) && a[before] == b[before] {
		before++
	}
	after := 0
	for after < min(len(a), len(b))-before && a[len(a)-1-after] == b[len(b)-1-after] {
		after++
	}
	return piece(a, before, len(a)-after), piece(b, before, len(b)-after)
}

func piece(text string, from, to int) string {
	begin, end := max(from-shownAround, 0), min(to+shownAround, len(text))
	dots, more := "", ""
	if begin > 0 {
		dots = "…"
	}
	if end-begin > shownMiddle {
		end = begin + shownMiddle
	}
	if end < len(text) {
		more = "…"
	}
	return dots + strings.ToValidUTF8(text[begin:end], "") + more
}
