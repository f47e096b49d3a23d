package dialect_test

import (
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/rest/dialect"
)

// inputs is a request with inputs and more members.
func inputs(input string, more ...string) string {
	return `{"inputs":[` + input + `]` + strings.Join(more, "") + `}`
}

const twoFloats = `{"name":"I","shape":[1,2],"datatype":"FP32","data":[0.5,-2]}`

// parse reads the text form of a request whose model is m.
func parse(t *testing.T, text string) *pb.ModelInferRequest {
	t.Helper()
	m := &pb.ModelInferRequest{ModelName: "m"}
	if err := prototext.Unmarshal([]byte(`model_name:"m" `+text), m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestJSONBecomesTheMessageThatGRPCHasForIt(t *testing.T) {
	const floats = `inputs{name:"I" datatype:"FP32" shape:[1,2]} raw_input_contents:"\000\000\000?\000\000\000\300" `
	for _, c := range []struct{ name, body, want string }{
		{"flat", inputs(twoFloats), floats},
		{"nested", inputs(`{"name":"I","shape":[1,2],"datatype":"FP32","data":[[[0.5]],[-2]]}`), floats},
		{"white space", " { \"inputs\" : [ \n{\"name\":\"I\",\t\"shape\":[ 1 ,2 ],\"datatype\":\"FP32\",\"data\":[ 0.5 , -2 ]} ] } \r\n", floats},
		{"data before its datatype", inputs(`{"data":[0.5,-2],"name":"I","shape":[1,2],"datatype":"FP32"}`), floats},
		{"data before its shape", inputs(`{"datatype":"FP32","data":[5e-1,-2.0],"name":"I","shape":[1,2]}`), floats},
		{"an id", inputs(twoFloats, `,"id":"q\u00e9"`), floats + `id:"qé"`},
		{"members that nobody knows", inputs(twoFloats, `,"x":{"y":[1,{"z":"\\"}],"w":null},"v":1e5`), floats},
		{"no data for no elements", inputs(`{"name":"I","shape":[0,2],"datatype":"FP32","data":[1,2,3]}`), `inputs{name:"I" datatype:"FP32" shape:[0,2]} raw_input_contents:""`},
		{"no shape at all", inputs(`{"name":"I","shape":[],"datatype":"INT8","data":[7]}`), `inputs{name:"I" datatype:"INT8"} raw_input_contents:"\007"`},
		{"BOOL", inputs(`{"name":"I","shape":[2],"datatype":"BOOL","data":[true,false]}`), `inputs{name:"I" datatype:"BOOL" shape:2} raw_input_contents:"\001\000"`},
		{"BYTES", inputs(`{"name":"I","shape":[2],"datatype":"BYTES","data":["","a\n\u00e9\ud83d\ude00\/"]}`), `inputs{name:"I" datatype:"BYTES" shape:2} raw_input_contents:"\000\000\000\000\t\000\000\000a\né😀/"`},
		{"bytes of bytes", inputs(`{"name":"I","shape":[1],"datatype":"BYTES","data":["` + "\xff\xfe" + `"]}`), `inputs{name:"I" datatype:"BYTES" shape:1} raw_input_contents:"\002\000\000\000\377\376"`},
		{"64 bits", inputs(`{"name":"I","shape":[2],"datatype":"INT64","data":[-9223372036854775808,9007199254740993]}`), `inputs{name:"I" datatype:"INT64" shape:2} raw_input_contents:"\000\000\000\000\000\000\000\200\001\000\000\000\000\000 \000"`},
		{"64 bits without a sign", inputs(`{"name":"I","shape":[1],"datatype":"UINT64","data":[18446744073709551615]}`), `inputs{name:"I" datatype:"UINT64" shape:1} raw_input_contents:"\377\377\377\377\377\377\377\377"`},
		{"narrow integers keep their low bytes", inputs(`{"name":"I","shape":[2],"datatype":"INT8","data":[-1,300]}`), `inputs{name:"I" datatype:"INT8" shape:2} raw_input_contents:"\377,"`},
		{"NaN and Infinity", inputs(`{"name":"I","shape":[4],"datatype":"FP32","data":[NaN,Infinity,-Inf,1e39]}`), `inputs{name:"I" datatype:"FP32" shape:4} raw_input_contents:"\000\000\300\177\000\000\200\177\000\000\200\377\000\000\200\177"`},
		{"two inputs", inputs(twoFloats + `,{"name":"J","shape":[1],"datatype":"UINT8","data":[9]}`), floats + `inputs{name:"J" datatype:"UINT8" shape:1} raw_input_contents:"\t"`},
		{"shared memory has no raw contents", inputs(`{"name":"S","shape":[1],"datatype":"FP32","parameters":{"shared_memory_region":"r","shared_memory_byte_size":4,"shared_memory_offset":8}},` + twoFloats), `inputs{name:"S" datatype:"FP32" shape:1 parameters{key:"shared_memory_region" value{string_param:"r"}} parameters{key:"shared_memory_byte_size" value{int64_param:4}} parameters{key:"shared_memory_offset" value{int64_param:8}}}` + floats},
		{"parameters of other kinds stay here", inputs(`{"name":"I","shape":[1,2],"datatype":"FP32","data":[0.5,-2],"parameters":{"x":1,"triton_y":2}}`), floats},
		{"outputs", inputs(twoFloats, `,"outputs":[{"name":"O","parameters":{"binary_data":true}},{"name":"P","parameters":{"classification":3}}]`), floats + `outputs{name:"O"} outputs{name:"P" parameters{key:"classification" value{int64_param:3}}}`},
		{"outputs in shared memory", inputs(twoFloats, `,"outputs":[{"name":"O","parameters":{"shared_memory_region":"r","shared_memory_byte_size":4}}]`), floats + `outputs{name:"O" parameters{key:"shared_memory_region" value{string_param:"r"}} parameters{key:"shared_memory_byte_size" value{int64_param:4}}}`},
		{"parameters", inputs(twoFloats, `,"parameters":{"a":1,"b":true,"c":"s","d":1.5,"e":18446744073709551615}`), floats + `parameters{key:"a" value{int64_param:1}} parameters{key:"b" value{bool_param:true}} parameters{key:"c" value{string_param:"s"}} parameters{key:"d" value{double_param:1.5}} parameters{key:"e" value{double_param:18446744073709551615}}`},
		{"parameters that mean something", inputs(twoFloats, `,"parameters":{"sequence_id":18446744073709551615,"sequence_start":true,"sequence_end":false,"priority":2,"timeout":5,"binary_data_output":true}`), floats + `parameters{key:"sequence_id" value{int64_param:-1}} parameters{key:"sequence_start" value{bool_param:true}} parameters{key:"sequence_end" value{bool_param:false}} parameters{key:"priority" value{uint64_param:2}} parameters{key:"timeout" value{int64_param:5}}`},
		{"a sequence's name", inputs(twoFloats, `,"parameters":{"sequence_id":"s"}`), floats + `parameters{key:"sequence_id" value{string_param:"s"}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			checkBuffers(t)
			got, err := decode(t, &dialect.Infer{Model: "m", JSON: -1}, c.body)
			if err != nil {
				t.Fatal(err)
			}
			if want := parse(t, c.want); !proto.Equal(got, want) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
		})
	}
}

// TestTheFirstOfRepeatedKeysCounts, everywhere, as it does for Triton: two
// readers of one body can't disagree, for only the message goes on.
func TestTheFirstOfRepeatedKeysCounts(t *testing.T) {
	checkBuffers(t)
	body := `{"id":"1","id":"2","parameters":{"a":1,"a":2,"b":true},"parameters":{"a":3,"c":4},
		"inputs":[{"name":"I","name":"J","shape":[1],"shape":[2],"datatype":"UINT8","datatype":"INT64","data":[5],"data":[6,7],
			"parameters":{},"parameters":{"shared_memory_region":"theirs"}}],
		"inputs":[{"name":"K"}],"outputs":[{"name":"O","name":"P"}],"outputs":[]}`
	got, err := decode(t, &dialect.Infer{Model: "m", JSON: -1}, body)
	if err != nil {
		t.Fatal(err)
	}
	want := parse(t, `id:"1" parameters{key:"a" value{int64_param:1}} parameters{key:"b" value{bool_param:true}}
		inputs{name:"I" datatype:"UINT8" shape:1} raw_input_contents:"\005" outputs{name:"O"}`)
	if !proto.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// TestWhatIsWrongIsSaidAsTritonSaysIt: texts and statuses that a Triton 2.51 answered.
func TestWhatIsWrongIsSaidAsTritonSaysIt(t *testing.T) {
	const syntax = "failed to parse the request JSON buffer: "
	data := func(shape, data string) string {
		return inputs(`{"name":"I","shape":` + shape + `,"datatype":"FP32","data":` + data + `}`)
	}
	for _, c := range []struct {
		body   string
		status int
		text   string
	}{
		{``, 500, syntax + "The document is empty. at 0"},
		{`x`, 500, syntax + "Invalid value. at 0"},
		{`{}`, 500, "Unable to parse 'inputs': attempt to access non-existing object member 'inputs'"},
		{`[]`, 500, "Unable to parse 'inputs': attempt to access non-existing object member 'inputs'"},
		{`{"inputs":{}}`, 500, "Unable to parse 'inputs': attempt to access JSON non-array as array"},
		{`{"inputs":[1]}`, 400, "Input must set only one of the following fields: 'data', 'binary_data_size' in 'parameters', 'shared_memory_region' in 'parameters'. But no field is set"},
		{`{"inputs":[{"data":[1]}]}`, 500, "Unable to parse 'name': attempt to access non-existing object member 'name'"},
		{`{"inputs":[{"data":[1],"name":"I"}]}`, 500, "Unable to parse 'datatype': attempt to access non-existing object member 'datatype'"},
		{`{"inputs":[{"data":[1],"name":"I","datatype":"FP32"}]}`, 500, "Unable to parse 'shape': attempt to access non-existing object member 'shape'"},
		{`{"inputs":[{"data":[1],"name":1}]}`, 500, "Unable to parse 'name': attempt to access JSON non-string as string"},
		{`{"id":1,"inputs":[]}`, 500, "Unable to parse 'id': attempt to access JSON non-string as string"},
		{data("[1,2]", "[1]"), 500, "Unable to parse 'data': Shape does not match true shape of 'data' field"},
		{data("[1,2]", "[1,2,3]"), 500, "Unable to parse 'data': Shape does not match true shape of 'data' field"},
		{data("[1,2]", `["a",2]`), 500, "Unable to parse 'data': attempt to access JSON non-number as double"},
		{data("[1,2]", "[null,2]"), 500, "Unable to parse 'data': attempt to access JSON non-number as double"},
		{data("[1,2]", "1"), 500, "Unable to parse 'data': attempt to access JSON non-array as array"},
		{data("[-1,2]", "[1,2]"), 500, "Unable to parse 'shape': attempt to access JSON non-unsigned-integer as unsigned-integer"},
		{data("[1.5,2]", "[1,2]"), 500, "Unable to parse 'shape': attempt to access JSON non-unsigned-integer as unsigned-integer"},
		{data("[1,2]", "[1,2"), 500, syntax + "Missing a comma or ']' after an array element. at 66"},
		{data("[1,2]", "[1,,2]"), 500, syntax + "Invalid value. at 65"},
		{data("[1,2]", "[1,2,]"), 500, syntax + "Invalid value. at 67"},
		{data("[1,2]", "[01,2]"), 500, syntax + "Missing a comma or ']' after an array element. at 64"},
		{data("[1,2]", "[1e400,2]"), 500, syntax + "Number too big to be stored in double. at 63"},
		{`{"a":1}x`, 500, syntax + "The document root must not be followed by other values. at 7"},
		{`{"a" 1}`, 500, syntax + "Missing a colon after a name of object member. at 5"},
		{`{a:1}`, 500, syntax + "Missing a name for object member. at 1"},
		{`{"a":tru}`, 500, syntax + "Invalid value. at 8"},
		{`{"a":"\x"}`, 500, syntax + "Invalid escape character in string. at 6"},
		{`{"a":"\ud800"}`, 500, syntax + "The surrogate pair in string is invalid. at 6"},
		{`{"a":"\ud800\u0041"}`, 500, syntax + "The surrogate pair in string is invalid. at 6"},
		{`{"a":"\u12g4"}`, 500, syntax + `Incorrect hex digit after \u escape in string. at 6`},
		{`{"a":1 "b"}`, 500, syntax + "Missing a comma or '}' after an object member. at 7"},
		{`{"a":"`, 500, syntax + "Missing a closing quotation mark in string. at 6"},
		{`{"a":1.}`, 500, syntax + "Miss fraction part in number. at 7"},
		{`{"a":1e}`, 500, syntax + "Miss exponent in number. at 7"},
		{`{"a":-}`, 500, syntax + "Invalid value. at 6"},
		{"{\"a\":\"\x01\"}", 500, syntax + "Invalid escape character in string. at 6"},
		{inputs(twoFloats, `,"parameters":[]`), 500, "failed to get request params.: attempt to get members for non-object"},
		{inputs(twoFloats, `,"parameters":{"a":null}`), 400, "parameter 'a' has invalid type. It should be either 'int', 'bool', or 'string'."},
		{inputs(twoFloats, `,"parameters":{"a":[1]}`), 400, "parameter 'a' has invalid type. It should be either 'int', 'bool', or 'string'."},
		{inputs(twoFloats, `,"parameters":{"triton_a":1}`), 400, "parameter keys starting with 'triton_' are reserved for Triton usage and should not be specified."},
		{inputs(twoFloats, `,"parameters":{"triton_enable_empty_final_response":true}`), 400, "parameter keys starting with 'triton_' are reserved for Triton usage and should not be specified."},
		{inputs(twoFloats, `,"parameters":{"priority":-1}`), 500, "Unable to parse 'priority': attempt to access JSON non-unsigned-integer as unsigned-integer"},
		{inputs(`{"name":"I","shape":[1],"datatype":"FP16","data":[1]}`), 400, "receiving FP16 data via JSON is not supported. Please use the binary data format for input I"},
		{inputs(`{"name":"I","shape":[1],"datatype":"XX","data":[1]}`), 400, "invalid datatype for input I"},
		{inputs(`{"name":"I","shape":[1],"datatype":"BYTES","data":[1]}`), 500, "Unable to parse JSON bytes array: attempt to access JSON non-string as string"},
		{inputs(`{"name":"I","shape":[1],"datatype":"UINT8","data":[-1]}`), 500, "Unable to parse 'data': attempt to access JSON non-unsigned-integer as unsigned-integer"},
		{inputs(`{"name":"I","shape":[1],"datatype":"INT64","data":[9223372036854775808]}`), 500, "Unable to parse 'data': attempt to access JSON non-signed-integer as signed-integer"},
		{inputs(`{"name":"I","shape":[9223372036854775807,4],"datatype":"FP32","data":[1]}`), 400, "invalid shape for input 'I': the total element count exceeds the maximum size of 9223372036854775807"},
		{inputs(`{"name":"I","shape":[1],"datatype":"FP32","data":[1],"parameters":{"binary_data_size":4}}`), 400, "Input must set only one of the following fields: 'data', 'binary_data_size' in 'parameters', 'shared_memory_region' in 'parameters'. But set 'data' 'binary_data_size'"},
		{inputs(`{"name":"I","shape":[1],"datatype":"FP32","parameters":{"binary_data_size":4}}`), 400, "unexpected size for input 'I', expecting 4 additional bytes for model 'm'"},
		{inputs(twoFloats, `,"outputs":[{}]`), 500, "Unable to parse 'name': attempt to access non-existing object member 'name'"},
		{inputs(twoFloats, `,"outputs":[{"name":"O","parameters":{"binary_data":1}}]`), 500, "Unable to parse 'binary_data': attempt to access JSON non-boolean as boolean"},
		{inputs(twoFloats, `,"outputs":[{"name":"O","parameters":{"shared_memory_region":"r","binary_data":true}}]`), 400, "Output can't set both 'shared_memory_region' and 'binary_data'"},
		{inputs(twoFloats, `,"outputs":[{"name":"O","parameters":{"shared_memory_region":"r","classification":1}}]`), 400, "Output can't set both 'shared_memory_region' and 'classification'"},
		{inputs(twoFloats, `,"outputs":[`+strings.Repeat(`{"name":"O"},`, 4096)+`{"name":"O"}]`), 400, "more than 4096 outputs are asked for"},
		{inputs(`{"name":"I","shape":[` + strings.Repeat("1,", 1024) + `1]}`), 400, "Unable to parse 'shape': a shape has more than 1024 dimensions"},
		{strings.Repeat("[", 101), 400, "JSON nesting depth exceeds maximum allowed limit (100)"},
		{data("[1]", strings.Repeat("[", 98)+"1"+strings.Repeat("]", 98)), 400, "JSON nesting depth exceeds maximum allowed limit (100)"},
		{data("[1]", "["+strings.Repeat("1", 5000)+"]"), 500, syntax + "Number too big to be stored in double. at 61"},
	} {
		t.Run(c.text, func(t *testing.T) {
			checkBuffers(t)
			_, err := decode(t, &dialect.Infer{Model: "m", JSON: -1}, c.body)
			e, ok := err.(*dialect.Error)
			if !ok || e.Status != c.status || e.Text != c.text {
				t.Errorf("got %v (%+v), want %d", err, e, c.status)
			}
		})
	}
}

func TestABodyThatBreaksOffIsNoSyntaxError(t *testing.T) {
	checkBuffers(t)
	broken := fmt.Errorf("connection reset")
	for n := range len(inputs(twoFloats)) {
		body := io.MultiReader(strings.NewReader(inputs(twoFloats)[:n]), iotest.ErrReader(broken))
		if _, err := receive(t, &dialect.Infer{Model: "m", JSON: -1}, body); err != broken {
			t.Errorf("after %d bytes: got %v, want the body's own error", n, err)
		}
	}
}

// TestHowABodyIsCutMakesNoDifference, down to single bytes, also where tokens
// straddle the window.
func TestHowABodyIsCutMakesNoDifference(t *testing.T) {
	checkBuffers(t)
	var numbers, texts []string
	for i := range 20_000 {
		numbers = append(numbers, fmt.Sprint(float64(float32(math.Sin(float64(i))))))
		texts = append(texts, fmt.Sprintf(`"\u00%02x%d\ud83d\ude00"`, i%200+32, i))
	}
	body := inputs(fmt.Sprintf(`{"name":"I","shape":[%d],"datatype":"FP64","data":[%s]},{"name":"T","shape":[%d],"datatype":"BYTES","data":[%s]},{"data":[%s],"name":"L","shape":[%d],"datatype":"FP32"}`,
		len(numbers), strings.Join(numbers, ","), len(texts), strings.Join(texts, ","), strings.Join(numbers, ", "), len(numbers)))
	want, err := decode(t, &dialect.Infer{Model: "m", JSON: -1}, body)
	if err != nil {
		t.Fatal(err)
	}
	for name, cut := range map[string]func(io.Reader) io.Reader{"bytes": iotest.OneByteReader, "halves": iotest.HalfReader, "end with data": iotest.DataErrReader} {
		t.Run(name, func(t *testing.T) {
			m, err := receive(t, &dialect.Infer{Model: "m", JSON: -1}, cut(strings.NewReader(body)))
			if err != nil {
				t.Fatal(err)
			}
			defer m.Free()
			got := new(pb.ModelInferRequest)
			if err := m.Unmarshal(got); err != nil || !proto.Equal(got, want) {
				t.Errorf("differs: %v", err)
			}
		})
	}
}
