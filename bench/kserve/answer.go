package kserve

import (
	"errors"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// Numbers of the fields of ModelInferResponse and ModelStreamInferResponse.
const (
	respModel, respVersion, respID, respParams, respOutputs, respRaw = 1, 2, 3, 4, 5, 6

	streamError, streamResponse = 1, 2
	paramBool                   = 1
)

// Answers builds the answers to requests. It is safe for concurrent use.
type Answers struct{ data []byte }

// NewAnswers gives answers whose tensors have up to maxOutput bytes.
func NewAnswers(maxOutput int) *Answers { return &Answers{data: pattern(maxOutput)} }

var errOutputSize = errors.New("asked for a larger output than the backend was started with")

// Infer gives the ModelInferResponse to a. Its head is made anew; its tensor
// is the same memory each time.
func (s *Answers) Infer(a Ask) (*Raw, error) {
	if a.Output > len(s.data) {
		return nil, errOutputSize
	}
	b := appendAnswerHead(make([]byte, 0, 160), a)
	b = appendMessage(b, respOutputs, tensor("OUTPUT0", "INT32", a.Output/4))
	b = protowire.AppendTag(b, respRaw, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(a.Output))
	return &Raw{mem.BufferSlice{mem.SliceBuffer(b), mem.SliceBuffer(s.data[:a.Output])}}, nil
}

func appendAnswerHead(b []byte, a Ask) []byte {
	b = appendString(b, respModel, a.Model)
	b = appendString(b, respVersion, "1")
	if a.ID != "" {
		b = appendString(b, respID, a.ID)
	}
	return b
}
