package wire_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/wire"
)

var update = flag.Bool("update", false, "write testdata/fuzz from the hostile messages")

// msg is a message under construction, field by field.
type msg []byte

func (m msg) bytes(num protowire.Number, b []byte) msg {
	return protowire.AppendBytes(protowire.AppendTag(m, num, protowire.BytesType), b)
}
func (m msg) str(num protowire.Number, s string) msg { return m.bytes(num, []byte(s)) }
func (m msg) varint(num protowire.Number, v uint64) msg {
	return protowire.AppendVarint(protowire.AppendTag(m, num, protowire.VarintType), v)
}

func (m msg) fixed32(num protowire.Number, v uint32) msg {
	return protowire.AppendFixed32(protowire.AppendTag(m, num, protowire.Fixed32Type), v)
}

func (m msg) fixed64(num protowire.Number, v uint64) msg {
	return protowire.AppendFixed64(protowire.AppendTag(m, num, protowire.Fixed64Type), v)
}

func (m msg) group(num protowire.Number, body []byte) msg {
	return protowire.AppendTag(append(protowire.AppendTag(m, num, protowire.StartGroupType), body...), num, protowire.EndGroupType)
}
func (m msg) raw(b ...byte) msg { return append(m, b...) }

// param is a map entry.
func param(key string, value msg) msg { return msg{}.str(1, key).bytes(2, value) }

// nested is n groups, one inside the other.
func nested(n int) (m msg) {
	m = bytes.Repeat([]byte{15<<3 | 3}, n)
	return append(m, bytes.Repeat([]byte{15<<3 | 4}, n)...)
}

