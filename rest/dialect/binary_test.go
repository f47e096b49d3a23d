package dialect_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/rest/dialect"
	"github.com/sluice-gateway/sluice/wire"
)

// bin is a binary input of n bytes in JSON.
func bin(name string, n int) string {
	return fmt.Sprintf(`{"name":%q,"shape":[%d],"datatype":"UINT8","parameters":{"binary_data_size":%d}}`, name, n, n)
}

const inline = `{"name":"J","shape":[3],"datatype":"UINT8","data":[7,8,9]}`

func TestBinaryTensorsBelongWhereTheirInputsStand(t *testing.T) {
	for _, c := range []struct {
		name, inputs, behind string
		want                 []string
	}{
		{"one", bin("A", 3), "abc", []string{"abc"}},
		{"two", bin("A", 3) + "," + bin("B", 2), "abcde", []string{"abc", "de"}},
		{"an empty one", bin("A", 0) + "," + bin("B", 2), "de", []string{"", "de"}},
		{"before one in JSON", bin("A", 3) + "," + inline, "abc", []string{"abc", "\x07\x08\x09"}},
		{"after one in JSON", inline + "," + bin("A", 3), "abc", []string{"\x07\x08\x09", "abc"}},
		{"between", inline + "," + bin("A", 3) + "," + inline + "," + bin("B", 1), "abcd", []string{"\x07\x08\x09", "abc", "\x07\x08\x09", "d"}},
		{"none", inline, "", []string{"\x07\x08\x09"}},
		{"beside shared memory", `{"name":"S","shape":[1],"datatype":"UINT8","parameters":{"shared_memory_region":"r"}},` + bin("A", 1), "a", []string{"a"}},
		{"a large one", bin("A", 3<<20), strings.Repeat("x", 3<<20), []string{strings.Repeat("x", 3<<20)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			checkBuffers(t)
			head := inputs(c.inputs)
			got, err := decode(t, &dialect.Infer{Model: "m", JSON: int64(len(head))}, head+c.behind)
			if err != nil {
				t.Fatal(err)
			}
			var raw []string
			for _, r := range got.GetRawInputContents() {
				raw = append(raw, string(r))
			}
			if fmt.Sprintf("%.99q", raw) != fmt.Sprintf("%.99q", c.want) || len(raw) != len(c.want) || len(raw) > 0 && raw[0] != c.want[0] {
				t.Errorf("got %.99q, want %.99q", raw, c.want)
			}
		})
	}
}

