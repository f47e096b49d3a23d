package masking

import (
	"context"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/masking/detect"
)

// Recording masks what is written down of a model's calls. It knows no
// exceptions: whoever called, each entity of each rule about the model, those of
// rules that only observe too, is looked for in every text of a request and of
// its answers, whichever tensors, elements or JSON paths the rules name.
//
// What can't be masked is an error, and nothing of it may be kept: a message that
// is not understood, a match that blocks, a detector that does not answer. It is
// safe for concurrent use.
type Recording struct {
	model  string
	rules  []*rule       // as they are written
	whole  *Plan         // what is done to tensors of numbers; nil for nothing
	plan   *Plan         // of the rules with entities, as they hold here
	passes []*tensorPlan // the ways in which each text is read, in turn
}

// Found hears of a span that was masked: its entity, and the text that stood
// there, which is valid during the call alone.
type Found = func(entity string, value []byte)

// Record returns how a model's calls are masked for the record; nil where no
// rule is about the model, and they are recorded as they are.
func (p *Policy) Record(model string) *Recording {
	if p == nil || len(p.rules) == 0 {
		return nil
	}
	r, found := p.recordings.get(model)
	if !found {
		r = p.recordings.put(model, p.record(model))
	}
	return r
}

// Record is [Policy.Record] of the policy in force.
func (e *Engine) Record(model string) *Recording { return e.Policy().Record(model) }

// record makes the rules hold for everybody and everywhere. They are others than
// the policy's by the same numbers, so they have a policy of their own.
func (p *Policy) record(model string) *Recording {
	of := p.rulesOf(model)
	if of == nil {
		return nil
	}
	var text, whole []*rule
	asJSON, watching := false, map[*rule]bool{}
	for _, r := range of.rules {
		every := *r
		every.except = nil
		if r.whole {
			whole = append(whole, &every)
			continue
		}
		asJSON = asJSON || r.format == JSON
		every.tensors, every.first, every.last, every.paths = []string{"*"}, 0, maxIndex, nil
		if r.observe && r.action.kind == actionBlock {
			every.action = action{kind: actionRedact} // it blocks nothing, so it keeps nothing out
		}
		// A text that a service has not seen is none to be kept.
		every.observe, every.mode, every.onError = false, "", Block
		if text = append(text, &every); r.observe {
			watching[&every] = true
		}
	}
	// Of two rules that name an entity the first decides: one that enforces it, as for
	// callers.
	slices.SortStableFunc(text, func(a, b *rule) int {
		switch {
		case watching[a] == watching[b]:
			return 0
		case watching[a]:
			return 1
		}
		return -1
	})
	r := &Recording{model: model, rules: of.rules}
	if len(whole) > 0 {
		r.whole = newPlan(&Policy{}, model, whole)
	}
	if len(text) > 0 {
		r.plan = newPlan(&Policy{}, model, text)
		r.passes = r.plan.passes(asJSON)
	}
	return r
}

// passes are the ways to read a text: as JSON, whose strings hide values behind
// escapes, where any rule knows of JSON; and as it stands.
func (p *Plan) passes(asJSON bool) (all []*tensorPlan) {
	if asJSON {
		t := &tensorPlan{plan: p, text: p.text, format: JSON, full: p.words.full}
		for _, r := range p.text {
			for i := range r.entities {
				t.paths = append(t.paths, r.entities[i].paths...)
			}
		}
		all = append(all, t)
	}
	return append(all, p.words)
}

// Text masks one text by itself: an error's, or a value that the record itself
// shows.
func (r *Recording) Text(ctx context.Context, text string, found Found) (string, *access.Error) {
	if r == nil || r.plan == nil {
		return text, nil
	}
	b := []byte(text)
	refused := r.run(ctx, found).alone(&b)
	return string(b), refused
}

