package dialect_test

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/rest/dialect"
	"github.com/sluice-gateway/sluice/wire"
)

// wanted is what a request with these outputs, and more members, wants.
func wanted(t *testing.T, outputs string, more ...string) *dialect.Wanted {
	t.Helper()
	r := &dialect.Infer{Model: "m", JSON: -1}
	if _, err := decode(t, r, inputs(twoFloats, append(more, `,"outputs":[`+outputs+`]`)...)); err != nil {
		t.Fatal(err)
	}
	return &r.Wanted
}

func output(name, datatype string, shape ...int64) *pb.ModelInferResponse_InferOutputTensor {
	return &pb.ModelInferResponse_InferOutputTensor{Name: name, Datatype: datatype, Shape: shape}
}

// le is the raw form of 32-bit floats.
func le(floats ...float32) (b []byte) {
	for _, f := range floats {
		b = append(b, byte(math.Float32bits(f)), byte(math.Float32bits(f)>>8), byte(math.Float32bits(f)>>16), byte(math.Float32bits(f)>>24))
	}
	return b
}

func TestAnAnswerIsWrittenAsTritonWritesIt(t *testing.T) {
	const all = `,"parameters":{"binary_data_output":true}`
	answer := func(raw []byte, outputs ...*pb.ModelInferResponse_InferOutputTensor) *pb.ModelInferResponse {
		return &pb.ModelInferResponse{ModelName: "m", ModelVersion: "1", Outputs: outputs, RawOutputContents: [][]byte{raw}}
	}
	const head, foot = `{"model_name":"m","model_version":"1","outputs":[{"name":"O",`, `}]}`
	for _, c := range []struct {
		name         string
		resp         *pb.ModelInferResponse
		wanted       string
		more         string
		json, binary string
	}{
		{"floats", answer(le(0.1, 2, 1e20, 1e22, 1e-6, 1e-40, float32(math.Copysign(0, -1)), 16777216), output("O", "FP32", 2, 4)), "", "", head + `"datatype":"FP32","shape":[2,4],"data":[0.10000000149011612,2.0,100000002004087730000.0,9.999999778196308e21,9.999999974752427e-7,9.99994610111476e-41,-0.0,16777216.0]` + foot, ""},
		{"no numbers", answer(le(float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))), output("O", "FP32", 3)), "", "", head + `"datatype":"FP32","shape":[3],"data":[NaN,Infinity,-Infinity]` + foot, ""},
		{"BOOL", answer([]byte{0, 1, 2}, output("O", "BOOL", 3)), "", "", head + `"datatype":"BOOL","shape":[3],"data":[false,true,true]` + foot, ""},
		{"64 bits", answer([]byte{0, 0, 0, 0, 0, 0, 0, 128, 255, 255, 255, 255, 255, 255, 255, 127}, output("O", "INT64", 2)), "", "", head + `"datatype":"INT64","shape":[2],"data":[-9223372036854775808,9223372036854775807]` + foot, ""},
		{"64 bits without a sign", answer(bytes.Repeat([]byte{255}, 8), output("O", "UINT64", 1)), "", "", head + `"datatype":"UINT64","shape":[1],"data":[18446744073709551615]` + foot, ""},
		{"narrow ones", answer([]byte{255, 255}, output("O", "INT16", 1)), "", "", head + `"datatype":"INT16","shape":[1],"data":[-1]` + foot, ""},
		{"BYTES", answer([]byte("\x00\x00\x00\x00\x0c\x00\x00\x00a\"\\\n\x01\x1f/\x7fé\xff!"), output("O", "BYTES", 2)), "", "", head + `"datatype":"BYTES","shape":[2],"data":["","a\"\\\n\u0001\u001F/` + "\x7fé\xff" + `!"]` + foot, ""},
		{"nothing", answer(nil, output("O", "FP32", 0)), "", "", head + `"datatype":"FP32","shape":[0],"data":[]` + foot, ""},
		{"a scalar", answer(le(1), output("O", "FP32")), "", "", head + `"datatype":"FP32","shape":[],"data":[1.0]` + foot, ""},
		{"binary", answer([]byte("abcd"), output("O", "FP32", 1)), `{"name":"O","parameters":{"binary_data":true}}`, "", head + `"datatype":"FP32","shape":[1],"parameters":{"binary_data_size":4}` + foot, "abcd"},
		{"binary unless listed", answer([]byte("abcd"), output("O", "FP32", 1)), "", all, head + `"datatype":"FP32","shape":[1],"parameters":{"binary_data_size":4}` + foot, "abcd"},
		{"listed and not binary", answer(le(1), output("O", "FP32", 1)), `{"name":"O"}`, all, head + `"datatype":"FP32","shape":[1],"data":[1.0]` + foot, ""},
		{"FP16 in binary", answer([]byte("ab"), output("O", "FP16", 1)), "", all, head + `"datatype":"FP16","shape":[1],"parameters":{"binary_data_size":2}` + foot, "ab"},
		{"shared memory", answer(nil, output("O", "FP32", 1)), `{"name":"O","parameters":{"shared_memory_region":"r","shared_memory_byte_size":4}}`, all, head + `"datatype":"FP32","shape":[1]` + foot, ""},
		{"an id and parameters", &pb.ModelInferResponse{ModelName: "m", ModelVersion: "1", Id: `"`, Parameters: map[string]*pb.InferParameter{
			"b": {ParameterChoice: &pb.InferParameter_BoolParam{BoolParam: true}}, "a": {ParameterChoice: &pb.InferParameter_Int64Param{Int64Param: -1}},
			"d": {ParameterChoice: &pb.InferParameter_DoubleParam{DoubleParam: 0.5}}, "c": {ParameterChoice: &pb.InferParameter_StringParam{StringParam: "s"}},
			"e": {ParameterChoice: &pb.InferParameter_Uint64Param{Uint64Param: 1 << 63}}, "f": {},
		}}, "", "", `{"id":"\"","model_name":"m","model_version":"1","parameters":{"a":-1,"b":true,"c":"s","d":0.5,"e":9223372036854775808,"f":null},"outputs":[]}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			checkBuffers(t)
			json, binary, err := encode(t, c.resp, wanted(t, c.wanted, c.more))
			if err != nil || json != c.json || binary != c.binary {
				t.Errorf("got  %s %q %v\nwant %s %q", json, binary, err, c.json, c.binary)
			}
		})
	}
}

func TestAnswersThatCannotBeWritten(t *testing.T) {
	for _, c := range []struct {
		name   string
		output *pb.ModelInferResponse_InferOutputTensor
		raw    []byte
		want   string
	}{
		{"FP16", output("O", "FP16", 1), []byte("ab"), "sending FP16 data via JSON is not supported. Please use the binary data format for output"},
		{"BF16", output("O", "BF16", 1), []byte("ab"), "sending BF16 data via JSON is not supported. Please use the binary data format for output"},
		{"an unknown type", output("O", "X", 1), []byte("ab"), "Invalid data type for output tensor"},
		{"too little", output("O", "FP32", 2), le(1), "Failed to write 'data' field: output tensor shape does not match size of output for 'O'"},
		{"too much", output("O", "FP32", 1), le(1, 2), "Failed to write 'data' field: output tensor shape does not match size of output for 'O'"},
		{"half an element", output("O", "FP32", 1), []byte("abc"), "Failed to write 'data' field: output tensor shape does not match size of output for 'O'"},
		{"a shape that overflows", output("O", "FP32", 1<<62, 1<<62), le(1), "Failed to write 'data' field: output tensor shape does not match size of output for 'O'"},
		{"a negative shape", output("O", "FP32", -1), le(1), "Failed to write 'data' field: output tensor shape does not match size of output for 'O'"},
		{"a lying length", output("O", "BYTES", 1), []byte("\xff\xff\xff\xffab"), "output tensor shape does not match size of output for 'O'"},
		{"a length cut off", output("O", "BYTES", 1), []byte("\x01\x00"), "output tensor shape does not match size of output for 'O'"},
		{"other many elements", output("O", "BYTES", 2), []byte("\x01\x00\x00\x00a"), "output tensor shape does not match size of output for 'O'"},
		{"typed contents", &pb.ModelInferResponse_InferOutputTensor{Name: "O", Datatype: "FP32", Shape: []int64{1}, Contents: &pb.InferTensorContents{Fp32Contents: []float32{1}}}, nil, "the server's answer holds output 'O' in a form that this endpoint can't read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp := &pb.ModelInferResponse{Outputs: []*pb.ModelInferResponse_InferOutputTensor{c.output}}
			if c.raw != nil {
				resp.RawOutputContents = [][]byte{c.raw}
			}
			if _, _, err := encode(t, resp, new(dialect.Wanted)); err == nil || err.Error() != c.want {
				t.Errorf("got %v", err)
			}
		})
	}
}

// cutUp is a message over buffers of the given sizes, the last taking the rest.
func cutUp(b []byte, sizes ...byte) *wire.Message {
	var bufs mem.BufferSlice
	for _, n := range sizes {
		n := min(int(n), len(b))
		bufs = append(bufs, mem.SliceBuffer(b[:n]))
		b = b[n:]
	}
	return wire.New(append(bufs, mem.SliceBuffer(b)))
}

// written is an answer's JSON and binary data, or the error.
func written(m *wire.Message, w *dialect.Wanted) (string, error) {
	a, err := dialect.NewAnswer(m, w)
	if err != nil {
		return "", err
	}
	var all bytes.Buffer
	p := dialect.NewPage(make([]byte, 256), func(b []byte) error { all.Write(b); return nil })
	if err := a.JSON(p); err != nil {
		return "", err
	}
	all.Write(p.Rest())
	err = a.WriteBinary(&all)
	return all.String(), err
}

// TestHowAnAnswerIsCutMakesNoDifference: elements and strings that straddle
// buffers, and pages smaller than they are.
func TestHowAnAnswerIsCutMakesNoDifference(t *testing.T) {
	raw, err := proto.Marshal(&pb.ModelInferResponse{
		ModelName: "m", ModelVersion: "1", Id: "id", Parameters: map[string]*pb.InferParameter{"p": {ParameterChoice: &pb.InferParameter_DoubleParam{DoubleParam: 1.25}}},
		Outputs:           []*pb.ModelInferResponse_InferOutputTensor{output("A", "FP64", 3), output("B", "BYTES", 2), output("C", "INT16", 2)},
		RawOutputContents: [][]byte{bytes.Repeat([]byte{1, 2, 3, 4, 5, 6, 7, 64}, 3), []byte("\x03\x00\x00\x00a\"b\x02\x00\x00\x00cd"), {1, 2, 3, 4}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []*dialect.Wanted{new(dialect.Wanted), wanted(t, "", `,"parameters":{"binary_data_output":true}`)} {
		want, err := written(cutUp(raw), w)
		if err != nil {
			t.Fatal(err)
		}
		for size := range byte(9) {
			if size == 0 {
				continue
			}
			got, err := written(cutUp(raw, bytes.Repeat([]byte{size}, len(raw)/int(size))...), w)
			if err != nil || got != want {
				t.Errorf("in pieces of %d: got %s, %v\nwant %s", size, got, err, want)
			}
		}
	}
}

// TestRepeatedFieldsOfAnAnswerAreReadAsProtobufReadsThem, in one buffer and in two.
func TestRepeatedFieldsOfAnAnswerAreReadAsProtobufReadsThem(t *testing.T) {
	param := func(key string, value ...byte) []byte {
		e := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), key)
		return protowire.AppendBytes(protowire.AppendTag(e, 2, protowire.BytesType), value)
	}
	var b []byte
	for _, name := range []string{"first", "m"} {
		b = protowire.AppendString(protowire.AppendTag(b, 1, protowire.BytesType), name)
	}
	b = protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), 7) // a version of another type
	for _, p := range [][]byte{param("k", 8, 1), param("j", 0x10, 5, 0x08, 1), param("k", 0x10, 9)} {
		b = protowire.AppendBytes(protowire.AppendTag(b, 4, protowire.BytesType), p)
	}
	b = protowire.AppendBytes(protowire.AppendTag(b, 5, protowire.BytesType), []byte("\x0a\x01X\x0a\x01O\x12\x05UINT8\x18\x01\x1a\x01\x02"))
	b = protowire.AppendBytes(protowire.AppendTag(b, 6, protowire.BytesType), []byte{1, 2})
	for _, m := range []*wire.Message{cutUp(b), cutUp(b, 11)} {
		got, err := written(m, new(dialect.Wanted))
		want := `{"model_name":"m","model_version":"","parameters":{"j":true,"k":9},"outputs":[{"name":"O","datatype":"UINT8","shape":[1,2],"data":[1,2]}]}`
		if err != nil || got != want {
			t.Errorf("got  %s, %v\nwant %s", got, err, want)
		}
	}
}

func TestWhatIsNoAnswerIsAnError(t *testing.T) {
	for _, b := range [][]byte{{0xff}, {0x0a, 5, 'a'}, {0x2a, 1, 0x80}, {0x22, 2, 0x12, 5}} {
		for _, m := range []*wire.Message{cutUp(b), cutUp(b, 1)} {
			if got, err := written(m, new(dialect.Wanted)); err == nil {
				t.Errorf("%x is written as %s", b, got)
			}
		}
	}
}

func TestAPageStopsAtAnError(t *testing.T) {
	full := errors.New("disk full")
	m, err := wire.FromProto(&pb.ModelInferResponse{Outputs: []*pb.ModelInferResponse_InferOutputTensor{output("O", "UINT8", 100_000)}, RawOutputContents: [][]byte{make([]byte, 100_000)}})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Free()
	a, err := dialect.NewAnswer(m, new(dialect.Wanted))
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	p := dialect.NewPage(make([]byte, 1024), func([]byte) error { calls++; return full })
	if err := a.JSON(p); err != full || p.Err() != full || calls != 1 {
		t.Errorf("got %v after %d calls", err, calls)
	}
}

// event is an answer to …/generate.
func event(t *testing.T, g *dialect.Generated, m *wire.Message) (string, error) {
	t.Helper()
	if err := g.Scan(m); err != nil {
		return "", err
	}
	var all strings.Builder
	p := dialect.NewPage(make([]byte, 512), func(b []byte) error { all.Write(b); return nil })
	p.BeginEvent()
	err := g.JSON(p)
	p.EndEvent()
	return all.String() + string(p.Rest()), errors.Join(err, p.Send())
}

func TestGeneratedAnswersAreFlatObjectsInTheOrderOfNames(t *testing.T) {
	final := map[string]*pb.InferParameter{"triton_final_response": {ParameterChoice: &pb.InferParameter_BoolParam{BoolParam: true}}, "n": {ParameterChoice: &pb.InferParameter_Int64Param{Int64Param: 3}}}
	var g dialect.Generated // keeps its memory from one answer to the next
	for _, c := range []struct {
		name string
		resp *pb.ModelInferResponse
		want string
	}{
		{"one element", &pb.ModelInferResponse{ModelName: "m", ModelVersion: "1", Outputs: []*pb.ModelInferResponse_InferOutputTensor{output("text_output", "BYTES", 1)}, RawOutputContents: [][]byte{[]byte("\x02\x00\x00\x00hi")}}, `{"model_name":"m","model_version":"1","text_output":"hi"}`},
		{"more, with an id and parameters", &pb.ModelInferResponse{ModelName: "m", ModelVersion: "1", Id: "7", Parameters: final, Outputs: []*pb.ModelInferResponse_InferOutputTensor{output("Z", "UINT8", 2), output("A", "FP32", 1, 1)}, RawOutputContents: [][]byte{{1, 2}, le(3)}}, `{"A":3.0,"Z":[1,2],"id":"7","model_name":"m","model_version":"1","n":3}`},
		{"an output of a taken name", &pb.ModelInferResponse{ModelName: "m", ModelVersion: "1", Outputs: []*pb.ModelInferResponse_InferOutputTensor{output("model_name", "UINT8", 1)}, RawOutputContents: [][]byte{{1}}}, `{"model_name":"m","model_version":"1"}`},
		{"none", &pb.ModelInferResponse{ModelName: "m", Parameters: final}, `{"model_name":"m","model_version":"","n":3}`},
	} {
		raw, err := proto.Marshal(&pb.ModelStreamInferResponse{InferResponse: c.resp})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range []*wire.Message{cutUp(raw), cutUp(raw, 3, 1, 4, 1, 5)} {
			got, err := event(t, &g, m)
			if want := "data: " + c.want + "\n\n"; err != nil || got != want {
				t.Errorf("%s: got %q, %v\nwant %q", c.name, got, err, want)
			}
			if g.Empty() != (c.name == "none") || !g.Model() || g.Failure() != "" {
				t.Errorf("%s: empty %v, of a model %v, failure %q", c.name, g.Empty(), g.Model(), g.Failure())
			}
		}
	}
	raw, err := proto.Marshal(&pb.ModelStreamInferResponse{ErrorMessage: "no", InferResponse: &pb.ModelInferResponse{Id: "1", Parameters: map[string]*pb.InferParameter{"r": {ParameterChoice: &pb.InferParameter_StringParam{StringParam: "WHY"}}}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []*wire.Message{cutUp(raw), cutUp(raw, 3)} {
		if err := g.Scan(m); err != nil || g.Failure() != "no" || g.Model() || g.Parameter("r") != "WHY" || g.Parameter("s") != "" {
			t.Errorf("an error is read as %q of a model %v with %q, %v", g.Failure(), g.Model(), g.Parameter("r"), err)
		}
	}
}
