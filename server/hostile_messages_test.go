package server_test

import (
	"bytes"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/gen/inference"
)

// broken are bytes that are no protobuf message, whatever the type.
var broken = map[string]msg{
	"tag cut short":          {0x8a},
	"length cut short":       {0x0a, 0xff},
	"value cut short":        msg(nil).raw(0x0a, 100).raw([]byte(prompt)...),
	"length of 2^63":         msg(nil).raw(0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f),
	"length of 2^64":         msg(nil).raw(0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01),
	"varint of eleven bytes": msg(bytes.Repeat([]byte{0x88}, 11)),
	"field number zero":      {0x02, 0x00},
	"field number too large": msg(protowire.AppendVarint(nil, 1<<32|2)),
	"wire type seven":        {0x0f},
	"group not closed":       {0x7b},
	"group closed only":      {0x7c},
	"groups 100,000 deep":    bytes.Repeat([]byte{0x7b}, 100_000),
	"string not UTF-8":       msg(nil).str(1, "\xff"+prompt),
	"text":                   msg(prompt),
}

// TestBrokenMessages sends bytes that are no message to every unary RPC. None
// of it reaches the model's server.
func TestBrokenMessages(t *testing.T) {
	b := backendstest.Listen(t, backendstest.Script{})
	g := start(t, setup{backend: b.Addr, server: `
  probes: authenticated`})
	for _, method := range methods() {
		full := "/" + string(method.Parent().FullName()) + "/" + string(method.Name())
		if method.IsStreamingServer() {
			continue
		}
		for name, request := range broken {
			if bytes.HasPrefix(request, msg{0x0a}) && strings.HasPrefix(name, "string") && method.Input().Fields().ByNumber(1) == nil {
				continue // an unknown field, of which nobody knows that it is text
			}
			if _, err := g.send(g.as("alice"), full, request); status.Code(err) != codes.InvalidArgument || reasonOf(err) != access.ReasonMalformed {
				t.Error(at(method.Name(), name), err)
			} else if strings.Contains(err.Error(), prompt) {
				t.Error(at(method.Name(), name), "the refusal shows the message")
			}
		}
	}
	for name, request := range broken {
		_, err := g.sendStream(g.as("alice"), request)
		if status.Code(err) != codes.InvalidArgument || reasonOf(err) != access.ReasonMalformed {
			t.Error(at("stream", name), err)
		}
	}
	for _, call := range b.Calls() {
		t.Error(call.Method, "reached the server")
	}
	g.wantNoLeak(prompt)
}

// badNames are no names of models.
var badNames = map[string]string{
	"empty":            "",
	"1 MB long":        strings.Repeat("x", 1<<20),
	"256 bytes":        strings.Repeat("x", 256),
	"with a slash":     "simple/../prod-simple",
	"with a backslash": `..\simple`,
	"parent folder":    "..",
	"this folder":      ".",
	"NUL":              "simple\x00",
	"line break":       "simple\nlevel=INFO",
	"escape":           "\x1b[2Jsimple",
	"C1 control":       "simple\u0085",
	"delete":           "simple\x7f",
}

// named are the RPCs that take a model's name, and the field that has it.
var named = map[string]protowire.Number{
	"ModelInfer": 1, "ModelReady": 1, "ModelMetadata": 1, "ModelConfig": 1, "ModelStatistics": 1, "RepositoryModelLoad": 2, "RepositoryModelUnload": 2, "TraceSetting": 2,
}

// wholeServer are those for which no name means everything.
var wholeServer = map[string]bool{"ModelStatistics": true, "TraceSetting": true}

func TestBadModelNames(t *testing.T) {
	b := backendstest.Listen(t, backendstest.Script{})
	g := start(t, setup{backend: b.Addr})
	for method, field := range named {
		for about, name := range badNames {
			if name == "" && wholeServer[method] {
				continue
			}
			_, err := g.send(g.as("alice"), service+method, msg(nil).str(field, name))
			if status.Code(err) != codes.InvalidArgument || reasonOf(err) != access.ReasonModelName {
				t.Error(at(method, about), err)
			}
			if text := status.Convert(err).Message(); len(text) > 1000 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' }) {
				t.Errorf("%s: the text is %d bytes long: %.200q", at(method, about), len(text), text)
			}
		}
		if _, err := g.send(g.as("alice"), service+method, msg(nil).str(field, "\xff\xfe")); status.Code(err) != codes.InvalidArgument || reasonOf(err) != access.ReasonMalformed {
			t.Error(at(method, "not UTF-8"), err)
		}
	}
	for _, call := range b.Calls() {
		t.Error(call.Method, "reached the server")
	}
	g.wantNoLeak("level=INFO", strings.Repeat("x", 300))
}

