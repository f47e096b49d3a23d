package masking

import (
	"context"
	"encoding/binary"
	"slices"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// head is what an answer says of itself, as the last one from the backend said it.
type head struct{ model, version, id string }

// note remembers the head of an answer. One that is only an error's may be empty.
func (h *head) note(resp wire.InferResponse) {
	for _, f := range []struct {
		to   *string
		from wire.Span
	}{{&h.model, resp.ModelName()}, {&h.version, resp.ModelVersion()}, {&h.id, resp.ID()}} {
		if f.from.Len() > 0 && !f.from.Is(*f.to) {
			*f.to = f.from.String()
		}
	}
}

// flush ends all texts, and makes an answer of what was held of them.
func (s *Answers) flush(ctx context.Context) (*wire.Message, *access.Error) {
	resp := &inference.ModelInferResponse{}
	raw := slices.ContainsFunc(s.tensors, func(one *tensorStream) bool { return one.raw })
	tensors := s.tensors
	s.tensors, s.texts = nil, 0
	for _, one := range tensors {
		texts, refused := one.rest(ctx)
		if refused != nil {
			return nil, refused
		}
		if texts != nil {
			one.answer(resp, texts, raw)
		}
	}
	if len(resp.GetOutputs()) == 0 {
		return nil, nil
	}
	resp.ModelName, resp.ModelVersion, resp.Id = s.head.model, s.head.version, s.head.id
	resp.Parameters = map[string]*inference.InferParameter{
		finalKey: {ParameterChoice: &inference.InferParameter_BoolParam{}},
	}
	m, err := wire.FromProto(&inference.ModelStreamInferResponse{InferResponse: resp})
	if err != nil {
		return nil, exhausted(err)
	}
	return m, nil
}

// rest is what is left of the output's texts; nil if nothing is.
func (s *tensorStream) rest(ctx context.Context) (texts [][]byte, refused *access.Error) {
	some := false
	texts = make([][]byte, len(s.texts))
	for i, x := range s.texts {
		if x == nil {
			continue
		}
		if texts[i], refused = x.rest(ctx, s.mode); refused != nil {
			return nil, refused
		}
		some = some || len(texts[i]) > 0
	}
	if !some {
		return nil, nil
	}
	return texts, nil
}

// answer adds the output to an answer, raw or typed as the backend's are, with
// as many elements.
func (s *tensorStream) answer(resp *inference.ModelInferResponse, texts [][]byte, asRaw bool) {
	out := &inference.ModelInferResponse_InferOutputTensor{Name: s.t.name, Datatype: wire.Bytes.String(), Shape: s.shape}
	resp.Outputs = append(resp.Outputs, out)
	if !asRaw {
		out.Contents = &inference.InferTensorContents{BytesContents: texts}
		return
	}
	var raw []byte
	for _, text := range texts {
		raw = binary.LittleEndian.AppendUint32(raw, uint32(len(text)))
		raw = append(raw, text...)
	}
	resp.RawOutputContents = append(resp.RawOutputContents, raw)
}
