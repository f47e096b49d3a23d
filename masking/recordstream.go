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
	s := &streamRun{recordRun: r.run(ctx, found), texts: map[textPlace]*streamText{}}
	answers := make([]streamAnswer, len(out))
	for i := range out {
		if refused := s.read(out[i], &answers[i]); refused != nil {
			return nil, refused
		}
	}
	for _, text := range s.order {
		if refused := s.text(text.chunks, s.mode(text.output), ended); refused != nil {
			return nil, refused
		}
	}
	for i := range out {
		var refused *access.Error
		if out[i], refused = s.written(out[i], &answers[i]); refused != nil {
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

// streamText is a text, and its chunks in all answers.
type streamText struct {
	textPlace
	chunks []*[]byte
}

// streamRun is the work on the answers of one request.
type streamRun struct {
	*recordRun
	texts map[textPlace]*streamText
	order []*streamText
	likes []*likeness
	free  [][]byte // room for elements
}

// streamAnswer is one of the answers: like others, or decoded by itself.
type streamAnswer struct {
	like  *likeness
	raws  []byte   // its raw data, as it came
	elems [][]byte // of all its outputs of text

	alone   *pb.ModelStreamInferResponse
	tensors []*recorded
}

// textAt finds a text, or begins it.
func (s *streamRun) textAt(at textPlace) *streamText {
	text := s.texts[at]
	if text == nil {
		text = &streamText{textPlace: at}
		s.texts[at], s.order = text, append(s.order, text)
	}
	return text
}

// read takes the texts of an answer.
func (s *streamRun) read(message []byte, into *streamAnswer) *access.Error {
	if done, refused := s.alike(message, into); done || refused != nil {
		return refused
	}
	into.alone = &pb.ModelStreamInferResponse{}
	refused := s.decode(message, into.alone)
	if refused == nil && into.alone.InferResponse != nil {
		into.tensors, refused = s.outputs(into.alone.InferResponse)
	}
	for _, t := range into.tensors {
		for i := range t.elems {
			text := s.textAt(textPlace{t.name, i})
			text.chunks = append(text.chunks, &t.elems[i])
		}
	}
	return refused
}

// written encodes an answer whose texts are masked.
func (s *streamRun) written(message []byte, a *streamAnswer) ([]byte, *access.Error) {
	if a.like != nil {
		return s.put(message, a)
	}
	for _, t := range a.tensors {
		t.put(a.alone.InferResponse.RawOutputContents)
	}
	refused := s.names(&a.alone.ErrorMessage)
	if refused == nil {
		refused = s.answerWords(a.alone.InferResponse)
	}
	if refused != nil {
		return nil, refused
	}
	return s.encode(a.alone)
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
