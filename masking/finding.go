package masking

import (
	"cmp"
	"context"
	"slices"

	"github.com/sluice-gateway/sluice/access"
)

// Finding is a match in a text, for operators who try their rules.
type Finding struct {
	// Start and End are its place, in bytes.
	Start, End int
	// Entity is what it is, Rule the name of the rule that decides on it.
	Entity, Rule string
	// Action is what is done to it ("redact").
	Action string
	// Observed tells that it is counted only.
	Observed bool
	// Text is what stands in its place.
	Text string
}

// Find tells what would be found in a text that is an element of an output, by
// which rule, and what would be done to it. A rule that blocks ends nothing
// here. The error is that of a detector that could not look at the text, or of an output
// whose rules contradict each other.
func (p *Plan) Find(ctx context.Context, output, text string) ([]Finding, *access.Error) {
	t := p.tensorNamed(output)
	if t.problem != "" {
		return nil, p.refused(t.text, "output %s can't be masked: %s", access.Quote(output), t.problem)
	}
	found := []Finding{}
	k := newMasker(t, 0, nil)
	k.notes = &found
	if refused := k.write(ctx, []byte(text)); refused != nil {
		return nil, refused
	}
	if refused := k.flush(ctx); refused != nil {
		return nil, refused
	}
	slices.SortStableFunc(found, func(a, b Finding) int { return cmp.Compare(a.Start, b.Start) })
	return found, nil
}

// Masks tells whether anything is looked for in the text of an output.
func (p *Plan) Masks(output string) bool { return len(p.tensorNamed(output).text) > 0 }

// Mode tells how the answers of a model make up the text of an output; the
// error says that it is not known.
func (p *Plan) Mode(output string, facts Facts) (Mode, *access.Error) {
	t := p.tensorNamed(output)
	mode, known := t.modeOf(facts)
	if !known {
		return "", p.unknownMode(t)
	}
	return mode, nil
}