// hostile are requests that somebody built by hand, each named after the attack.
// problem is a part of the refusal, "" where protobuf accepts the message.
var hostile = []struct {
	name      string
	b         msg
	problem   string
	ambiguous bool
}{
	{name: "empty"},
	{name: "model-name-twice", b: msg{}.str(1, "allowed").str(1, "secret"), ambiguous: true},
	{name: "model-name-then-empty", b: msg{}.str(1, "allowed").str(1, ""), ambiguous: true},
	{name: "model-name-first-invalid", b: msg{}.str(1, "\xff").str(1, "secret"), problem: "model_name is not valid UTF-8"},
	{name: "model-name-as-varint", b: msg{}.str(1, "allowed").varint(1, 7)},
	{name: "model-name-as-group", b: msg{}.str(1, "allowed").group(1, msg{}.str(1, "secret"))},
	{name: "model-name-surrogate", b: msg{}.str(1, "\xed\xa0\x80"), problem: "UTF-8"},
	{name: "model-name-overlong-utf8", b: msg{}.str(1, "\xc0\xaf"), problem: "UTF-8"},
	{name: "model-name-cut-rune", b: msg{}.str(1, "\xe2\x82"), problem: "UTF-8"},
	{name: "model-name-nul", b: msg{}.str(1, "a\x00b")},
	{name: "model-name-cut", b: msg{}.raw(0x0a, 5, 'a'), problem: "model_name is cut short"},
	{name: "model-name-huge-length", b: msg{}.raw(0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01), problem: "cut short"},
	{name: "model-name-negative-length", b: msg{}.raw(0x0a, 0x80, 0x80, 0x80, 0x80, 0xf8, 0xff, 0xff, 0xff, 0xff, 0x01), problem: "cut short"},
	{name: "model-name-overlong-length", b: msg{}.raw(0x0a, 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00, 'a')},
	{name: "model-name-overlong-tag", b: msg{}.str(1, "allowed").raw(0x8a, 0x80, 0x80, 0x00, 1, 'b'), ambiguous: true},
	{name: "version-twice", b: msg{}.str(2, "1").str(2, "2"), ambiguous: true},
	{name: "id-twice", b: msg{}.str(3, "1").str(3, "2"), ambiguous: true},
	{name: "tag-over-32-bits", b: msg{}.raw(0x8a, 0x80, 0x80, 0x80, 0x80, 0x01, 0), problem: "field number"},
	{name: "tag-eleven-bytes", b: msg(bytes.Repeat([]byte{0x8a}, 10)).raw(0), problem: "varint"},
	{name: "tag-varint-overflow", b: msg(bytes.Repeat([]byte{0x8a}, 9)).raw(2), problem: "varint"},
	{name: "field-number-zero", b: msg{}.raw(0x02, 0), problem: "field number"},
	{name: "field-number-max", b: msg{}.str(protowire.MaxValidNumber, "x")},
	{name: "field-number-over-max", b: msg{}.raw(protowire.AppendVarint(nil, (1<<29)<<3|2)...).raw(0), problem: "field number"},
	{name: "field-number-over-max-in-group", b: msg{}.group(15, msg{}.raw(protowire.AppendVarint(nil, (1<<30)<<3)...).raw(1))},
	{name: "field-number-zero-in-group", b: msg{}.group(15, []byte{0x00, 1}), problem: "field number"},
	{name: "wire-type-6", b: msg{}.raw(0x0e, 1), problem: "wire type"},
	{name: "wire-type-7", b: msg{}.raw(0x7f, 1), problem: "wire type"},
	{name: "group-end-alone", b: msg{}.raw(0x0c), problem: "group"},
	{name: "group-not-ended", b: msg{}.raw(0x7b, 0x08, 1), problem: "cut short"},
	{name: "group-ended-by-another", b: msg{}.raw(0x7b, 0x74), problem: "group"},
	{name: "group-hides-a-model-name", b: msg{}.str(1, "allowed").group(15, msg{}.str(1, "secret"))},
	{name: "groups-as-deep-as-allowed", b: nested(10001)},
	{name: "groups-too-deep", b: nested(10002), problem: "too deep"},
	{name: "groups-too-deep-in-an-input", b: msg{}.bytes(5, nested(10002)), problem: "inputs[0] nests groups too deep"},
	{name: "groups-never-ended", b: msg(bytes.Repeat([]byte{0x7b}, 20000)), problem: "too deep"},
	{name: "unknown-fields", b: msg{}.str(100, "x").varint(101, 1).fixed32(102, 1).fixed64(103, 1).group(104, msg{}.str(1, "y"))},
	{name: "unknown-fields-of-one-number", b: msg{}.str(100, "x").str(1, "m").str(100, "y").str(1, "n"), ambiguous: true},
	{name: "unknown-fixed32-cut", b: msg{}.raw(0x7d, 1, 2, 3), problem: "cut short"},
	{name: "unknown-fixed64-cut", b: msg{}.raw(0x79, 1, 2, 3, 4, 5, 6, 7), problem: "cut short"},

	{name: "parameter-twice", b: msg{}.bytes(4, param("priority", msg{}.varint(5, 1))).bytes(4, param("priority", msg{}.varint(5, 9))), ambiguous: true},
	{name: "parameter-twice-in-two-types", b: msg{}.bytes(4, param("sequence_id", msg{}.varint(2, 1))).bytes(4, param("sequence_id", msg{}.str(3, "9"))), ambiguous: true},
	{name: "parameter-key-twice", b: msg{}.bytes(4, msg{}.str(1, "a").bytes(2, msg{}.varint(1, 1)).str(1, "b")), ambiguous: true},
	{name: "parameter-value-twice-merges", b: msg{}.bytes(4, msg{}.str(1, "a").bytes(2, msg{}.varint(1, 1)).bytes(2, msg{}.str(9, "unknown"))), ambiguous: true},
	{name: "parameter-value-before-key", b: msg{}.bytes(4, msg{}.bytes(2, msg{}.varint(1, 1)).str(1, "a"))},
	{name: "parameter-without-key", b: msg{}.bytes(4, msg{}.bytes(2, msg{}.varint(1, 1)))},
	{name: "parameter-without-key-and-empty-key", b: msg{}.bytes(4, msg{}.bytes(2, msg{}.varint(1, 1))).bytes(4, param("", nil)), ambiguous: true},
	{name: "parameter-without-value", b: msg{}.bytes(4, msg{}.str(1, "a"))},
	{name: "parameter-empty-entry", b: msg{}.bytes(4, nil)},
	{name: "parameter-entry-with-unknown-field", b: msg{}.bytes(4, param("a", msg{}.varint(1, 1)).str(3, "dropped")), ambiguous: true},
	{name: "parameter-entry-with-wrong-types", b: msg{}.bytes(4, msg{}.varint(1, 1).varint(2, 1)), ambiguous: true},
	{name: "parameter-entry-field-over-max", b: msg{}.bytes(4, msg{}.raw(protowire.AppendVarint(nil, (1<<29)<<3)...).raw(1)), problem: "parameters holds an impossible field number"},
	{name: "parameter-entry-end-group", b: msg{}.bytes(4, msg{}.raw(0x0c)), problem: "group"},
	{name: "parameter-key-invalid", b: msg{}.bytes(4, param("\xff", nil)), problem: "parameters.key is not valid UTF-8"},
	{name: "parameter-string-invalid", b: msg{}.bytes(4, param("a", msg{}.str(3, "\xff"))), problem: "parameters.value.string_param is not valid UTF-8"},
	{name: "parameter-oneof-twice", b: msg{}.bytes(4, param("a", msg{}.varint(1, 1).varint(2, 2))), ambiguous: true},
	{name: "parameter-oneof-same-member-twice", b: msg{}.bytes(4, param("a", msg{}.varint(2, 1).varint(2, 2))), ambiguous: true},
	{name: "parameter-oneof-wrong-type-after", b: msg{}.bytes(4, param("a", msg{}.varint(2, 1).str(2, "x")))},
	{name: "parameter-oneof-overwritten-string-invalid", b: msg{}.bytes(4, param("a", msg{}.str(3, "\xff").varint(1, 1))), problem: "UTF-8"},
	{name: "parameter-bool-of-many-bits", b: msg{}.bytes(4, param("a", msg{}.varint(1, 1<<40)))},
	{name: "parameter-not-bytes", b: msg{}.varint(4, 1)},
	{name: "parameters-nine-and-one-twice", b: nineParameters().bytes(4, param("k3", msg{}.varint(2, 99))), ambiguous: true},
	{name: "parameters-nine", b: nineParameters()},

	{name: "input-name-twice", b: msg{}.bytes(5, msg{}.str(1, "a").str(1, "b")), ambiguous: true},
	{name: "input-datatype-twice", b: msg{}.bytes(5, msg{}.str(2, "INT32").str(2, "BYTES")), ambiguous: true},
	{name: "input-shape-packed-and-not", b: msg{}.bytes(5, msg{}.varint(3, 1).raw(0x1a, 2, 2, 3).varint(3, 4))},
	{name: "input-shape-cut-varint", b: msg{}.bytes(5, msg{}.raw(0x1a, 2, 1, 0x80)), problem: "inputs[0].shape is cut short"},
	{name: "input-shape-overlong-varint", b: msg{}.bytes(5, msg{}.raw(0x1a, 10).raw(bytes.Repeat([]byte{0x80}, 9)...).raw(1))},
	{name: "input-shape-varint-overflow", b: msg{}.bytes(5, msg{}.raw(0x1a, 10).raw(bytes.Repeat([]byte{0x80}, 9)...).raw(2)), problem: "varint"},
	{name: "input-shape-as-fixed", b: msg{}.bytes(5, msg{}.fixed64(3, 1))},
	{name: "input-shape-empty-pack", b: msg{}.bytes(5, msg{}.raw(0x1a, 0))},
	{name: "input-parameter-twice", b: msg{}.bytes(5, msg{}.bytes(4, param("shared_memory_region", msg{}.str(3, "mine"))).bytes(4, param("shared_memory_region", msg{}.str(3, "yours")))), ambiguous: true},
	{name: "input-contents-empty", b: msg{}.bytes(5, msg{}.bytes(5, nil)).bytes(7, []byte("raw"))},
	{name: "input-contents-twice-merges", b: msg{}.bytes(5, msg{}.bytes(5, msg{}.varint(2, 1)).str(1, "a").bytes(5, msg{}.varint(2, 2).str(99, "u"))), ambiguous: true},
	{name: "input-contents-long-varint-then-short", b: msg{}.bytes(5, msg{}.bytes(5, msg{}.raw(0x12, 9, 0xac).raw(bytes.Repeat([]byte{1}, 8)...)))},
	{name: "input-contents-overflow-then-short", b: msg{}.bytes(5, msg{}.bytes(5, msg{}.raw(0x12, 18).raw(bytes.Repeat([]byte{0x80}, 9)...).raw(bytes.Repeat([]byte{2}, 8)...).raw(1))), problem: "inputs[0].contents.int_contents holds a varint over 64 bits"},
	{name: "input-contents-fp32-ragged", b: msg{}.bytes(5, msg{}.bytes(5, msg{}.str(6, "12345"))), problem: "inputs[0].contents.fp32_contents is cut short"},
	{name: "input-contents-fp64-ragged", b: msg{}.bytes(5, msg{}.bytes(5, msg{}.str(7, "1234567"))), problem: "cut short"},
	{name: "input-contents-bool-overlong", b: msg{}.bytes(5, msg{}.bytes(5, msg{}.raw(0x0a, 3, 0x80, 0x80, 0x00)))},
	{name: "input-contents-bytes-not-utf8", b: msg{}.bytes(5, msg{}.bytes(5, msg{}.str(8, "\xff")))},
	{name: "input-longer-than-message", b: msg{}.raw(0x2a, 9, 0x0a, 1, 'a'), problem: "inputs[0] is cut short"},
	{name: "input-field-over-its-end", b: msg{}.raw(0x2a, 2, 0x0a, 5, 'a', 'b', 'c', 'd', 'e'), problem: "inputs[0].name is cut short"},
	{name: "input-varint-over-its-end", b: msg{}.raw(0x2a, 2, 0x18, 0x80).raw(0x01), problem: "inputs[0].shape is cut short"},
	{name: "input-length-over-its-end", b: msg{}.raw(0x2a, 2, 0x0a, 0x80).raw(0x01).str(1, "a"), problem: "inputs[0].name is cut short"},
	{name: "input-tag-over-its-end", b: msg{}.raw(0x2a, 1, 0x80).raw(0x01), problem: "inputs[0] is cut short"},
	{name: "input-group-over-its-end", b: msg{}.raw(0x2a, 1, 0x7b, 0x7c), problem: "inputs[0] is cut short"},
	{name: "inputs-of-two-bytes", b: bytes.Repeat([]byte{0x2a, 0}, 300)},
	{name: "second-input-is-wrong", b: msg{}.bytes(5, msg{}.str(1, "a")).bytes(5, msg{}.str(1, "\xff")), problem: "inputs[1].name is not valid UTF-8"},
	{name: "output-name-twice", b: msg{}.bytes(6, msg{}.str(1, "a").str(1, "b")), ambiguous: true},
	{name: "output-parameter-twice", b: msg{}.bytes(6, msg{}.bytes(2, param("classification", msg{}.varint(2, 1))).bytes(2, param("classification", msg{}.varint(2, 2)))), ambiguous: true},
	{name: "output-fields-of-an-input", b: msg{}.bytes(6, msg{}.str(2, "INT32").varint(3, 1)), problem: "outputs[0].parameters is cut short"},
	{name: "raw-empty", b: msg{}.bytes(7, nil)},
	{name: "raw-cut", b: msg{}.raw(0x3a, 2, 1), problem: "raw_input_contents[0] is cut short"},
	{name: "raw-as-varint", b: msg{}.varint(7, 1)},
}

