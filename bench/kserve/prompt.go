package kserve

import (
	"encoding/binary"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Prompt is the ask as text for servers that take nothing else: how many tokens,
// and how far apart.
func (a Ask) Prompt() string {
	return fmt.Sprintf("bench tokens=%d interval=%s", a.Tokens, a.Interval)
}

// ReadPrompt reads what [Ask.Prompt] wrote.
func ReadPrompt(text string) (Ask, error) {
	var a Ask
	var interval string
	if _, err := fmt.Sscanf(text, "bench tokens=%d interval=%s", &a.Tokens, &interval); err != nil {
		return a, fmt.Errorf("prompt %q: %w", text, err)
	}
	var err error
	a.Interval, err = time.ParseDuration(interval)
	return a, err
}

// EncodePrompt gives the ModelInferRequest that asks for the same tokens in the
// tensors of Triton's vLLM backend: a prompt, and that it be streamed.
func (a Ask) EncodePrompt() []byte {
	prompt := a.Prompt()
	b := appendString(nil, reqModel, a.Model)
	if a.ID != "" {
		b = appendString(b, reqID, a.ID)
	}
	b = appendMessage(b, reqInputs, vector("text_input", "BYTES"))
	b = appendMessage(b, reqInputs, vector("stream", "BOOL"))
	b = appendMessage(b, reqRaw, append(binary.LittleEndian.AppendUint32(nil, uint32(len(prompt))), prompt...))
	return appendMessage(b, reqRaw, []byte{1})
}

// vector gives the description of a tensor of shape [1].
func vector(name, datatype string) []byte {
	b := appendString(nil, 1, name)
	b = appendString(b, 2, datatype)
	return appendMessage(b, 3, protowire.AppendVarint(nil, 1))
}