// TestBadModelNamesInAStream: each gets its own refusal, with its id, in its
// turn, and the stream goes on.
func TestBadModelNamesInAStream(t *testing.T) {
	g := start(t, setup{})
	var requests [][]byte
	for _, name := range badNames {
		bad := add(name)
		bad.Id = "bad"
		requests = append(requests, encoded(t, bad), encoded(t, add("simple")))
	}
	answers, err := g.sendStream(g.as("bob"), requests...)
	if err != nil || len(answers) != len(requests) {
		t.Fatalf("%d answers to %d requests, and then %v", len(answers), len(requests), err)
	}
	for i, answer := range answers {
		if bad := i%2 == 0; bad != (streamReason(answer) == access.ReasonModelName) || bad != (answer.GetInferResponse().GetId() == "bad") || bad != (answer.GetErrorMessage() != "") {
			t.Errorf("answer %d: %.300v", i, answer)
		}
	}
}

// TestLongIDsInAStream are not kept while their answers are waited for.
func TestLongIDsInAStream(t *testing.T) {
	g := start(t, setup{})
	long, fits := add("simple"), add("simple")
	long.Id, fits.Id = strings.Repeat("ü", 1<<20), strings.Repeat("x", 4<<10)
	answers, err := g.sendStream(g.as("bob"), encoded(t, long), encoded(t, fits))
	if err != nil || len(answers) != 2 {
		t.Fatal(len(answers), err)
	}
	if id := answers[0].GetInferResponse().GetId(); streamReason(answers[0]) != access.ReasonMalformed || !strings.HasPrefix(long.Id, id) || len(id) != 4<<10 {
		t.Errorf("the long one: %q, with %d bytes of its id", answers[0].GetErrorMessage(), len(id))
	}
	if answers[1].GetErrorMessage() != "" || answers[1].GetInferResponse().GetId() != fits.Id {
		t.Errorf("the other: %.200v", answers[1])
	}
}

// TestRepositoryName: some server reads it as the model's name.
func TestRepositoryName(t *testing.T) {
	b := backendstest.Listen(t, backendstest.Script{})
	g := start(t, setup{backend: b.Addr})
	for method, request := range map[string]proto.Message{
		"RepositoryModelLoad":   &inference.RepositoryModelLoadRequest{RepositoryName: "prod-simple", ModelName: "simple"},
		"RepositoryModelUnload": &inference.RepositoryModelUnloadRequest{RepositoryName: "prod-simple", ModelName: "simple"},
		"RepositoryIndex":       &inference.RepositoryIndexRequest{RepositoryName: "prod-simple"},
	} {
		_, err := g.send(g.as("alice"), service+method, encoded(t, request))
		wantRefusal(t, err, codes.Unimplemented, access.ReasonRepositoryName)
	}
	if calls := b.Calls(); len(calls) > 0 {
		t.Error(calls[0].Method, "reached the server")
	}
}

// TestFilesOfALoad: names that kill an old server, or that lead out of the
// model's folder.
func TestFilesOfALoad(t *testing.T) {
	b := backendstest.Listen(t, backendstest.Script{"RepositoryModelLoad": {backendstest.Receive(), backendstest.Send(&inference.RepositoryModelLoadResponse{})}})
	g := start(t, setup{backend: b.Addr})
	long := strings.Repeat("a", 256)
	for name, refused := range map[string]bool{
		"file:1/model.onnx": false, "file:1/" + long[1:]: false, "file:1/a..b": false, "file:1/./x": false,
		"file:1/" + long: true, "file:" + long + "/model.onnx": true, "file:" + long + "/" + long: true,
		"file:../../etc/cron.d/x": true, "file:1/../../x": true, "file:..": true, "file:/etc/passwd": true, "file:1/a\x00b": true,
	} {
		_, err := g.RepositoryModelLoad(g.as("alice"), &inference.RepositoryModelLoadRequest{ModelName: "simple", Parameters: map[string]*inference.ModelRepositoryParameter{
			"config": {ParameterChoice: &inference.ModelRepositoryParameter_StringParam{StringParam: "{}"}},
			name:     {ParameterChoice: &inference.ModelRepositoryParameter_BytesParam{BytesParam: []byte(prompt)}},
		}})
		if refused {
			wantRefusal(t, err, codes.InvalidArgument, access.ReasonUnsafeForBackend)
		} else if err != nil {
			t.Errorf("%.30q: %v", name, err)
		}
		if len(status.Convert(err).Message()) > 500 {
			t.Errorf("%.30q: the text repeats the name whole", name)
		}
	}
	if got := len(b.Calls()); got != 4 {
		t.Errorf("%d loads reached the server, want 4", got)
	}
	g.wantNoLeak(prompt)
}