func nineParameters() (m msg) {
	for i := range 9 {
		m = m.bytes(4, param(fmt.Sprint("k", i), msg{}.varint(2, uint64(i))))
	}
	return m
}

func TestHostile(t *testing.T) {
	for _, tt := range hostile {
		t.Run(tt.name, func(t *testing.T) {
			for _, cuts := range [][]byte{nil, {1}, {2, 3}, {7}} {
				checkRequest(t, tt.b, cuts)
			}
			keepInCorpus(t, "FuzzInferRequest", tt.name, tt.b)
			m := wire.FromBytes(tt.b)
			defer m.Free()
			view, err := m.InferRequest()
			if tt.problem != "" {
				e, ok := access.AsError(err)
				if !ok || e.Kind != access.Malformed || !strings.Contains(e.Message, tt.problem) {
					t.Fatalf("got %v, want a Malformed error with %q", err, tt.problem)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if view.Ambiguous() != tt.ambiguous {
				t.Errorf("Ambiguous is %v", view.Ambiguous())
			}
		})
	}
}

// hostileAnswers are stream responses, as hostile are requests.
var hostileAnswers = []struct {
	name string
	b    msg
}{
	{"error-twice", msg{}.str(1, "a").str(1, "b")},
	{"response-twice-merges", msg{}.bytes(2, msg{}.str(1, "a").bytes(6, []byte{1})).str(1, "e").bytes(2, msg{}.str(3, "id").bytes(6, []byte{2}))},
	{"response-twice-parameter-replaced", msg{}.bytes(2, msg{}.bytes(4, param("triton_final_response", msg{}.varint(1, 1)))).bytes(2, msg{}.bytes(4, param("triton_final_response", msg{}.varint(1, 0))))},
	{"response-three-times-id-last", msg{}.bytes(2, msg{}.str(3, "1")).bytes(2, nil).bytes(2, msg{}.str(3, "2"))},
	{"response-empty", msg{}.bytes(2, nil)},
	{"response-as-group", msg{}.group(2, msg{}.str(1, "m"))},
	{"response-output-contents-twice", msg{}.bytes(2, msg{}.bytes(5, msg{}.bytes(5, msg{}.varint(2, 1)).bytes(5, msg{}.varint(2, 2))))},
	{"bare-infer-response", fullBareResponse()},
	{"error-invalid", msg{}.str(1, "\xff")},
	{"response-parameter-invalid", msg{}.bytes(2, msg{}.bytes(4, param("a", msg{}.str(3, "\xc3"))))},
}

// fullBareResponse is what MLServer sends in a stream response's place.
func fullBareResponse() msg {
	return msg{}.str(1, "model").str(2, "1").str(3, "id").bytes(5, msg{}.str(1, "o"))
}

func TestHostileAnswers(t *testing.T) {
	for _, tt := range hostileAnswers {
		t.Run(tt.name, func(t *testing.T) {
			for _, cuts := range [][]byte{nil, {1}, {2, 3}, {7}} {
				checkStream(t, tt.b, cuts)
				checkResponse(t, tt.b, cuts)
			}
			keepInCorpus(t, "FuzzStreamResponse", tt.name, tt.b)
		})
	}
}

// keepInCorpus holds the fuzzers' seed files to the table.
func keepInCorpus(t *testing.T, target, name string, b []byte) {
	t.Helper()
	file := filepath.Join("testdata", "fuzz", target, name)
	want := fmt.Sprintf("go test fuzz v1\n[]byte(%q)\n[]byte(%q)\n", b, "\x02\x03")
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != want {
		t.Errorf("%s is not this message (%v); go test -run Hostile -update writes it", file, err)
	}
}

// TestManyParameters: of many keys, some repeated, each one's last entry counts.
func TestManyParameters(t *testing.T) {
	for _, n := range []int{8, 9, 33, 100, 1000} {
		for _, keys := range []int{n, n - 1, n/2 + 1, 1} {
			var m msg
			for i := range n {
				m = m.bytes(4, param(fmt.Sprint("key ", i*11%keys), msg{}.varint(2, uint64(i))))
			}
			for _, cuts := range [][]byte{nil, {1}, {200, 3}} {
				checkRequest(t, m, cuts)
			}
			checkRequest(t, msg{}.bytes(5, m), []byte{13})
			view, err := wire.FromBytes(m).InferRequest()
			if err != nil || view.Ambiguous() != (distinct(n, keys) < n) {
				t.Errorf("%d entries of %d keys: %v, ambiguous is %v", n, keys, err, view.Ambiguous())
			}
		}
	}
}

// distinct is how many keys there are among n of TestManyParameters.
func distinct(n, keys int) int {
	seen := make(map[int]bool)
	for i := range n {
		seen[i*11%keys] = true
	}
	return len(seen)
}