// Name masks a short text that a record shows: an id, a tensor's name. It asks no
// analyzer service; where nothing is found it allocates little.
func (r *Recording) Name(text string) string {
	if r == nil || r.plan == nil {
		return text
	}
	set := r.plan.words.full
	if set.detect == nil {
		return text
	}
	var few [8]detect.Match
	out, at := "", 0
	for _, m := range set.detect.Find([]byte(text), few[:0]) {
		out, at = out+text[at:m.Start]+"["+set.uses[m.Index].entity+"]", m.End
	}
	return out + text[at:]
}

// Request masks a ModelInferRequest, and returns it encoded anew, without the
// fields that nobody here knows.
func (r *Recording) Request(ctx context.Context, message []byte, found Found) ([]byte, *access.Error) {
	if r == nil || r.plan == nil {
		return message, nil
	}
	req := &pb.ModelInferRequest{}
	if refused := r.decode(message, req); refused != nil {
		return nil, refused
	}
	tensors, refused := r.inputs(req)
	if refused != nil {
		return nil, refused
	}
	w := r.run(ctx, found)
	if refused := w.all(tensors, req.RawInputContents); refused != nil {
		return nil, refused
	}
	if refused := w.requestWords(req); refused != nil {
		return nil, refused
	}
	return r.encode(req)
}

// Answer masks the ModelInferResponse of a unary call.
func (r *Recording) Answer(ctx context.Context, message []byte, found Found) ([]byte, *access.Error) {
	if r == nil {
		return message, nil
	}
	message, refused := r.numbers(ctx, message, false)
	if refused != nil || r.plan == nil {
		return message, refused
	}
	resp := &pb.ModelInferResponse{}
	if refused := r.decode(message, resp); refused != nil {
		return nil, refused
	}
	tensors, refused := r.outputs(resp)
	if refused != nil {
		return nil, refused
	}
	w := r.run(ctx, found)
	if refused := w.all(tensors, resp.RawOutputContents); refused != nil {
		return nil, refused
	}
	if refused := w.answerWords(resp); refused != nil {
		return nil, refused
	}
	return r.encode(resp)
}

// Message masks a message that is no inference, of a protobuf type by its name:
// each string and each value of bytes in it is a text.
func (r *Recording) Message(ctx context.Context, name string, message []byte, found Found) ([]byte, *access.Error) {
	if r == nil || r.plan == nil {
		return message, nil
	}
	typ, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(name))
	if err != nil {
		return nil, r.cannot("its type is not known")
	}
	m := typ.New().Interface()
	if refused := r.decode(message, m); refused != nil {
		return nil, refused
	}
	if refused := r.run(ctx, found).message(m.ProtoReflect()); refused != nil {
		return nil, refused
	}
	return r.encode(m)
}

// decode reads a message as protobuf does, and drops what is unknown in it.
func (r *Recording) decode(message []byte, into proto.Message) *access.Error {
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(message, into); err != nil {
		return r.cannot("it can't be read")
	}
	return nil
}

// encode encodes what has been masked.
func (r *Recording) encode(m proto.Message) ([]byte, *access.Error) {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, r.cannot("it is not text where text has to be")
	}
	return b, nil
}

// numbers does to tensors of numbers what rules say about them.
func (r *Recording) numbers(ctx context.Context, message []byte, stream bool) ([]byte, *access.Error) {
	if r.whole == nil {
		return message, nil
	}
	return r.whole.bytes(ctx, message, stream)
}

// cannot is why something is not recorded.
func (r *Recording) cannot(why string) *access.Error {
	return &access.Error{Kind: access.PermissionDenied, Reason: access.ReasonMasking, Message: "it can't be masked for the record: " + why}
}

// names tells whether a rule names an output itself.
func (r *Recording) names(output string) bool {
	return slices.ContainsFunc(r.rules, func(one *rule) bool { return one.names(output) })
}

// mode is how the answers make up the text of an output; "" where no rule says
// it, or two rules say different things.
func (r *Recording) mode(output string) (mode Mode) {
	for _, one := range r.rules {
		if one.mode == "" || !one.covers(output) {
			continue
		}
		if mode != "" && mode != one.mode {
			return ""
		}
		mode = one.mode
	}
	return mode
}
