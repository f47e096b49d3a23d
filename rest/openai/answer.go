package openai

import (
	"encoding/binary"
	"math"
	"net/http"

	pb "github.com/sluice-gateway/sluice/gen/inference"
)

// Answer is one answer of a model, by output.
type Answer struct{ outputs map[string]output }

type output struct {
	texts  [][]byte
	floats []float32
	counts []uint32
}

// unreadable is an answer that is not what the interface says.
func unreadable() *Error {
	return &Error{Status: http.StatusInternalServerError, Message: "the model's answer can't be read"}
}

// maxSequences bounds how many elements an output may have.
const maxSequences = 4096

// ReadAnswer takes an answer apart. Outputs that the routes have no use for are
// left out.
func ReadAnswer(resp *pb.ModelInferResponse) (*Answer, *Error) {
	a := &Answer{outputs: make(map[string]output, len(resp.GetOutputs()))}
	for i, t := range resp.GetOutputs() {
		var raw []byte
		if i < len(resp.GetRawOutputContents()) {
			raw = resp.GetRawOutputContents()[i]
		}
		o, err := readOutput(t, raw)
		if err != nil {
			return nil, unreadable()
		}
		a.outputs[t.GetName()] = o
	}
	return a, nil
}

func readOutput(t *pb.ModelInferResponse_InferOutputTensor, raw []byte) (o output, err error) {
	c := t.GetContents()
	switch t.GetDatatype() {
	case "BYTES":
		o.texts = c.GetBytesContents()
		if c == nil {
			o.texts, err = elements(raw)
		}
	case "FP32":
		o.floats = c.GetFp32Contents()
		for ; len(raw) >= 4; raw = raw[4:] {
			o.floats = append(o.floats, math.Float32frombits(binary.LittleEndian.Uint32(raw)))
		}
	case "UINT32":
		o.counts = c.GetUintContents()
		for ; len(raw) >= 4; raw = raw[4:] {
			o.counts = append(o.counts, binary.LittleEndian.Uint32(raw))
		}
	}
	if len(o.texts) > maxSequences {
		err = errShort
	}
	return o, err
}

// Empty tells whether the answer holds no outputs: it says only that there are no
// more.
func (a *Answer) Empty() bool { return len(a.outputs) == 0 }

func (a *Answer) texts(name string) [][]byte    { return a.outputs[name].texts }
func (a *Answer) floats(name string) []float32  { return a.outputs[name].floats }
func (a *Answer) numbers(name string) []uint32  { return a.outputs[name].counts }
func (a *Answer) number(name string) (n uint32) { return first(a.numbers(name)) }

func first(all []uint32) uint32 {
	if len(all) == 0 {
		return 0
	}
	return all[0]
}
