package generate

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/gen/inference"
)

// The datatypes that the interface has.
const (
	typeBytes  = "BYTES"
	typeBool   = "BOOL"
	typeUint32 = "UINT32"
	typeFloat  = "FP32"
)

// tensor describes one input or output of a model.
type tensor struct {
	name     string
	datatype string
	dim      int64 // -1 is any
	optional bool
}

// input is the data of one input: texts or flags, by its datatype.
type input struct {
	texts [][]byte
	flags []bool
}

// inputs reads a request's inputs, each of which must be one of known. Where
// Triton refuses, the words are Triton's (protocol/servers-observed.md).
func readInputs(req *inference.ModelInferRequest, known []tensor) (map[string]input, *access.Error) {
	raw := req.GetRawInputContents()
	all := make(map[string]input, len(req.GetInputs()))
	for _, in := range req.GetInputs() {
		t := find(known, in.GetName())
		if t == nil {
			return nil, malformed("unexpected inference input %s for model %s", shown(in.GetName()), shown(req.GetModelName()))
		}
		if _, twice := all[t.name]; twice {
			return nil, malformed("input '%s' is there twice", t.name)
		}
		for key := range in.GetParameters() {
			if strings.HasPrefix(key, "shared_memory_") {
				return nil, unsupported("this model's server reads no shared memory; send the data of input '%s' inside the request", t.name)
			}
		}
		if err := t.check(req, in); err != nil {
			return nil, err
		}
		var v input
		var err *access.Error
		switch {
		case in.GetContents() != nil && len(req.GetRawInputContents()) > 0:
			err = malformed("contents field must not be specified when using raw_input_contents for '%s' for model %s", t.name, shown(req.GetModelName()))
		case in.GetContents() != nil:
			v, err = t.typed(in)
		case len(raw) > 0:
			v, err = t.decode(raw[0], in.GetShape()[0])
			raw = raw[1:]
		default:
			err = malformed("unable to find data for input tensor '%s' for model %s in request.", t.name, shown(req.GetModelName()))
		}
		if err != nil {
			return nil, err
		}
		all[t.name] = v
	}
	return all, nil
}

func find(all []tensor, name string) *tensor {
	for i := range all {
		if all[i].name == name {
			return &all[i]
		}
	}
	return nil
}

// check refuses another datatype or shape than the model's.
func (t *tensor) check(req *inference.ModelInferRequest, in *inference.ModelInferRequest_InferInputTensor) *access.Error {
	id := req.GetId()
	if id == "" {
		id = "<id_unknown>"
	}
	if in.GetDatatype() != t.datatype {
		return malformed("[request id: %.64s] inference input '%s' data-type is %s, but model %s expects '%s'", id, t.name, shown(in.GetDatatype()), shown(req.GetModelName()), t.datatype)
	}
	shape := in.GetShape()
	if len(shape) != 1 || shape[0] < 1 || t.dim > 0 && shape[0] != t.dim {
		if len(shape) > 8 {
			shape = shape[:8]
		}
		return malformed("[request id: %.64s] unexpected shape for input '%s' for model %s. Expected [%d], got %v", id, t.name, shown(req.GetModelName()), t.dim, shape)
	}
	return nil
}

// decode reads raw data of n elements.
func (t *tensor) decode(data []byte, n int64) (input, *access.Error) {
	if t.datatype == typeBool {
		if int64(len(data)) != n {
			return input{}, t.wrongSize(n, len(data))
		}
		var v input
		for _, b := range data {
			v.flags = append(v.flags, b != 0)
		}
		return v, nil
	}
	var v input
	for len(data) > 0 {
		if len(data) < 4 {
			return input{}, t.wrongElement()
		}
		size := uint64(binary.LittleEndian.Uint32(data))
		if data = data[4:]; size > uint64(len(data)) || int64(len(v.texts)) == n {
			return input{}, t.wrongElement()
		}
		v.texts = append(v.texts, data[:size])
		data = data[size:]
	}
	if int64(len(v.texts)) != n {
		return input{}, t.wrongElement()
	}
	return v, nil
}

// typed reads typed contents, of which only the tensor's own may be there.
func (t *tensor) typed(in *inference.ModelInferRequest_InferInputTensor) (input, *access.Error) {
	c := in.GetContents()
	others := len(c.GetIntContents()) + len(c.GetInt64Contents()) + len(c.GetUintContents()) + len(c.GetUint64Contents()) + len(c.GetFp32Contents()) + len(c.GetFp64Contents())
	v := input{texts: c.GetBytesContents(), flags: c.GetBoolContents()}
	n := len(v.texts)
	if t.datatype == typeBool {
		n, others = len(v.flags), others+len(v.texts)
	} else {
		others += len(v.flags)
	}
	if others > 0 || int64(n) != in.GetShape()[0] {
		return input{}, malformed("the contents of input '%s' must be %d elements of '%s'", t.name, in.GetShape()[0], t.datatype)
	}
	return v, nil
}

func (t *tensor) wrongSize(want int64, got int) *access.Error {
	return malformed("input byte size mismatch for input '%s'. Expected %d, got %d", t.name, want, got)
}

func (t *tensor) wrongElement() *access.Error {
	return malformed("incomplete string data for inference input '%s': each element is its length in 4 bytes and its bytes, and there are as many as the shape says", t.name)
}

// shown quotes what a caller wrote as Triton does, cut where it is long.
func shown(s string) string {
	if len(s) > 64 {
		return access.Quote(s)
	}
	return "'" + s + "'"
}

func unsupported(format string, args ...any) *access.Error {
	return &access.Error{Kind: access.Unimplemented, Reason: access.ReasonUnsupported, Message: fmt.Sprintf(format, args...)}
}

// appendText appends one BYTES element.
func appendText(dst []byte, s string) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(s))) //nolint:gosec // answers are far below 4 GiB
	return append(dst, s...)
}

func appendFloat(dst []byte, f float32) []byte {
	return binary.LittleEndian.AppendUint32(dst, math.Float32bits(f))
}
