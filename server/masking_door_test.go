package server_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/gen/inference"
)

const piiMail = "jane.doe@example.com"

// piiPieces are what no caller may find in anything that reaches him.
var piiPieces = []string{"jane.d", "ne.doe", "doe@ex", "xample.com"}

// maskingDoors is a gateway before a server that says what a test has it say.
// The models "talk…" are decoupled, all others answer once; those whose names
// begin with "clear" are not masked.
type maskingDoors struct {
	*gateway
	mu     sync.Mutex
	infer  backendstest.Step
	stream backendstest.Step
}

const maskingDoorRules = `
masking:
  - { name: pii, models: [talk, whole], tensors: ["*"], entities: [EMAIL, CARD, SSN], mode: delta, except: [pii-readers] }
`

func newMaskingDoors(t *testing.T) *maskingDoors {
	t.Helper()
	d := &maskingDoors{}
	now := func(which *backendstest.Step) backendstest.Step {
		return func(c *backendstest.Call) error {
			d.mu.Lock()
			step := *which
			d.mu.Unlock()
			return step(c)
		}
	}
	b := backendstest.Listen(t, backendstest.Script{
		"ModelConfig":    {backendstest.Reply(doorConfig)},
		"ServerMetadata": {backendstest.Receive(), backendstest.Send(backendstest.TritonMetadata())},
		"ModelInfer":     {now(&d.infer)}, "ModelStreamInfer": {now(&d.stream)},
	})
	d.gateway = start(t, setup{backend: b.Addr, cut: true, policy: rolesOfTheDemo + maskingDoorRules})
	return d
}

// doorConfig is what the server says of its models.
func doorConfig(r *inference.ModelConfigRequest) (proto.Message, error) {
	return &inference.ModelConfigResponse{Config: &inference.ModelConfig{
		Name: r.GetName(), Backend: "python",
		ModelTransactionPolicy: &inference.ModelTransactionPolicy{Decoupled: strings.Contains(r.GetName(), "talk")},
		Input:                  []*inference.ModelInput{{Name: "text_input", DataType: inference.DataType_TYPE_STRING, Dims: []int64{1}}},
		Output:                 []*inference.ModelOutput{{Name: "text_output", DataType: inference.DataType_TYPE_STRING, Dims: []int64{-1}}},
	}}, nil
}

// says sets what the server does from now on.
func (d *maskingDoors) says(infer, stream backendstest.Step) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.infer, d.stream = infer, stream
}

// wantMasked fails where anything of the value has come through.
func wantMasked(t *testing.T, seen string) {
	t.Helper()
	for _, piece := range piiPieces {
		if strings.Contains(seen, piece) {
			t.Fatalf("%q came through: %q", piece, seen)
		}
	}
}

// doorAnswer is an answer with one text.
func doorAnswer(model, id, text string) *inference.ModelInferResponse {
	return &inference.ModelInferResponse{
		ModelName: model, ModelVersion: "1", Id: id,
		Outputs:           []*inference.ModelInferResponse_InferOutputTensor{{Name: "text_output", Datatype: "BYTES", Shape: []int64{1}}},
		RawOutputContents: [][]byte{soakBytes([]byte(text))},
	}
}

// foreign is a length-delimited field of any number.
func foreign(num protowire.Number, value string) []byte {
	return protowire.AppendString(protowire.AppendTag(nil, num, protowire.BytesType), value)
}

func stringParam(s string) map[string]*inference.InferParameter {
	return map[string]*inference.InferParameter{"note": {ParameterChoice: &inference.InferParameter_StringParam{StringParam: s}}}
}

type doorOutput = inference.ModelInferResponse_InferOutputTensor

// doorCase is an answer that tries to get a value past masking. Each want is in
// what every door shows: the text in a masked answer's place, or the refusal's.
type doorCase struct {
	name  string
	spoil func(r *inference.ModelInferResponse, out *doorOutput)
	want  string
}

