package dialect_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/rest/dialect"
)

// plainRequest is what encoding/json reads of an inference. It takes the last of
// repeated keys and folds their case: bodies in which that matters are left out.
type plainRequest struct {
	ID     *string `json:"id"`
	Inputs []struct {
		Name     string            `json:"name"`
		Datatype string            `json:"datatype"`
		Shape    []json.RawMessage `json:"shape"`
		Data     json.RawMessage   `json:"data"`
	} `json:"inputs"`
}

// FuzzJSON holds the reader to encoding/json: what one refuses as JSON the other
// does, and tensors of numbers and texts that both read are the same.
func FuzzJSON(f *testing.F) {
	for _, body := range []string{
		inputs(twoFloats), `{"inputs":[{"name":"I","shape":[3],"datatype":"BYTES","data":["a","\u00e9\ud83d\ude00",""]}]}`,
		`{"id":"\n","inputs":[{"data":[[1],[2]],"name":"I","shape":[2],"datatype":"INT64"}],"x":[{},[],null,true,-0.5e+7]}`,
		`{"a":1}x`, `[`, `{"a":"\ud800"}`, `{"inputs":[{"name":"I","shape":[1],"datatype":"FP64","data":[123456789.123456789e-12]}]}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if !utf8.Valid(body) { // a name that is none makes a message that the chain refuses
			if m, err := receive(t, &dialect.Infer{Model: "m", JSON: -1}, bytes.NewReader(body)); err == nil {
				m.Free()
			}
			return
		}
		got, err := decode(t, &dialect.Infer{Model: "m", JSON: -1}, string(body))
		cut, errCut := receive(t, &dialect.Infer{Model: "m", JSON: -1}, iotest.OneByteReader(bytes.NewReader(body)))
		if (err == nil) != (errCut == nil) || err != nil && err.Error() != errCut.Error() {
			t.Fatalf("whole: %v; byte by byte: %v", err, errCut)
		}
		if cut != nil {
			again := new(pb.ModelInferRequest)
			if err := cut.Unmarshal(again); err != nil || !proto.Equal(again, got) {
				t.Fatalf("byte by byte it is another message: %v", err)
			}
			cut.Free()
		}
		e, _ := err.(*dialect.Error)
		syntax := e != nil && strings.HasPrefix(e.Text, "failed to parse the request JSON buffer")
		if valid := json.Valid(body); valid && syntax && !strings.Contains(e.Text, "Number too big") && !strings.Contains(e.Text, "surrogate") {
			t.Fatalf("encoding/json takes what is refused with %v", err)
		} else if !valid && err == nil && !beyondJSON(body) {
			t.Fatal("encoding/json refuses what is taken")
		}
		var plain plainRequest
		if err != nil || ambiguous(body) || json.Unmarshal(body, &plain) != nil {
			return
		}
		compare(t, got, plain)
	})
}

// beyondJSON tells whether a body may hold what Triton takes and JSON has not:
// NaN and infinities, and texts of any bytes.
func beyondJSON(body []byte) bool {
	return bytes.Contains(body, []byte("NaN")) || bytes.Contains(body, []byte("Inf")) || !utf8.Valid(body)
}

// ambiguous tells whether a key is there twice, however it is written.
func ambiguous(body []byte) bool {
	d := json.NewDecoder(bytes.NewReader(body))
	seen := []map[string]bool{{}}
	key := []bool{false}
	for {
		token, err := d.Token()
		if err != nil {
			return err != io.EOF
		}
		top := len(seen) - 1
		switch v := token.(type) {
		case json.Delim:
			switch v {
			case '{', '[':
				if seen[top] != nil {
					key[top] = true
				}
				var keys map[string]bool
				if v == '{' {
					keys = map[string]bool{}
				}
				seen, key = append(seen, keys), append(key, v == '{')
			default:
				seen, key = seen[:top], key[:top]
			}
			continue
		case string:
			if seen[top] != nil && key[top] {
				folded := strings.ToLower(v)
				if seen[top][folded] || folded != v {
					return true
				}
				seen[top][folded], key[top] = true, false
				continue
			}
		}
		if seen[top] != nil {
			key[top] = true
		}
	}
}

// compare holds a message to what encoding/json reads.
func compare(t *testing.T, got *pb.ModelInferRequest, plain plainRequest) {
	t.Helper()
	if plain.ID != nil && got.GetId() != *plain.ID {
		t.Fatalf("id %q, want %q", got.GetId(), *plain.ID)
	}
	if len(got.GetInputs()) != len(plain.Inputs) {
		t.Fatalf("%d inputs, want %d", len(got.GetInputs()), len(plain.Inputs))
	}
	n := 0
	for i, input := range got.GetInputs() {
		p := plain.Inputs[i]
		if input.GetName() != p.Name || input.GetDatatype() != p.Datatype || len(input.GetShape()) != len(p.Shape) {
			t.Fatalf("input %v, want %+v", input, p)
		}
		if len(p.Data) == 0 {
			continue
		}
		raw := got.GetRawInputContents()[n]
		n++
		elements := int64(1)
		for _, d := range input.GetShape() {
			elements *= d
		}
		if elements == 0 {
			continue
		}
		if want, ok := rawOf(p.Datatype, p.Data); ok && !bytes.Equal(raw, want) {
			t.Fatalf("data %s is %x, want %x", p.Data, raw, want)
		}
	}
}

// rawOf is the raw form of data of some datatypes.
func rawOf(datatype string, data json.RawMessage) (raw []byte, ok bool) {
	var nested any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if d.Decode(&nested) != nil {
		return nil, false
	}
	ok = true
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case string:
			raw = binary.LittleEndian.AppendUint32(raw, uint32(len(v)))
			raw = append(raw, v...)
		case json.Number:
			f, errFloat := v.Float64()
			n, errInt := v.Int64()
			switch {
			case datatype == "FP32" && errFloat == nil:
				raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(float32(f)))
			case datatype == "FP64" && errFloat == nil:
				raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(f))
			case datatype == "INT64" && errInt == nil:
				raw = binary.LittleEndian.AppendUint64(raw, uint64(n))
			default:
				ok = false
			}
		default:
			ok = false
		}
	}
	walk(nested)
	return raw, ok
}

// FuzzBinary splits a body as the JSON's sizes say, and compares with a plain
// reading: no byte is lost, none is given to another tensor, and what does not
// add up is refused.
func FuzzBinary(f *testing.F) {
	f.Add([]byte{3, 0, 0xff, 2}, []byte("abcde"), int8(0))
	f.Add([]byte{}, []byte{}, int8(1))
	f.Add([]byte{0xff, 200}, make([]byte, 200), int8(-1))
	f.Fuzz(func(t *testing.T, sizes, behind []byte, off int8) {
		var all, want []string
		rest, fits := string(behind), true
		for _, n := range sizes[:min(len(sizes), 32)] {
			if n == 0xff {
				all, want = append(all, inline), append(want, "\x07\x08\x09")
				continue
			}
			all = append(all, bin("A", int(n)))
			if int(n) > len(rest) {
				fits = false
				break
			}
			want, rest = append(want, rest[:n]), rest[n:]
		}
		head := inputs(strings.Join(all, ","))
		length := int64(len(head)) + int64(off)
		body := head + string(behind)
		got, err := decode(t, &dialect.Infer{Model: "m", JSON: max(length, 1)}, body)
		if off != 0 {
			if err == nil && (off < 0 || strings.TrimSpace(body[len(head):min(int(length), len(body))]) != "") {
				t.Fatalf("a length that is off by %d is taken", off)
			}
			return
		}
		if fits = fits && rest == ""; fits != (err == nil) {
			t.Fatalf("sizes that fit: %v; got %v", fits, err)
		}
		if err != nil {
			return
		}
		var raw []string
		for _, r := range got.GetRawInputContents() {
			raw = append(raw, string(r))
		}
		if fmt.Sprintf("%q", raw) != fmt.Sprintf("%q", want) {
			t.Fatalf("got %q, want %q", raw, want)
		}
	})
}

// FuzzAnswer reads answers in one buffer and in two: both ways are protobuf's, and
// what is written is JSON that says the same.
func FuzzAnswer(f *testing.F) {
	for _, m := range []*pb.ModelInferResponse{
		{ModelName: "m", ModelVersion: "1", Id: "i", Outputs: []*pb.ModelInferResponse_InferOutputTensor{output("O", "FP32", 1), output("P", "BYTES", 1)}, RawOutputContents: [][]byte{le(0.1), []byte("\x01\x00\x00\x00a")}},
		{Parameters: map[string]*pb.InferParameter{"a": {ParameterChoice: &pb.InferParameter_DoubleParam{DoubleParam: 1e300}}, "b": {ParameterChoice: &pb.InferParameter_Uint64Param{Uint64Param: 5}}}},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, byte(7))
	}
	f.Fuzz(func(t *testing.T, b []byte, cut byte) {
		resp := new(pb.ModelInferResponse)
		if proto.Unmarshal(b, resp) != nil {
			_, _ = written(cutUp(b), new(dialect.Wanted)) // must not panic
			return
		}
		one, errOne := written(cutUp(b), new(dialect.Wanted))
		two, errTwo := written(cutUp(b, cut, cut), new(dialect.Wanted))
		if one != two || fmt.Sprint(errOne) != fmt.Sprint(errTwo) {
			t.Fatalf("in one buffer %s, %v; in more %s, %v", one, errOne, two, errTwo)
		}
		if errOne != nil || !utf8.ValidString(one) || strings.Contains(one, "NaN") || strings.Contains(one, "Infinity") {
			return
		}
		var said struct {
			ID      string `json:"id"`
			Model   string `json:"model_name"`
			Version string `json:"model_version"`
			Params  map[string]any
			Outputs []struct {
				Name, Datatype string
				Shape          []int64
				Data           []json.RawMessage
			}
		}
		if err := json.Unmarshal([]byte(one), &said); err != nil {
			t.Fatalf("%s is no JSON: %v", one, err)
		}
		if said.ID != resp.GetId() || said.Model != resp.GetModelName() || said.Version != resp.GetModelVersion() || len(said.Outputs) != len(resp.GetOutputs()) {
			t.Fatalf("%s is not %v", one, resp)
		}
		for i, o := range resp.GetOutputs() {
			if s := said.Outputs[i]; s.Name != o.GetName() || s.Datatype != o.GetDatatype() || fmt.Sprint(s.Shape) != fmt.Sprint(o.GetShape()) {
				t.Fatalf("%s is not %v", one, resp)
			}
		}
	})
}

// FuzzFloat: what is written of a double is JSON and reads back to it.
func FuzzFloat(f *testing.F) {
	for _, v := range []float64{0, 1, -1, 0.1, 1e-6, 9.999e-7, 1e21, 1e20, 123456789, 5e-324, math.MaxFloat64, float64(float32(0.1))} {
		f.Add(math.Float64bits(v))
	}
	f.Fuzz(func(t *testing.T, bits uint64) {
		v := math.Float64frombits(bits)
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return
		}
		raw := binary.LittleEndian.AppendUint64(nil, bits)
		text, _, err := encode(t, &pb.ModelInferResponse{Outputs: []*pb.ModelInferResponse_InferOutputTensor{output("O", "FP64", 1)}, RawOutputContents: [][]byte{raw}}, new(dialect.Wanted))
		if err != nil {
			t.Fatal(err)
		}
		_, data, _ := strings.Cut(text, `"data":[`)
		data, _, _ = strings.Cut(data, "]")
		got, err := decode(t, &dialect.Infer{Model: "m", JSON: -1}, inputs(`{"name":"I","shape":[1],"datatype":"FP64","data":[`+data+`]}`))
		if err != nil || !json.Valid([]byte(data)) || !strings.ContainsAny(data, ".e") {
			t.Fatalf("%v is written as %s: %v", v, data, err)
		}
		if back := binary.LittleEndian.Uint64(got.GetRawInputContents()[0]); back != bits {
			t.Fatalf("%v is written as %s, which is %v", v, data, math.Float64frombits(back))
		}
	})
}

// FuzzControl: no body of a control request is more than refused.
func FuzzControl(f *testing.F) {
	f.Add([]byte(`{"parameters":{"config":"{}","file:1/a":"YQ==","unload_dependents":true}}`))
	f.Add([]byte(`{"trace_level":["A"],"log_info":true,"key":"/k","byte_size":1,"raw_handle":{"b64":""}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, m := range []proto.Message{
			new(pb.RepositoryIndexRequest), new(pb.RepositoryModelLoadRequest), new(pb.RepositoryModelUnloadRequest),
			&pb.SystemSharedMemoryRegisterRequest{Name: "r"}, &pb.CudaSharedMemoryRegisterRequest{Name: "r"}, new(pb.TraceSettingRequest), new(pb.LogSettingsRequest),
		} {
			err := read(t, m, bytes.NewReader(body))
			if err == nil && len(body) > 0 && !json.Valid(body) && !beyondJSON(body) {
				t.Fatalf("%T takes what is no JSON", m)
			}
		}
	})
}
