package dialect_test

import (
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/rest/dialect"
	"github.com/sluice-gateway/sluice/wire"
)

func TestAFlatObjectBecomesTensorsAndParameters(t *testing.T) {
	tokens := &pb.ModelConfig{Input: []*pb.ModelInput{
		{Name: "text_input", DataType: pb.DataType_TYPE_STRING, Dims: []int64{1}}, {Name: "stream", DataType: pb.DataType_TYPE_BOOL, Dims: []int64{1}},
	}}
	numbers := &pb.ModelConfig{MaxBatchSize: 8, Input: []*pb.ModelInput{
		{Name: "I", DataType: pb.DataType_TYPE_FP32, Dims: []int64{-1}}, {Name: "F", DataType: pb.DataType_TYPE_INT32, Dims: []int64{2, 2}}, {Name: "H", DataType: pb.DataType_TYPE_FP16, Dims: []int64{1}},
	}}
	const hi = `inputs{name:"text_input" datatype:"BYTES" shape:1} raw_input_contents:"\002\000\000\000hi" `
	for _, c := range []struct {
		name   string
		config *pb.ModelConfig
		body   string
		want   string // of the message, or of the error
	}{
		{"a scalar", tokens, `{"text_input":"hi"}`, hi},
		{"a list of one", tokens, `{"text_input":["hi"]}`, hi},
		{"a nested list of one", tokens, `{"text_input":[["hi"]]}`, hi},
		{"two inputs", tokens, `{"stream":true,"text_input":"hi"}`, `inputs{name:"stream" datatype:"BOOL" shape:1} raw_input_contents:"\001" ` + hi},
		{"parameters around", tokens, `{"text_input":"hi","n":1,"f":0.5,"b":false,"s":"x"}`, hi + `parameters{key:"n" value{int64_param:1}} parameters{key:"f" value{double_param:0.5}} parameters{key:"b" value{bool_param:false}} parameters{key:"s" value{string_param:"x"}}`},
		{"parameters within", tokens, `{"parameters":{"n":1,"text_input":"hi"}}`, hi + `parameters{key:"n" value{int64_param:1}}`},
		{"an id is a parameter too", tokens, `{"id":"7","text_input":"hi"}`, hi + `id:"7" parameters{key:"id" value{string_param:"7"}}`},
		{"Triton's own parameters stay here", tokens, `{"text_input":"hi","triton_enable_empty_final_response":true}`, hi},
		{"the first parameter counts", tokens, `{"text_input":"hi","n":1,"n":2,"parameters":{"n":3},"parameters":{"m":4}}`, hi + `parameters{key:"n" value{int64_param:1}}`},
		{"nothing", tokens, `{}`, ``},
		{"a batch and what is left", numbers, `{"I":[1,2,3]}`, `inputs{name:"I" datatype:"FP32" shape:[1,3]} raw_input_contents:"\000\000\200?\000\000\000@\000\000@@"`},
		{"fixed dimensions", numbers, `{"F":[1,2,3,4]}`, `inputs{name:"F" datatype:"INT32" shape:[1,2,2]} raw_input_contents:"\001\000\000\000\002\000\000\000\003\000\000\000\004\000\000\000"`},
		{"fixed dimensions twice", numbers, `{"F":[1,2,3,4,5,6,7,8]}`, `inputs{name:"F" datatype:"INT32" shape:[2,2,2]} raw_input_contents:"\001\000\000\000\002\000\000\000\003\000\000\000\004\000\000\000\005\000\000\000\006\000\000\000\007\000\000\000\010\000\000\000"`},
		{"not enough", numbers, `{"F":[1,2,3]}`, "The schema can not convert input 'F' to tensor with proper shape"},
		{"two texts for one", tokens, `{"text_input":["a","b"]}`, "The schema can not convert input 'text_input' to tensor with proper shape"},
		{"nested numbers", numbers, `{"I":[[1,2],[3]]}`, "Unable to parse 'data': Shape does not match true shape of 'data' field"},
		{"an input twice", tokens, `{"text_input":"hi","parameters":{"text_input":"ho"}}`, "Converting keyword: 'parameters': [request id: <id_unknown>] input 'text_input' already exists in request"},
		{"another type", tokens, `{"text_input":1}`, "Unable to parse JSON bytes array: attempt to access JSON non-string as string"},
		{"no JSON for FP16", numbers, `{"H":1}`, "receiving FP16 data via JSON is not supported. Please use the binary data format for input H"},
		{"a parameter is no object", tokens, `{"x":{}}`, "parameter 'x' has invalid type. It should be either 'int', 'bool', or 'string'."},
		{"parameters are an object", tokens, `{"parameters":1}`, "Expected JSON object for keyword: 'parameters': attempt to access JSON non-object as object"},
		{"an id is text", tokens, `{"id":1}`, "Unable to parse 'id': attempt to access JSON non-string as string"},
		{"a list", tokens, `[]`, "attempt to get members for non-object"},
		{"an empty body", tokens, ``, "failed to parse the request JSON buffer: The document is empty. at 0"},
		{"more than an object", tokens, `{} {}`, "failed to parse the request JSON buffer: The document root must not be followed by other values. at 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			checkBuffers(t)
			got, err := decode(t, &dialect.Generate{Model: "m", Config: c.config}, c.body)
			if err != nil {
				if err.Error() != c.want {
					t.Errorf("got  %v\nwant %s", err, c.want)
				}
				return
			}
			if want := parse(t, c.want); !proto.Equal(got, want) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
		})
	}
}

func TestARequestThatIsARefusedNameAlone(t *testing.T) {
	checkBuffers(t)
	account := wire.NewBudget(wire.BudgetConfig{}).Account("p")
	defer account.Close()
	var m wire.Message
	in, err := wire.NewIntake(&m, account, mem.DefaultBufferPool(), wire.MaxMessage)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Free()
	if err := (&dialect.Generate{Model: "m", Version: "2"}).Name(in); err != nil {
		t.Fatal(err)
	}
	got := new(pb.ModelInferRequest)
	if err := m.Unmarshal(got); err != nil || !proto.Equal(got, &pb.ModelInferRequest{ModelName: "m", ModelVersion: "2"}) {
		t.Errorf("got %v, %v", got, err)
	}
}