var doorCases = []doorCase{
	{"raw contents", func(*inference.ModelInferResponse, *doorOutput) {}, "[EMAIL]"},
	{"typed contents", func(r *inference.ModelInferResponse, out *doorOutput) {
		r.RawOutputContents = nil
		out.Contents = &inference.InferTensorContents{BytesContents: [][]byte{[]byte("to " + piiMail)}}
	}, "[EMAIL]"},
	{"both, raw first", func(_ *inference.ModelInferResponse, out *doorOutput) {
		out.Contents = &inference.InferTensorContents{BytesContents: [][]byte{[]byte("to " + piiMail)}}
	}, ""},
	{"escapes", func(r *inference.ModelInferResponse, _ *doorOutput) {
		r.RawOutputContents[0] = soakBytes([]byte(`{"to":"\u006aane.doe\u0040example.com"}`))
	}, "[EMAIL]"},
	{"invisible characters", func(r *inference.ModelInferResponse, _ *doorOutput) {
		r.RawOutputContents[0] = soakBytes([]byte("jane.\u200bdoe@\u200dexam\ufeffple.com"))
	}, "[EMAIL]"},
	{"no UTF-8 around it", func(r *inference.ModelInferResponse, _ *doorOutput) {
		r.RawOutputContents[0] = soakBytes([]byte("\xff\xfe " + piiMail + " \xe2\x82"))
	}, ""},
	{"the second of two elements", func(r *inference.ModelInferResponse, out *doorOutput) {
		out.Shape = []int64{2}
		r.RawOutputContents[0] = soakBytes([]byte("x"), []byte(piiMail))
	}, "[EMAIL]"},
	{"more raw contents than outputs", func(r *inference.ModelInferResponse, _ *doorOutput) {
		r.RawOutputContents = append(r.RawOutputContents, soakBytes([]byte(piiMail)))
	}, "raw contents"},
	{"fewer raw contents than outputs", func(r *inference.ModelInferResponse, _ *doorOutput) {
		r.Outputs = append([]*doorOutput{{Name: "numbers", Datatype: "INT32", Shape: []int64{1}}}, r.Outputs...)
	}, "raw contents"},
	{"a length that lies", func(r *inference.ModelInferResponse, _ *doorOutput) { r.RawOutputContents[0][0]-- }, "can't be masked"},
	{"bytes behind the last element", func(r *inference.ModelInferResponse, _ *doorOutput) {
		r.RawOutputContents[0] = append(soakBytes([]byte("x")), "j@x"...)
	}, "can't be masked"},
	{"an output that nobody asked for", func(r *inference.ModelInferResponse, _ *doorOutput) {
		r.Outputs[0].Name = "surprise"
	}, "[EMAIL]"},
	{"an output of the same name", func(r *inference.ModelInferResponse, _ *doorOutput) {
		r.Outputs = append(r.Outputs, &doorOutput{Name: "text_output", Datatype: "BYTES", Shape: []int64{1}})
		r.RawOutputContents = append(r.RawOutputContents, soakBytes([]byte(piiMail)))
	}, ""},
	{"a parameter", func(r *inference.ModelInferResponse, _ *doorOutput) { r.Parameters = stringParam("see " + piiMail) }, ""},
	{"an output's parameter", func(_ *inference.ModelInferResponse, out *doorOutput) { out.Parameters = stringParam("see " + piiMail) }, ""},
	{"a parameter said twice", func(r *inference.ModelInferResponse, _ *doorOutput) {
		for range 2 {
			entry, _ := proto.Marshal(&inference.ModelInferResponse{Parameters: stringParam(piiMail)})
			r.ProtoReflect().SetUnknown(append(r.ProtoReflect().GetUnknown(), entry...))
		}
	}, ""},
	{"a datatype said twice", func(_ *inference.ModelInferResponse, out *doorOutput) {
		out.Datatype = "FP32"
		out.ProtoReflect().SetUnknown(foreign(2, "BYTES"))
	}, "[EMAIL]"},
	{"a name said twice", func(_ *inference.ModelInferResponse, out *doorOutput) {
		out.Name = "logprobs"
		out.ProtoReflect().SetUnknown(foreign(1, "text_output"))
	}, "[EMAIL]"},
	{"contents said twice", func(r *inference.ModelInferResponse, out *doorOutput) {
		r.RawOutputContents = nil
		contents, _ := proto.Marshal(&inference.InferTensorContents{BytesContents: [][]byte{[]byte("to " + piiMail)}})
		out.ProtoReflect().SetUnknown(append(foreign(5, string(contents)), foreign(5, string(contents))...))
	}, ""},
	{"a datatype in small letters", func(_ *inference.ModelInferResponse, out *doorOutput) { out.Datatype = "bytes" }, "datatype"},
	{"a datatype that nobody knows", func(_ *inference.ModelInferResponse, out *doorOutput) { out.Datatype = "TEXT" }, "datatype"},
	{"no datatype", func(_ *inference.ModelInferResponse, out *doorOutput) { out.Datatype = "" }, "datatype"},
	{"typed text under numbers", func(r *inference.ModelInferResponse, out *doorOutput) {
		r.RawOutputContents, out.Datatype = nil, "FP32"
		out.Contents = &inference.InferTensorContents{BytesContents: [][]byte{[]byte(piiMail)}}
	}, ""},
	{"raw text under numbers", func(_ *inference.ModelInferResponse, out *doorOutput) { out.Datatype = "FP32" }, "data of another length"},
	{"labels of classes", func(r *inference.ModelInferResponse, _ *doorOutput) {
		r.RawOutputContents[0] = soakBytes([]byte("0.93:7:" + piiMail))
	}, "[EMAIL]"},
	{"a side channel", func(r *inference.ModelInferResponse, _ *doorOutput) { r.Outputs[0].Name = "logprobs" }, ""},
	{"shared memory", func(r *inference.ModelInferResponse, out *doorOutput) {
		r.RawOutputContents = nil
		out.Parameters = map[string]*inference.InferParameter{"shared_memory_region": {ParameterChoice: &inference.InferParameter_StringParam{StringParam: "r"}}}
	}, "shared memory"},
	{"a field that nobody knows", func(r *inference.ModelInferResponse, _ *doorOutput) {
		r.ProtoReflect().SetUnknown(foreign(99, piiMail))
	}, ""},
	{"a field that nobody knows in an output", func(_ *inference.ModelInferResponse, out *doorOutput) {
		out.ProtoReflect().SetUnknown(foreign(99, piiMail))
	}, ""},
	{"a field that nobody knows in contents", func(r *inference.ModelInferResponse, out *doorOutput) {
		r.RawOutputContents = nil
		out.Contents = &inference.InferTensorContents{BytesContents: [][]byte{[]byte("x")}}
		out.Contents.ProtoReflect().SetUnknown(foreign(99, piiMail))
	}, ""},
	{"a field that nobody knows in a parameter", func(r *inference.ModelInferResponse, _ *doorOutput) {
		r.Parameters = stringParam("x")
		r.Parameters["note"].ProtoReflect().SetUnknown(foreign(99, piiMail))
	}, ""},
	{"a shape written as bytes of another type", func(_ *inference.ModelInferResponse, out *doorOutput) {
		number := protowire.AppendFixed64(protowire.AppendTag(nil, 3, protowire.Fixed64Type), binary.LittleEndian.Uint64([]byte("jane.doe")))
		out.ProtoReflect().SetUnknown(number)
	}, ""},
}