func TestBinaryBodiesThatDoNotAddUp(t *testing.T) {
	one := inputs(bin("A", 4))
	for _, c := range []struct {
		name string
		json int
		body string
		want string
	}{
		{"too short", len(one), one + "abc", "unexpected size for input 'A', expecting 1 additional bytes for model 'm'"},
		{"nothing behind", len(one), one, "unexpected size for input 'A', expecting 4 additional bytes for model 'm'"},
		{"too long", len(one), one + "abcde", "unexpected additional input data for model 'm'"},
		{"more than nothing", len(inputs(inline)), inputs(inline) + "x", "unexpected additional input data for model 'm'"},
		{"JSON beyond the body", len(one) + 10, one, fmt.Sprintf("inference header size should be in range (0, %d), got: %d", len(one), len(one)+10)},
		{"JSON cut short", len(one) - 1, one + "abcd", fmt.Sprintf("failed to parse the request JSON buffer: Missing a comma or '}' after an object member. at %d", len(one)-1)},
		{"more than any message", len(inputs(`{"name":"A","shape":[1],"datatype":"UINT8","parameters":{"binary_data_size":9223372036854775807}}`)), inputs(`{"name":"A","shape":[1],"datatype":"UINT8","parameters":{"binary_data_size":9223372036854775807}}`), "input 'A' has a byte_size (9223372036854775807 bytes) that exceeds the maximum allowed value of 2147483647 bytes."},
		{"sizes that add up to more", len(inputs(bin("A", 1<<31-2) + "," + bin("B", 1<<31-2))), inputs(bin("A", 1<<31-2) + "," + bin("B", 1<<31-2)), "input 'B' has a byte_size (2147483646 bytes) that exceeds the maximum allowed value of 2147483647 bytes."},
	} {
		t.Run(c.name, func(t *testing.T) {
			checkBuffers(t)
			if _, err := decode(t, &dialect.Infer{Model: "m", JSON: int64(c.json)}, c.body); err == nil || err.Error() != c.want {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
		})
	}
}

// TestABinaryTensorIsReadIntoTheBuffersThatAreSent: at most one copy is made of
// it, in buffers of a megabyte.
func TestABinaryTensorIsReadIntoTheBuffersThatAreSent(t *testing.T) {
	checkBuffers(t)
	const size = 16 << 20
	head := inputs(bin("A", size))
	budget := wire.NewBudget(wire.BudgetConfig{})
	account := budget.Account("p")
	defer account.Close()
	var m wire.Message
	in, err := wire.NewIntake(&m, account, pool, wire.MaxMessage)
	if err != nil {
		t.Fatal(err)
	}
	if err := (&dialect.Infer{Model: "m", JSON: int64(len(head))}).Receive(bytes.NewReader(append([]byte(head), make([]byte, size)...)), in); err != nil {
		t.Fatal(err)
	}
	if held := budget.InFlight(); held < size || held > size+256<<10 {
		t.Errorf("%d bytes are charged for %d", held, size)
	}
	if n := len(m.Buffers()); n > 20 {
		t.Errorf("the message has %d buffers", n)
	}
	m.Free()
}

func TestARawBodyIsTheOnlyInput(t *testing.T) {
	config := func(batch int32, inputs ...*pb.ModelInput) *pb.ModelConfig {
		return &pb.ModelConfig{MaxBatchSize: batch, Input: inputs}
	}
	input := func(kind pb.DataType, dims ...int64) *pb.ModelInput {
		return &pb.ModelInput{Name: "I", DataType: kind, Dims: dims}
	}
	const fp32, text = pb.DataType_TYPE_FP32, pb.DataType_TYPE_STRING
	for _, c := range []struct {
		name   string
		config *pb.ModelConfig
		body   string
		want   string // of the message, or of the error
	}{
		{"fixed", config(0, input(fp32, 2)), "abcdefgh", `inputs{name:"I" datatype:"FP32" shape:2} raw_input_contents:"abcdefgh"`},
		{"a batch", config(8, input(fp32, 2)), "abcdefgh", `inputs{name:"I" datatype:"FP32" shape:[1,2]} raw_input_contents:"abcdefgh"`},
		{"variable", config(8, input(fp32, -1)), "abcdefgh", `inputs{name:"I" datatype:"FP32" shape:[1,2]} raw_input_contents:"abcdefgh"`},
		{"variable and fixed", config(0, input(fp32, 2, -1)), "abcdefgh", `inputs{name:"I" datatype:"FP32" shape:[2,1]} raw_input_contents:"abcdefgh"`},
		{"nothing", config(8, input(fp32, -1)), "", `inputs{name:"I" datatype:"FP32" shape:[1,0]} raw_input_contents:""`},
		{"text is one element", config(0, input(text, 1)), "abc", `inputs{name:"I" datatype:"BYTES" shape:1} raw_input_contents:"\003\000\000\000abc"`},
		{"two inputs", config(0, input(fp32, 1), input(fp32, 1)), "abcd", "[request id: <id_unknown>] Raw request must only have 1 input (found 1) to be deduced but got 2 inputs in 'm' model configuration"},
		{"no inputs", config(0), "abcd", "[request id: <id_unknown>] Raw request must only have 1 input (found 1) to be deduced but got 0 inputs in 'm' model configuration"},
		{"text of another shape", config(0, input(text, -1)), "abc", "[request id: <id_unknown>] For BYTE datatype raw input 'I', the model must have input shape [1]"},
		{"another size", config(0, input(fp32, 4)), "abcd", "[request id: <id_unknown>] input byte size mismatch for input 'raw_input' for model 'm'. Expected 16, got 4"},
		{"half an element", config(0, input(fp32, -1)), "abcdefg", "[request id: <id_unknown>] input byte size mismatch for input 'raw_input' for model 'm'. Expected 4, got 7"},
		{"two variable dimensions", config(0, input(fp32, -1, -1)), "abcd", "[request id: <id_unknown>] The shape of the raw input 'I' can not be deduced because there are more than one variable-sized dimension"},
	} {
		t.Run(c.name, func(t *testing.T) {
			checkBuffers(t)
			got, err := decode(t, rawReceiver{&dialect.Infer{Model: "m"}, c.config}, c.body)
			if err != nil {
				if err.Error() != c.want {
					t.Errorf("got %v\nwant %s", err, c.want)
				}
				return
			}
			if want := parse(t, c.want); !proto.Equal(got, want) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
		})
	}
}