// twice are requests that say two things at once. What protobuf reads is the
// last one, that is what is decided on, and only that reaches the server.
var twice = []struct {
	name    string
	request msg
	model   string
	fields  int // of the message that reaches the server
}{
	{"first allowed, last not", msg(nil).str(1, "simple").str(1, "prod-simple"), "prod-simple", 1},
	{"first not, last allowed", msg(nil).str(1, "prod-simple").str(1, "simple"), "simple", 1},
	{"last one empty", msg(nil).str(1, "simple").str(1, ""), "", 1},
	{"far apart", msg(nil).str(1, "prod-simple").str(7, strings.Repeat("x", 100_000)).str(1, "simple"), "simple", 2},
	{"tag written long", msg(nil).str(1, "prod-simple").raw(0x8a, 0x80, 0x00, 6).raw([]byte("simple")...), "simple", 1},
	{"another wire type", msg(nil).str(1, "simple").varint(1, 7), "simple", 2},
	{"map key twice", msg(nil).str(1, "simple").bytes(4, msg(nil).str(1, "k").bytes(2, msg(nil).varint(1, 1))).bytes(4, msg(nil).str(1, "k").bytes(2, msg(nil).str(3, "v"))), "simple", 2},
	{"oneof twice", msg(nil).str(1, "simple").bytes(4, msg(nil).str(1, "k").bytes(2, msg(nil).varint(1, 1).str(3, "v"))), "simple", 2},
	{"key inside an entry twice", msg(nil).str(1, "simple").bytes(4, msg(nil).str(1, "k").str(1, "l").bytes(2, msg(nil).varint(1, 1))), "simple", 2},
	{"input's name twice", msg(nil).str(1, "simple").bytes(5, msg(nil).str(1, "A").str(1, "B")), "simple", 2},
	{"unknown fields stay", msg(nil).str(1, "simple").str(900, "x").str(1, "simple"), "simple", 2},
}

func TestWhatIsDecidedOnIsWhatIsSent(t *testing.T) {
	b := backendstest.Listen(t, backendstest.Script{
		"ModelInfer":       {backendstest.Receive(), backendstest.Send(&inference.ModelInferResponse{})},
		"ModelStreamInfer": {backendstest.Each(func([]byte) [][]byte { return [][]byte{nil} })},
		"ModelConfig":      {backendstest.Receive(), backendstest.Send(&inference.ModelConfigResponse{Config: &inference.ModelConfig{}})},
	})
	g := start(t, setup{backend: b.Addr})
	for _, c := range twice {
		t.Run(c.name, func(t *testing.T) {
			before := len(b.Calls())
			_, err := g.send(g.as("ci"), modelInfer, c.request)
			answers, errStream := g.sendStream(g.as("ci"), c.request)
			if errStream != nil || len(answers) != 1 {
				t.Fatalf("the stream: %v, %v", answers, errStream)
			}
			got := sentTo(b.Calls()[before:])
			if c.model != "simple" {
				if len(got) > 0 || err == nil || streamReason(answers[0]) == "" {
					t.Errorf("%v, %v, and %d messages reached the server", err, answers[0], len(got))
				}
				return
			}
			if err != nil || len(got) != 2 {
				t.Fatalf("%v, and %d messages reached the server", err, len(got))
			}
			for _, sent := range got {
				wantOneReading(t, c.request, sent, c.fields)
			}
		})
	}
}

// sentTo are the inference requests that a server got.
func sentTo(calls []*backendstest.Call) (sent [][]byte) {
	for _, call := range calls {
		if call.Method != "ModelConfig" {
			sent = append(sent, call.Messages()...)
		}
	}
	return sent
}

