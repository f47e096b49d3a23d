package generate

import (
	"encoding/binary"
	"encoding/json"
	"slices"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers of the answers' messages (proto/inference).
const (
	fieldError    = 1 // of ModelStreamInferResponse
	fieldResponse = 2

	fieldModelName    = 1 // of ModelInferResponse
	fieldModelVersion = 2
	fieldID           = 3
	fieldParameters   = 4
	fieldOutputs      = 5
	fieldRaw          = 6

	fieldTensorName = 1 // of its outputs
	fieldDatatype   = 2
	fieldShape      = 3

	fieldKey         = 1 // of the parameters' entries
	fieldValue       = 2
	fieldBoolParam   = 1 // of InferParameter
	fieldStringParam = 3
)

const (
	finalKey  = "triton_final_response"
	reasonKey = "sluice_reason"
)

// Entries of ModelInferResponse.parameters, written once.
var (
	finalEntry    = appendBoolParameter(nil, finalKey, true)
	notFinalEntry = appendBoolParameter(nil, finalKey, false)
)

func appendBoolParameter(dst []byte, key string, v bool) []byte {
	var value []byte
	value = protowire.AppendTag(value, fieldBoolParam, protowire.VarintType)
	value = protowire.AppendVarint(value, protowire.EncodeBool(v))
	return appendEntry(dst, key, value)
}

func appendTextParameter(dst []byte, key, v string) []byte {
	return appendEntry(dst, key, appendString(nil, fieldStringParam, v))
}

func appendEntry(dst []byte, key string, value []byte) []byte {
	entry := appendString(nil, fieldKey, key)
	entry = appendBytes(entry, fieldValue, value)
	return appendBytes(dst, fieldParameters, entry)
}

func appendString(dst []byte, num protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(dst, num, protowire.BytesType), s)
}

func appendBytes(dst []byte, num protowire.Number, b []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(dst, num, protowire.BytesType), b)
}

// encoder writes the answers to one request. What is the same in all of them is
// written once; the rest is appended by hand, for it is done for each token.
type encoder struct {
	head    []byte // model, version, id
	tail    []byte // the outputs' descriptions
	outputs []tensor
	streams bool // answers are ModelStreamInferResponse
	body    []byte
	raw     []byte
}

// step is the data of one answer: a value for each sequence in each output.
type step struct {
	texts      []string
	finish     []string
	cumulative []float64
	logprobs   [][]byte
	input      uint32
	output     []uint32
	vectors    [][]float32
	dims       int
}

func newEncoder(j *job, streams bool, n int) *encoder {
	e := &encoder{outputs: j.outputs, streams: streams}
	e.head = appendString(e.head, fieldModelName, j.model)
	e.head = appendString(e.head, fieldModelVersion, Version)
	if j.id != "" {
		e.head = appendString(e.head, fieldID, j.id)
	}
	for _, t := range e.outputs {
		if t.name != outEmbedding {
			e.tail = appendOutput(e.tail, t, int64(max(1, n)))
		}
	}
	return e
}

// appendOutput appends the description of one output; a count has one element
// unless it is one for each sequence.
func appendOutput(dst []byte, t tensor, shape ...int64) []byte {
	if t.dim > 0 {
		shape = []int64{t.dim}
	}
	d := appendString(nil, fieldTensorName, t.name)
	d = appendString(d, fieldDatatype, t.datatype)
	var dims []byte
	for _, n := range shape {
		dims = protowire.AppendVarint(dims, uint64(n)) //nolint:gosec // not negative
	}
	d = appendBytes(d, fieldShape, dims)
	return appendBytes(dst, fieldOutputs, d)
}

// answer returns the message for one step, in memory of its own.
func (e *encoder) answer(s *step, final bool) []byte {
	b := append(e.body[:0], e.head...)
	if e.streams {
		if final {
			b = append(b, finalEntry...)
		} else {
			b = append(b, notFinalEntry...)
		}
	}
	b = append(b, e.tail...)
	for _, t := range e.outputs {
		if t.name != outEmbedding {
			e.raw = s.append(e.raw[:0], t.name)
			b = appendBytes(b, fieldRaw, e.raw)
		}
	}
	if s.vectors != nil {
		b = e.appendVectors(b, s)
	}
	e.body = b
	if !e.streams {
		return slices.Clone(b)
	}
	out := make([]byte, 0, len(b)+1+binary.MaxVarintLen32)
	return appendBytes(out, fieldResponse, b)
}

