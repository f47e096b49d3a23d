package masking

import (
	"bytes"
	"iter"
	"slices"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/wire"
)

// Facts are what is known of a model, from its configuration.
type Facts struct {
	// Decoupled models may answer a request any number of times.
	Decoupled bool
	// Backend is the configuration's: "vllm".
	Backend string
	// Outputs are the model's outputs and their datatypes; nil if not known.
	Outputs map[string]string
}

// Request refuses what could not be masked: outputs in shared memory, side
// channels of masked text, a classification of numbers that a rule changes, a
// stream whose way of making up texts is not known. The request is not changed.
func (p *Plan) Request(view wire.InferRequest, facts Facts) *access.Error {
	for output := range view.Outputs() {
		if cutOff(output.Name()) {
			return p.cut("output", output.Name())
		}
		if refused := p.requested(output, facts); refused != nil {
			return refused
		}
	}
	if p.guards {
		if refused := p.sideAsked(view); refused != nil {
			return refused
		}
	}
	if !facts.Decoupled {
		return nil
	}
	if view.NumOutputs() == 0 {
		for name, datatype := range facts.Outputs {
			if refused := p.modeKnown(name, datatype, facts); refused != nil {
				return refused
			}
		}
	}
	return nil
}

// requested checks one output that a request asks for by name.
func (p *Plan) requested(output wire.Output, facts Facts) *access.Error {
	t := p.tensor(output.Name())
	name := access.Quote(t.name)
	datatype := facts.Outputs[t.name]
	switch {
	case t.problem != "":
		return p.refused(t.text, "output %s can't be masked: %s", name, t.problem)
	case t.side:
		return p.refused(p.text, "output %s holds the text in another form, which can't be masked; ask for the others by name", name)
	case !t.touches(datatype):
		return nil
	case output.Parameters().Has(regionKey):
		return p.refused(t.rules(), "output %s is masked, so it can't be put into shared memory; ask for it in the answer", name)
	case len(t.whole) > 0 && output.Parameters().Has(classificationKey):
		return p.refused(t.whole, "output %s is masked as numbers, so it can't be classified; ask for the output itself", name)
	case !facts.Decoupled:
		return nil
	}
	return p.modeKnown(t.name, datatype, facts)
}

// touches tells whether anything of an output may be masked; datatype is "" if
// not known.
func (t *tensorPlan) touches(datatype string) bool {
	return len(t.whole) > 0 || len(t.text) > 0 && (t.named || datatype == "" || datatype == wire.Bytes.String())
}

func (t *tensorPlan) rules() []*rule { return append(slices.Clip(t.text), t.whole...) }

// modeKnown refuses a request to a decoupled model of an output of text whose
// answers make up texts nobody knows how.
func (p *Plan) modeKnown(output, datatype string, facts Facts) *access.Error {
	if datatype != "" && datatype != wire.Bytes.String() {
		return nil
	}
	t := p.tensorNamed(output)
	if _, known := t.modeOf(facts); known || len(t.text) == 0 || t.side {
		return nil
	}
	return p.unknownMode(t)
}

func (p *Plan) unknownMode(t *tensorPlan) *access.Error {
	return p.refused(t.text, "output %s is streamed, and it is not known how its answers make up a text: the rule needs the key mode (delta, cumulative or independent)", access.Quote(t.name))
}

// modeOf is how the answers of an output make up texts, and whether that is known.
func (t *tensorPlan) modeOf(facts Facts) (Mode, bool) {
	switch {
	case !facts.Decoupled:
		return Independent, true
	case t.mode != "":
		return t.mode, true
	case facts.Backend == backendVLLM && t.name == textOutput:
		return Delta, true
	case facts.Backend == backendVLLM && t.name == finishReason:
		return Independent, true
	}
	return "", false
}

// sideAsked refuses a request that turns on an output which would be taken out
// of the answers: its text would be computed for nobody, or come another way.
func (p *Plan) sideAsked(view wire.InferRequest) *access.Error {
	odd := view.NumRaw() > 0 && dataFor(view) != view.NumRaw() // it is not known which are whose
	next, stop := iter.Pull(view.Raw())
	defer stop()
	for input := range view.Inputs() {
		if cutOff(input.Name()) {
			return p.cut("input", input.Name())
		}
		shared := input.Parameters().Has(regionKey)
		var raw wire.Span
		if !shared {
			raw, _ = next()
		}
		for key, output := range asksFor {
			if input.Name().Is(key) && p.tensorNamed(output).side && (shared || odd || truthy(input, raw)) {
				return p.refused(p.text, "input %s=true asks for the text in another form (%s), which can't be masked; leave it out", key, output)
			}
		}
	}
	for key, value := range view.Parameters().All() {
		if cutOff(key) {
			return p.cut("parameter", key)
		}
		for name, output := range asksFor {
			if key.Is(name) && p.tensorNamed(output).side && !isFalse(value) {
				return p.refused(p.text, "parameter %s asks for the text in another form (%s), which can't be masked; leave it out", name, output)
			}
		}
	}
	return nil
}

// cutOff tells names that Triton ends at a byte 0 (measured, 2.51): it would read
// another name than rules do.
func cutOff(name wire.Span) bool { return bytes.IndexByte(name.Bytes(), 0) >= 0 }

func (p *Plan) cut(what string, name wire.Span) *access.Error {
	return p.refused(p.rules, "the name of %s %s holds a byte 0, where a server may take it to end; leave it out", what, access.Quote(name.String()))
}

// isFalse tells whether a parameter says no: what is no bool may mean yes.
func isFalse(v wire.Parameter) bool {
	yes, ok := v.Bool()
	return ok && !yes
}

// truthy tells whether an input holds anything but zeros.
func truthy(input wire.Tensor, raw wire.Span) bool {
	for b := range raw.Chunks() {
		if slices.ContainsFunc(b, func(c byte) bool { return c != 0 }) {
			return true
		}
	}
	for t := wire.Bool; t < wire.Bytes; t++ {
		for v := range input.Contents().Numbers(t.String()) {
			if v != 0 {
				return true
			}
		}
	}
	for range input.Contents().Bytes() {
		return true
	}
	return false
}

// dataFor is how many inputs have raw data: those that are not in shared memory.
func dataFor(view wire.InferRequest) (n int) {
	for input := range view.Inputs() {
		if !input.Parameters().Has(regionKey) {
			n++
		}
	}
	return n
}
