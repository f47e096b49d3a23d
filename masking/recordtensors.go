package masking

import (
	"context"
	"math"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// recorded is a tensor with text: its elements, those of raw data first.
type recorded struct {
	name  string
	elems [][]byte
	raw   int // how many of elems are raw data
	at    int // whose raw data it is; negative without
	typed *pb.InferTensorContents
}

// put writes the elements back.
func (t *recorded) put(raws [][]byte) {
	if t.at >= 0 {
		raws[t.at] = appendElements(nil, t.elems[:t.raw])
	}
	if t.typed != nil {
		t.typed.BytesContents = t.elems[t.raw:]
	}
}

// tensorMessage is an input or an output.
type tensorMessage interface {
	GetName() string
	GetDatatype() string
	GetShape() []int64
	GetParameters() map[string]*pb.InferParameter
	GetContents() *pb.InferTensorContents
}

// hiddenInputs are inputs that hold a text in another form, as sideChannels are
// outputs that do.
var hiddenInputs = map[string]bool{"input_ids": true, "prompt_token_ids": true}

// inputs are the texts of a request's tensors. Inputs that hold a text in
// another form are taken out.
func (r *Recording) inputs(req *pb.ModelInferRequest) (texts []*recorded, refused *access.Error) {
	hidden := func(name string) bool { return (hiddenInputs[name] || sideChannels[name]) && !r.names(name) }
	req.Inputs, req.RawInputContents, texts, refused = tensorsOf(r, req.Inputs, req.RawInputContents, hidden, true)
	return texts, refused
}

// outputs are the texts of an answer's tensors, without those in another form.
func (r *Recording) outputs(resp *pb.ModelInferResponse) (texts []*recorded, refused *access.Error) {
	resp.Outputs, resp.RawOutputContents, texts, refused = tensorsOf(r, resp.Outputs, resp.RawOutputContents, r.hides, false)
	return texts, refused
}

// hides tells whether an output is left out.
func (r *Recording) hides(output string) bool { return sideChannels[output] && !r.names(output) }

// tensorsOf goes through a message's tensors and their raw data, of which one in
// shared memory may have none. It keeps those that are not hidden.
func tensorsOf[T tensorMessage](r *Recording, all []T, raws [][]byte, hidden func(string) bool, sharedHaveNone bool) (
	keep []T, keepRaws [][]byte, texts []*recorded, refused *access.Error,
) {
	next := 0
	for _, one := range all {
		_, shared := one.GetParameters()[regionKey]
		var data []byte
		has := len(raws) > 0 && (!shared || !sharedHaveNone)
		if has {
			if next == len(raws) {
				return nil, nil, nil, r.cannot("it is not known which raw data is whose")
			}
			data = raws[next]
			next++
		}
		if hidden(one.GetName()) {
			continue
		}
		at := -1
		if keep = append(keep, one); has {
			at = len(keepRaws)
			keepRaws = append(keepRaws, data)
		}
		t, refused := r.tensor(one, data, at)
		if refused != nil {
			return nil, nil, nil, refused
		}
		if t != nil {
			texts = append(texts, t)
		}
	}
	if next != len(raws) {
		return nil, nil, nil, r.cannot("it is not known which raw data is whose")
	}
	return keep, keepRaws, texts, nil
}

// Why a tensor can't be masked.
const (
	otherLength    = "a tensor has data of another length than its datatype and its shape say"
	brokenElements = "the data of a tensor of text ends within an element"
)

// tensor finds the text of a tensor: nil if it has none.
func (r *Recording) tensor(of tensorMessage, data []byte, at int) (*recorded, *access.Error) {
	t := &recorded{name: of.GetName(), at: -1, typed: of.GetContents()}
	typ := wire.ParseDatatype(of.GetDatatype())
	switch {
	case typ == wire.UnknownType && len(data) > 0:
		return nil, r.cannot("a tensor is of a datatype that is not known")
	case typ != wire.Bytes && !sized(of.GetShape(), typ, len(data)):
		return nil, r.cannot(otherLength)
	case typ == wire.Bytes && at >= 0:
		n, whole := countElements(data)
		if !whole {
			return nil, r.cannot(brokenElements)
		}
		t.at, t.raw, t.elems = at, n, make([][]byte, n)
		for i := range t.elems {
			t.elems[i], data = nextElement(data)
		}
	}
	// Elements of text may stand in tensors of numbers all the same.
	t.elems = append(t.elems, t.typed.GetBytesContents()...)
	if len(t.elems) == 0 {
		return nil, nil
	}
	return t, nil
}

// sized tells whether n bytes are what a shape of numbers has, or none.
func sized(shape []int64, typ wire.Datatype, n int) bool {
	count := int64(typ.Size())
	for _, dim := range shape {
		if dim < 0 || count > 0 && dim > math.MaxInt32/count {
			return n == 0
		}
		count *= dim
	}
	return n == 0 || int64(n) == count
}

// bytes is Unary or Mask of an encoded answer: of what no text is looked for in,
// whose answers are each by themselves.
func (p *Plan) bytes(ctx context.Context, message []byte, stream bool) ([]byte, *access.Error) {
	m := wire.FromBytes(message)
	defer m.Free()
	var out *wire.Message
	var refused *access.Error
	if stream {
		_, out, refused = p.Answers(Facts{}).Mask(ctx, m)
	} else {
		out, refused = p.Unary(ctx, m, nil)
	}
	if refused != nil || out == m {
		return message, refused
	}
	defer out.Free()
	return out.Buffers().Materialize(), nil
}