// spoiled is the case's answer to a request.
func (c doorCase) spoiled(r *inference.ModelInferRequest) *inference.ModelInferResponse {
	m := doorAnswer(r.GetModelName(), r.GetId(), "to "+piiMail)
	c.spoil(m, m.Outputs[0])
	return m
}

// TestNothingGetsPastMasking has every case answered at every door.
func TestNothingGetsPastMasking(t *testing.T) {
	d := newMaskingDoors(t)
	for _, c := range doorCases {
		d.says(
			backendstest.Reply(func(r *inference.ModelInferRequest) (proto.Message, error) { return c.spoiled(r), nil }),
			backendstest.Each(func(b []byte) [][]byte {
				r := new(inference.ModelInferRequest)
				_ = proto.Unmarshal(b, r)
				answer, _ := proto.Marshal(&inference.ModelStreamInferResponse{InferResponse: c.spoiled(r)})
				return [][]byte{answer}
			}))
		for door, visit := range d.doors() {
			t.Run(c.name+", "+door, func(t *testing.T) {
				seen := visit(t)
				wantMasked(t, seen)
				if c.want != "" && !strings.Contains(seen, c.want) && !strings.Contains(door, "web") {
					t.Errorf("got %q, want %q in it", seen, c.want)
				}
			})
		}
	}
	d.wantNoLeak(piiMail)
}

