package kserve

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

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

// tokenText is what a token says; its time stamp follows, in so many digits of
// the base 16, so that the token is text in JSON too.
const (
	tokenText = " token "
	stampSize = 16
)

// TokenText gives the text of a token that was due then.
func TokenText(due time.Time) string {
	return fmt.Sprintf("%s%0*x", tokenText, stampSize, due.UnixNano())
}

// Token gives the n-th of a.Tokens answers on a stream, stamped with the time
// at which it was due. As vLLM's does, it holds one BYTES tensor text_output.
func Token(a Ask, n int, due time.Time) *Raw {
	resp := appendAnswerHead(make([]byte, 0, 160), a)
	value := []byte{paramBool << 3, 0}
	if n == a.Tokens-1 {
		value[1] = 1
	}
	entry := appendString(nil, entryKey, "triton_final_response")
	resp = appendMessage(resp, respParams, appendMessage(entry, entryValue, value))
	resp = appendMessage(resp, respOutputs, tensor("text_output", "BYTES", 1))
	said := TokenText(due)
	text := binary.LittleEndian.AppendUint32(nil, uint32(len(said)))
	resp = appendMessage(resp, respRaw, append(text, said...))
	return NewRaw(appendMessage(make([]byte, 0, len(resp)+4), streamResponse, resp))
}

var errToken = errors.New("answer on a stream is an error or no token")

// TokenDue gives the time stamp of a [Token], wherever in the message it is.
func TokenDue(msg mem.BufferSlice) (time.Time, error) {
	b := msg.Materialize()
	if len(b) == 0 || b[0] != streamResponse<<3|byte(protowire.BytesType) {
		return time.Time{}, errToken
	}
	return TextDue(b)
}

// TextDue gives the time stamp of the last token in b.
func TextDue(b []byte) (time.Time, error) {
	at := bytes.LastIndex(b, []byte(tokenText)) + len(tokenText)
	if at < len(tokenText) || len(b) < at+stampSize {
		return time.Time{}, errToken
	}
	ns, err := strconv.ParseInt(string(b[at:at+stampSize]), 16, 64)
	if err != nil {
		return time.Time{}, errToken
	}
	return time.Unix(0, ns), nil
}
