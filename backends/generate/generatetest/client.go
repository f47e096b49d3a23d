package generatetest

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"testing"

	"google.golang.org/grpc"

	pb "github.com/sluice-gateway/sluice/gen/inference"
)

// Ask builds a request of the vLLM tensor interface. Inputs are text (a BYTES
// element), bool, or []string.
func Ask(model, id string, inputs map[string]any) *pb.ModelInferRequest {
	req := &pb.ModelInferRequest{ModelName: model, Id: id}
	for name, v := range inputs {
		in := &pb.ModelInferRequest_InferInputTensor{Name: name, Datatype: "BYTES", Shape: []int64{1}}
		var raw []byte
		switch v := v.(type) {
		case string:
			raw = element(nil, v)
		case []string:
			in.Shape[0] = int64(len(v))
			for _, s := range v {
				raw = element(raw, s)
			}
		case bool:
			in.Datatype, raw = "BOOL", []byte{0}
			if v {
				raw[0] = 1
			}
		}
		req.Inputs = append(req.Inputs, in)
		req.RawInputContents = append(req.RawInputContents, raw)
	}
	return req
}

func element(dst []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint32(dst, uint32(len(s))), s...) //nolint:gosec // a test's
}

// Answer is one answer, decoded.
type Answer struct {
	ID, Model, Version string
	Error              string
	Reason             string // sluice_reason
	Final              bool
	HasFinal           bool // the answer has triton_final_response
	Texts              map[string][]string
	Floats             map[string][]float32
	Counts             map[string][]uint32
	Shapes             map[string][]int64
}

// Text is the text of the first sequence.
func (a *Answer) Text() string {
	if t := a.Texts["text_output"]; len(t) > 0 {
		return t[0]
	}
	return ""
}

// Decode reads a response's outputs.
func Decode(t testing.TB, r *pb.ModelInferResponse) *Answer {
	t.Helper()
	a := &Answer{
		ID: r.GetId(), Model: r.GetModelName(), Version: r.GetModelVersion(),
		Texts: map[string][]string{}, Floats: map[string][]float32{}, Counts: map[string][]uint32{}, Shapes: map[string][]int64{},
	}
	if p, ok := r.GetParameters()["triton_final_response"]; ok {
		a.HasFinal, a.Final = true, p.GetBoolParam()
	}
	a.Reason = r.GetParameters()["sluice_reason"].GetStringParam()
	if len(r.GetOutputs()) != len(r.GetRawOutputContents()) {
		t.Fatalf("%d outputs, %d raw contents", len(r.GetOutputs()), len(r.GetRawOutputContents()))
	}
	for i, o := range r.GetOutputs() {
		raw := r.GetRawOutputContents()[i]
		a.Shapes[o.GetName()] = o.GetShape()
		switch o.GetDatatype() {
		case "BYTES":
			for len(raw) >= 4 {
				n := binary.LittleEndian.Uint32(raw)
				a.Texts[o.GetName()] = append(a.Texts[o.GetName()], string(raw[4:4+n]))
				raw = raw[4+n:]
			}
		case "FP32":
			for ; len(raw) >= 4; raw = raw[4:] {
				a.Floats[o.GetName()] = append(a.Floats[o.GetName()], math.Float32frombits(binary.LittleEndian.Uint32(raw)))
			}
		case "UINT32":
			for ; len(raw) >= 4; raw = raw[4:] {
				a.Counts[o.GetName()] = append(a.Counts[o.GetName()], binary.LittleEndian.Uint32(raw))
			}
		}
		if len(raw) > 0 {
			t.Fatalf("%s has %d bytes left over", o.GetName(), len(raw))
		}
	}
	return a
}

// Stream sends requests over one stream, half-closes it, and returns all
// answers and the error that the stream ended with, nil at its good end.
func Stream(ctx context.Context, t testing.TB, conn grpc.ClientConnInterface, requests ...*pb.ModelInferRequest) ([]*Answer, error) {
	t.Helper()
	s, err := pb.NewGRPCInferenceServiceClient(conn).ModelStreamInfer(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range requests {
		if err := s.Send(r); err != nil {
			break
		}
	}
	if err := s.CloseSend(); err != nil {
		return nil, err
	}
	var all []*Answer
	for {
		m, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		a := Decode(t, m.GetInferResponse())
		a.Error = m.GetErrorMessage()
		all = append(all, a)
	}
}

// Infer is one ModelInfer.
func Infer(ctx context.Context, t testing.TB, conn grpc.ClientConnInterface, r *pb.ModelInferRequest) (*Answer, error) {
	t.Helper()
	m, err := pb.NewGRPCInferenceServiceClient(conn).ModelInfer(ctx, r)
	if err != nil {
		return nil, err
	}
	return Decode(t, m), nil
}