// wantOneReading wants a message that means what the original means to
// protobuf, in so many fields, with one model name.
func wantOneReading(t *testing.T, original, sent []byte, fields int) {
	t.Helper()
	var a, b inference.ModelInferRequest
	if err := proto.Unmarshal(original, &a); err != nil {
		t.Fatal(err)
	}
	if err := proto.Unmarshal(sent, &b); err != nil || !proto.Equal(&a, &b) {
		t.Errorf("the server reads %v (%v), protobuf reads %v", &b, err, &a)
	}
	var names, all int
	for rest := sent; len(rest) > 0; all++ {
		num, typ, n := protowire.ConsumeTag(rest)
		if num == 1 && typ == protowire.BytesType {
			names++
		}
		rest = rest[n:]
		rest = rest[protowire.ConsumeFieldValue(num, typ, rest):]
	}
	if names != 1 || all != fields {
		t.Errorf("the server gets %d names in %d fields, want one in %d", names, all, fields)
	}
}

// TestPlainMessagesGoThroughUnchanged, unknown fields and the order of fields
// included.
func TestPlainMessagesGoThroughUnchanged(t *testing.T) {
	answer := msg(nil).str(901, "unknown").str(1, "simple").raw(0x12, 0x81, 0x00, '1')
	b := backendstest.Listen(t, backendstest.Script{"ModelInfer": {backendstest.Receive(), backendstest.SendBytes(answer)}})
	g := start(t, setup{backend: b.Addr})
	request := msg(nil).str(900, "unknown").str(3, "id").raw(0x0a, 0x86, 0x00).raw([]byte("simple")...)
	got, err := g.send(g.as("bob"), modelInfer, request)
	if err != nil || !bytes.Equal(got, answer) {
		t.Errorf("got %x, %v, want %x", got, err, answer)
	}
	if sent := sentTo(b.Calls()); len(sent) != 1 || !bytes.Equal(sent[0], request) {
		t.Errorf("the server got %x, want %x", sent, request)
	}
}

// TestClassificationOfBytes killed Triton 2.51.
func TestClassificationOfBytes(t *testing.T) {
	for name, c := range map[string]struct {
		more, model, output string
		asked               bool
	}{
		"of bytes":             {"", "simple_string", "OUTPUT0", false},
		"of numbers":           {"", "simple", "OUTPUT0", true},
		"of bytes, let go":     {", old_triton: { forward_bytes_classification: true }", "simple_string", "OUTPUT0", true},
		"of no output it has":  {"", "simple_string", "OUTPUT7", true},
		"of an unknown model":  {"", "nope", "OUTPUT0", true},
		"of bytes, by version": {"", "simple_string", "OUTPUT0", false},
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, setup{more: c.more})
			r := add(c.model)
			r.Outputs = []*inference.ModelInferRequest_InferRequestedOutputTensor{{Name: c.output, Parameters: map[string]*inference.InferParameter{
				"classification": {ParameterChoice: &inference.InferParameter_Int64Param{Int64Param: 2}},
			}}}
			if strings.Contains(name, "version") {
				r.ModelVersion = "1"
			}
			_, err := g.ModelInfer(g.as("bob"), r)
			answers, errStream := g.sendStream(g.as("bob"), encoded(t, r))
			if errStream != nil || len(answers) != 1 {
				t.Fatal(answers, errStream)
			}
			if c.asked {
				if reasonOf(err) != "" || streamReason(answers[0]) != "" {
					t.Errorf("refused: %v, %v", err, answers[0])
				}
				return
			}
			wantRefusal(t, err, codes.InvalidArgument, access.ReasonUnsafeForBackend)
			if streamReason(answers[0]) != access.ReasonUnsafeForBackend {
				t.Errorf("in a stream: %v", answers[0])
			}
		})
	}
}

// TestGRPCError: with this metadata an error of a model's killed Triton 2.51.
func TestGRPCError(t *testing.T) {
	for more, want := range map[string]int{"": 0, ", old_triton: { forward_grpc_error: true }": 1} {
		b := answering(t)
		g := start(t, setup{backend: b.Addr, more: more})
		if _, err := g.sendStream(appendMD(g.as("bob"), "triton_grpc_error", "true"), encoded(t, add("simple"))); err != nil {
			t.Fatal(err)
		}
		for _, call := range b.Calls() {
			if got := len(call.Metadata.Get("triton_grpc_error")); call.Method == "ModelStreamInfer" && got != want {
				t.Errorf("%q: the server got it %d times, want %d", more, got, want)
			}
		}
	}
}