// doors are the ways in; each returns all that its caller gets to see.
func (d *maskingDoors) doors() map[string]func(t *testing.T) string {
	request := func(model string) *inference.ModelInferRequest {
		return &inference.ModelInferRequest{
			ModelName: model, Id: "1",
			Inputs:           []*inference.ModelInferRequest_InferInputTensor{{Name: "text_input", Datatype: "BYTES", Shape: []int64{1}}},
			RawInputContents: [][]byte{soakBytes([]byte("hi"))},
		}
	}
	stream := func(model string) func(t *testing.T) string {
		return func(t *testing.T) string {
			answers, err := d.sendStream(d.as("bob"), encoded(t, request(model)))
			return shown(t, answers, err)
		}
	}
	web := func(path, body string) func(t *testing.T) string {
		return func(*testing.T) string {
			code, text, header := d.web("bob", "POST", path, body)
			return fmt.Sprint(code, text, header)
		}
	}
	return map[string]func(t *testing.T) string{
		"unary": func(t *testing.T) string {
			var header, trailer metadata.MD
			b, err := d.send(d.as("bob"), modelInfer, encoded(t, request("whole")), grpc.Header(&header), grpc.Trailer(&trailer))
			return string(b) + fmt.Sprint(header, trailer, err, status.Convert(err).Details())
		},
		"stream": stream("whole"), "decoupled stream": stream("talk"),
		"web": web("/v2/models/whole/infer", `{"id":"1","inputs":[{"name":"text_input","shape":[1],"datatype":"BYTES","data":["hi"]}]}`),
		"web, binary": web("/v2/models/whole/infer",
			`{"id":"1","inputs":[{"name":"text_input","shape":[1],"datatype":"BYTES","data":["hi"]}],"parameters":{"binary_data_output":true}}`),
		"web, generate":        web("/v2/models/whole/generate", `{"text_input":"hi"}`),
		"web, generate_stream": web("/v2/models/talk/generate_stream", `{"text_input":"hi"}`),
	}
}

// shown is all of a stream that its caller sees: the bytes of its answers with
// what is not known in them, the texts of each request joined, and the end.
func shown(t *testing.T, answers []*inference.ModelStreamInferResponse, err error) string {
	t.Helper()
	var b strings.Builder
	joined := map[string]string{}
	for _, m := range answers {
		b.Write(encoded(t, m))
		for i := range m.GetInferResponse().GetOutputs() {
			out := m.GetInferResponse().GetOutputs()[i]
			raw := m.GetInferResponse().GetRawOutputContents()
			if i < len(raw) && len(raw[i]) >= 4 {
				joined[m.GetInferResponse().GetId()+"/"+out.GetName()] += string(raw[i][4:])
			}
			for _, one := range out.GetContents().GetBytesContents() {
				joined[m.GetInferResponse().GetId()+"/"+out.GetName()] += string(one)
			}
		}
	}
	for _, id := range []string{"1", "2", ""} {
		if text := joined[id+"/text_output"]; text != "" {
			fmt.Fprintf(&b, "\n%s: %s\n", id, text)
		}
	}
	fmt.Fprint(&b, err, status.Convert(err).Details())
	return b.String()
}

// TestErrorsAreMaskedAtEveryDoor: a server's words may quote what a model made.
func TestErrorsAreMaskedAtEveryDoor(t *testing.T) {
	d := newMaskingDoors(t)
	failing := func(step backendstest.Step) []backendstest.Step {
		return []backendstest.Step{backendstest.Header("x-note", piiMail), backendstest.Receive(), backendstest.Trailer("x-note", piiMail), step}
	}
	inStream := &inference.ModelStreamInferResponse{ErrorMessage: "stuck at " + piiMail, InferResponse: &inference.ModelInferResponse{Id: "1"}}
	for name, steps := range map[string]struct{ infer, stream []backendstest.Step }{
		"a status": {
			failing(backendstest.Fail(codes.InvalidArgument, "stuck at "+piiMail)), failing(backendstest.Fail(codes.InvalidArgument, "stuck at "+piiMail)),
		},
		"in the stream": {
			failing(backendstest.Fail(codes.NotFound, "stuck at "+piiMail)), failing(backendstest.Send(inStream)),
		},
		"after half a value": {
			failing(backendstest.Fail(codes.Internal, "stuck at "+piiMail)),
			failing(func(c *backendstest.Call) error {
				half := &inference.ModelStreamInferResponse{InferResponse: doorAnswer("talk", "1", "to "+piiMail)}
				if err := backendstest.Send(half)(c); err != nil {
					return err
				}
				return status.Error(codes.Internal, "stuck at "+piiMail)
			}),
		},
	} {
		all := func(steps []backendstest.Step) backendstest.Step {
			return func(c *backendstest.Call) error {
				for _, step := range steps {
					if err := step(c); err != nil {
						return err
					}
				}
				return nil
			}
		}
		d.says(all(steps.infer), all(steps.stream))
		for door, visit := range d.doors() {
			t.Run(name+", "+door, func(t *testing.T) {
				seen := visit(t)
				wantMasked(t, seen)
				if strings.Contains(seen, "x-note") {
					t.Errorf("the server's metadata came through: %q", seen)
				}
				if name == "a status" && !strings.Contains(seen, "stuck at [EMAIL]") {
					t.Errorf("got %q", seen)
				}
			})
		}
	}
	d.wantNoLeak(piiMail)
}
