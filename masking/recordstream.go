package masking

import (
	"bytes"
	"context"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/inference"
)

// Answers masks the ModelStreamInferResponses of one request, all of them and in
// their order: a value that their borders cut is masked in the one that it begins
// in. ended tells that the request came to its end; of one that did not, texts
// lose what could still have become a match.
func (r *Recording) Answers(ctx context.Context, messages [][]byte, ended bool, found Found) ([][]byte, *access.Error) {
	if r == nil {
		return messages, nil
	}
	out := make([][]byte, len(messages))
	for i, m := range messages {
		var refused *access.Error
		if out[i], refused = r.numbers(ctx, m, true); refused != nil {
			return nil, refused
		}
	}
	if r.plan == nil {
		return out, nil
	}
	answers := make([]*pb.ModelStreamInferResponse, len(messages))
	tensors := make([][]*recorded, len(messages))
	for i := range out {
		answers[i] = &pb.ModelStreamInferResponse{}
		refused := r.decode(out[i], answers[i])
		if refused == nil && answers[i].InferResponse != nil {
			tensors[i], refused = r.outputs(answers[i].InferResponse)
		}
		if refused != nil {
			return nil, refused
		}
	}
	w := r.run(ctx, found)
	if refused := w.streams(tensors, ended); refused != nil {
		return nil, refused
	}
	for i, a := range answers {
		for _, t := range tensors[i] {
			t.put(a.InferResponse.RawOutputContents)
		}
		refused := w.names(&a.ErrorMessage)
		if refused == nil {
			refused = w.answerWords(a.InferResponse)
		}
		if refused == nil {
			out[i], refused = r.encode(a)
		}
		if refused != nil {
			return nil, refused
		}
	}
	return out, nil
}

// textPlace is an element of an output, over all answers.
type textPlace struct {
	output string
	index  int
}

// streams masks the texts of all answers.
func (w *recordRun) streams(tensors [][]*recorded, ended bool) *access.Error {
	var order []textPlace
	texts := map[textPlace][]*[]byte{}
	for _, answer := range tensors {
		for _, t := range answer {
			for i := range t.elems {
				at := textPlace{t.name, i}
				if texts[at] == nil {
					order = append(order, at)
				}
				texts[at] = append(texts[at], &t.elems[i])
			}
		}
	}
	for _, at := range order {
		if refused := w.text(texts[at], w.mode(at.output), ended); refused != nil {
			return refused
		}
	}
	return nil
}

// text masks one text of a stream. Where no rule says how its chunks make it up,
// it is looked at in each way that it could be meant.
func (w *recordRun) text(chunks []*[]byte, mode Mode, ended bool) *access.Error {
	switch {
	case mode == Cumulative, mode == "" && grows(chunks):
		return w.cumulative(chunks, ended)
	case mode != Independent:
		if refused := w.joined(chunks, ended); refused != nil || mode == Delta {
			return refused
		}
	}
	for _, c := range chunks {
		if refused := w.alone(c); refused != nil {
			return refused
		}
	}
	return nil
}

// grows tells whether each chunk holds the one before it.
func grows(chunks []*[]byte) bool {
	if len(chunks) < 2 {
		return false
	}
	for i := range len(chunks) - 1 {
		if len(*chunks[i]) == 0 || !bytes.HasPrefix(*chunks[i+1], *chunks[i]) {
			return false
		}
	}
	return true
}
