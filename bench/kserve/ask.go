package kserve

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// Service is the gRPC service of KServe v2 as Triton serves it.
const Service = "inference.GRPCInferenceService"

// The full method names that the benchmark calls.
const (
	MethodInfer  = "/" + Service + "/ModelInfer"
	MethodStream = "/" + Service + "/ModelStreamInfer"
)

// Ask is one request: what it carries, and what the backend shall answer. The
// latter travels in the request's parameters, which every proxy passes on.
type Ask struct {
	Model string `json:"model"`
	ID    string `json:"id,omitempty"`
	// Input and Output are the tensors' sizes in bytes, multiples of 4.
	Input  int `json:"input_bytes"`
	Output int `json:"output_bytes"`
	// Tokens is the number of answers on a stream; Interval the time from one
	// to the next, 0 for as fast as they go.
	Tokens   int           `json:"tokens,omitempty"`
	Interval time.Duration `json:"interval_ns,omitempty"`
	// Unique asks for tokens each of which is a word that no other is, and not for
	// prose. Prompts do not carry it.
	Unique bool `json:"unique,omitempty"`
}

// Numbers of the fields of ModelInferRequest, of InferParameter and of a map
// entry (KServe v2, Triton's proto).
const (
	reqModel, reqID, reqParams, reqInputs, reqRaw = 1, 3, 4, 5, 7

	paramInt64             = 2
	entryKey, entryValue   = 1, 2
	keyInput, keyOutput    = "bench_input", "bench_output"
	keyTokens, keyInterval = "bench_tokens", "bench_interval_ns"
	keyUnique              = "bench_unique"
)

// headBytes bounds what ReadAsk looks at: the fields before the tensors.
const headBytes = 4 << 10

// Encode gives the ModelInferRequest for a. Up to a KiB the input is split
// over two INT32 tensors, as Triton's model `simple` has them; more is one
// FP32 tensor.
func (a Ask) Encode() []byte {
	b := make([]byte, 0, a.Input+512)
	b = appendString(b, reqModel, a.Model)
	if a.ID != "" {
		b = appendString(b, reqID, a.ID)
	}
	b = appendParam(b, keyInput, int64(a.Input))
	b = appendParam(b, keyOutput, int64(a.Output))
	if a.Tokens > 0 {
		b = appendParam(b, keyTokens, int64(a.Tokens))
		b = appendParam(b, keyInterval, int64(a.Interval))
	}
	if a.Unique {
		b = appendParam(b, keyUnique, 1)
	}
	if a.Input > 1<<10 {
		b = appendMessage(b, reqInputs, tensor("INPUT0", "FP32", a.Input/4))
		return appendData(b, reqRaw, a.Input)
	}
	half := a.Input / 2
	b = appendMessage(b, reqInputs, tensor("INPUT0", "INT32", half/4))
	b = appendMessage(b, reqInputs, tensor("INPUT1", "INT32", half/4))
	b = appendData(b, reqRaw, half)
	return appendData(b, reqRaw, half)
}

var errNoModel = errors.New("model_name must come before the tensors")

// ReadAsk reads from an encoded request what [Ask.Encode] put in front of its
// tensors. It fails where the message is shorter than its tensors must be.
func ReadAsk(msg mem.BufferSlice) (Ask, error) {
	var a Ask
	b := head(msg)
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 || num >= reqInputs {
			break
		}
		v, m := protowire.ConsumeBytes(b[n:])
		if m < 0 || typ != protowire.BytesType {
			break
		}
		b = b[n+m:]
		switch num {
		case reqModel:
			a.Model = string(v)
		case reqID:
			a.ID = string(v)
		case reqParams:
			a.setParam(v)
		}
	}
	if a.Model == "" {
		return a, errNoModel
	}
	if got := msg.Len(); got < a.Input {
		return a, fmt.Errorf("request of %d bytes cannot hold a tensor of %d", got, a.Input)
	}
	return a, nil
}

func (a *Ask) setParam(entry []byte) {
	key, value := bytesField(entry, entryKey), bytesField(entry, entryValue)
	_, _, n := protowire.ConsumeTag(value)
	if n < 0 {
		return
	}
	v, m := protowire.ConsumeVarint(value[n:])
	if m < 0 {
		return
	}
	switch string(key) {
	case keyInput:
		a.Input = int(v)
	case keyOutput:
		a.Output = int(v)
	case keyTokens:
		a.Tokens = int(v)
	case keyInterval:
		a.Interval = time.Duration(v)
	case keyUnique:
		a.Unique = v != 0
	}
}

// head gives the first bytes of msg as one slice, without a copy where the
// first buffer is large enough.
func head(msg mem.BufferSlice) []byte {
	if len(msg) == 0 {
		return nil
	}
	if first := msg[0].ReadOnlyData(); len(msg) == 1 || len(first) >= headBytes {
		return first
	}
	b := make([]byte, 0, headBytes)
	for _, buf := range msg {
		d := buf.ReadOnlyData()
		b = append(b, d[:min(len(d), headBytes-len(b))]...)
	}
	return b
}