// appendVectors writes the embedding last, for the others' places in the raw
// contents are those of their descriptions.
func (e *encoder) appendVectors(b []byte, s *step) []byte {
	i := slices.IndexFunc(e.outputs, func(t tensor) bool { return t.name == outEmbedding })
	if i < 0 {
		return b
	}
	b = appendOutput(b, e.outputs[i], int64(len(s.vectors)), int64(s.dims))
	b = protowire.AppendTag(b, fieldRaw, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(4*s.dims*len(s.vectors)))
	for _, v := range s.vectors {
		for _, f := range v {
			b = appendFloat(b, f)
		}
	}
	return b
}

// append appends the raw data of one output.
func (s *step) append(dst []byte, output string) []byte {
	switch output {
	case outText:
		for _, t := range s.texts {
			dst = appendText(dst, t)
		}
	case outFinishReason:
		for _, f := range s.finish {
			if f == "" {
				f = "None" // as Python writes it
			}
			dst = appendText(dst, f)
		}
	case outCumulative:
		for _, f := range s.cumulative {
			dst = appendFloat(dst, float32(f))
		}
	case outLogprobs:
		for _, l := range s.logprobs {
			if l == nil {
				l = []byte("null")
			}
			dst = appendText(dst, string(l))
		}
	case outNumInputTokens:
		dst = binary.LittleEndian.AppendUint32(dst, s.input)
	case outNumOutputTokens:
		for _, n := range s.output {
			dst = binary.LittleEndian.AppendUint32(dst, n)
		}
	}
	return dst
}

// failure returns the message of a stream that says that a request failed. own
// tells that it was Sluice that refused it: such an answer has the id alone, as
// those have that Triton makes before execution.
func failure(id, model, text, reason string, own bool) []byte {
	var resp []byte
	if !own {
		resp = appendString(resp, fieldModelName, model)
	}
	if id != "" {
		resp = appendString(resp, fieldID, id)
	}
	resp = append(resp, finalEntry...)
	if own && reason != "" {
		resp = appendTextParameter(resp, reasonKey, reason)
	}
	return appendBytes(appendString(nil, fieldError, text), fieldResponse, resp)
}

// appendLogprobs appends the tokens to the list that Triton's backend writes:
// [{"<token id>":{"logprob":…,"rank":…,"decoded_token":…},…},…]. A token
// whose number the server does not tell stands under its text; one whose rank is
// not known has null.
func appendLogprobs(dst []byte, tokens []TokenLogprobs) []byte {
	if len(dst) == 0 {
		dst = append(dst, '[')
	} else {
		dst = append(dst[:len(dst)-1], ", "...)
	}
	for i, token := range tokens {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = appendToken(dst, token)
	}
	return append(dst, ']')
}

func appendToken(dst []byte, token TokenLogprobs) []byte {
	dst = append(dst, '{')
	seen := make(map[string]bool, len(token))
	for i, l := range token {
		key := l.Token
		if l.ID >= 0 {
			key = strconv.Itoa(l.ID)
		}
		if seen[key] {
			continue
		}
		seen[key] = true
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = appendJSON(dst, key)
		dst = append(dst, `: {"logprob": `...)
		dst = strconv.AppendFloat(dst, l.Value, 'g', -1, 64)
		dst = append(dst, `, "rank": `...)
		if rank := rankOf(token, i); rank > 0 {
			dst = strconv.AppendInt(dst, int64(rank), 10)
		} else {
			dst = append(dst, "null"...)
		}
		dst = append(dst, `, "decoded_token": `...)
		dst = appendJSON(dst, l.Token)
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

// rankOf is the place of a token among all by probability, or 0 where it can't be
// told: the chosen token's, where it is not among the likeliest that are listed.
func rankOf(token TokenLogprobs, i int) int {
	rest := token[1:]
	if i == 0 && !slices.ContainsFunc(rest, func(l Logprob) bool { return l.ID == token[0].ID && l.Token == token[0].Token }) {
		return 0
	}
	rank := 1
	for _, l := range rest {
		if l.Value > token[i].Value {
			rank++
		}
	}
	return rank
}

func appendJSON(dst []byte, s string) []byte {
	b, _ := json.Marshal(s) //nolint:errchkjson // a string has no error
	return append(dst, b...)
}
