package rest_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/rest"
)

const (
	inferPath = "/v2/models/m/infer"
	empty     = `{"inputs":[]}`
	answered  = `{"model_name":"m","model_version":"1","outputs":[{"name":"O","datatype":"UINT8","shape":[2],"data":[1,2]}]}`
	inBinary  = `{"model_name":"m","model_version":"1","outputs":[{"name":"O","datatype":"UINT8","shape":[2],"parameters":{"binary_data_size":2}}]}`
)

func TestAnAnswersFormIsWhatWasAskedFor(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct{ body, kind, length, want string }{
		{empty, "application/json", "", answered},
		{`{"inputs":[],"outputs":[{"name":"O"}],"parameters":{"binary_data_output":true}}`, "application/json", "", answered},
		{`{"inputs":[],"parameters":{"binary_data_output":true}}`, "application/octet-stream", fmt.Sprint(len(inBinary)), inBinary + "\x01\x02"},
		{`{"inputs":[],"outputs":[{"name":"O","parameters":{"binary_data":true}}]}`, "application/octet-stream", fmt.Sprint(len(inBinary)), inBinary + "\x01\x02"},
	} {
		w := r.ask("POST", inferPath, c.body)
		h := w.Header()
		if w.Code != http.StatusOK || w.Body.String() != c.want || h.Get("Content-Type") != c.kind || h.Get("Inference-Header-Content-Length") != c.length || h.Get("Content-Length") != fmt.Sprint(len(c.want)) {
			t.Errorf("%s: %s with %v", c.body, said(w), h)
		}
		r.last()
	}
}

// TestALargeAnswerIsWrittenInPieces, JSON before binary tensors among it.
func TestALargeAnswerIsWrittenInPieces(t *testing.T) {
	const n = 200_000
	r := newRig(t)
	r.answer = func(seen) ([]proto.Message, error) {
		return []proto.Message{&pb.ModelInferResponse{
			Outputs:           []*pb.ModelInferResponse_InferOutputTensor{{Name: "J", Datatype: "UINT8", Shape: []int64{n}}, {Name: "B", Datatype: "UINT8", Shape: []int64{n}}},
			RawOutputContents: [][]byte{make([]byte, n), bytes.Repeat([]byte("b"), n)},
		}}, nil
	}
	zeros := strings.Repeat("0,", n-1) + "0"
	head := `{"model_name":"","model_version":"","outputs":[{"name":"J","datatype":"UINT8","shape":[200000],"data":[` + zeros + `]},{"name":"B","datatype":"UINT8","shape":[200000],`
	binary := head + `"parameters":{"binary_data_size":200000}}]}`
	w := r.ask("POST", inferPath, `{"inputs":[],"outputs":[{"name":"J"},{"name":"B","parameters":{"binary_data":true}}]}`)
	if w.Body.String() != binary+strings.Repeat("b", n) || w.Header().Get("Inference-Header-Content-Length") != fmt.Sprint(len(binary)) || w.Header().Get("Content-Length") != fmt.Sprint(len(binary)+n) {
		t.Errorf("got %d bytes with %v", w.Body.Len(), w.Header())
	}
	w = r.ask("POST", inferPath, empty)
	if got := w.Body.String(); !strings.HasPrefix(got, head) || !strings.HasSuffix(got, ",98]}]}") || w.Header().Get("Content-Length") != "" {
		t.Errorf("got %d bytes with %v", len(got), w.Header())
	}
}

func TestHowMuchOfABodyIsJSON(t *testing.T) {
	const one = `{"inputs":[{"name":"I","shape":[2],"datatype":"UINT8","parameters":{"binary_data_size":2}}]}`
	n := len(one)
	length := func(v string) []string { return []string{"Inference-Header-Content-Length", v} }
	for _, c := range []struct {
		name, body string
		headers    []string
		want       string // of the answer; "" is 200
	}{
		{"as it says", one + "ab", length(fmt.Sprint(n)), ""},
		{"with a plus", one + "ab", length(fmt.Sprintf("+%d", n)), ""},
		{"one short", one + "ab", length(fmt.Sprint(n - 1)), `500 application/json {"error":"failed to parse`},
		{"one long", one + "ab", length(fmt.Sprint(n + 1)), `500 application/json {"error":"failed to parse`},
		{"more than there is", one + "ab", length(fmt.Sprint(n + 3)), fmt.Sprintf(`400 text/plain {"error":"inference header size should be in range (0, %d), got: %d"}`, n+2, n+3)},
		{"negative", one + "ab", length("-1"), fmt.Sprintf(`400 text/plain {"error":"inference header size should be in range (0, %d), got: -1"}`, n+2)},
		{"too large for 32 bits", one + "ab", length("4294967296"), fmt.Sprintf(`400 text/plain {"error":"inference header size should be in range (0, %d), got: 4294967296"}`, n+2)},
		{"no number", one + "ab", length("abc"), `400 text/plain {"error":"Unable to parse Inference-Header-Content-Length, got: abc"}`},
		{"a number and more", one + "ab", length("1x"), `400 text/plain {"error":"Unable to parse Inference-Header-Content-Length, got: 1x"}`},
		{"nothing", one + "ab", length(""), `400 text/plain {"error":"Unable to parse Inference-Header-Content-Length, got: "}`},
		{"twice", one + "ab", append(length(fmt.Sprint(n)), length(fmt.Sprint(n))...), `400 text/plain {"error":"Inference-Header-Content-Length is there more than once"}`},
		{"none of it, and no config", "ab", length("0"), `404 text/plain {"error":"no such model"}`},
		{"none of nothing", "", nil, `404 text/plain {"error":"no such model"}`},
		{"all of it", empty, nil, ""},
		{"all of it, with binary sizes", one, nil, `400 application/json {"error":"unexpected size for input 'I', expecting 2 additional bytes for model 'm'"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			r.options.ModelConfig = func(context.Context, *access.Call, string, string) (*pb.ModelConfig, error) {
				return nil, status.Error(codes.NotFound, "no such model")
			}
			r.open()
			w := r.ask("POST", inferPath, c.body, c.headers...)
			if c.want == "" && w.Code != http.StatusOK || c.want != "" && !strings.HasPrefix(said(w), c.want) {
				t.Errorf("got %s, want %s", said(w), c.want)
			}
		})
	}
}

func TestARawBodyIsDataAlone(t *testing.T) {
	r := newRig(t)
	var asked *access.Call
	config := &pb.ModelConfig{Input: []*pb.ModelInput{{Name: "I", DataType: pb.DataType_TYPE_UINT8, Dims: []int64{-1}}}}
	r.options.ModelConfig = func(_ context.Context, call *access.Call, _, _ string) (*pb.ModelConfig, error) {
		asked = call
		return config, nil
	}
	r.open()
	w := r.ask("POST", inferPath, "abc", "Inference-Header-Content-Length", "0")
	s := r.last()
	want := &pb.ModelInferRequest{ModelName: "m", Inputs: []*pb.ModelInferRequest_InferInputTensor{{Name: "I", Datatype: "UINT8", Shape: []int64{3}}}, RawInputContents: [][]byte{[]byte("abc")}}
	if !proto.Equal(s.request, want) || w.Body.String() != inBinary+"\x01\x02" || asked == nil {
		t.Errorf("got %v and %s", s.request, said(w))
	}
	config.ModelTransactionPolicy = &pb.ModelTransactionPolicy{Decoupled: true}
	w = r.ask("POST", inferPath, "abc", "Inference-Header-Content-Length", "0")
	if got := said(w); got != `501 text/plain {"error":"HTTP end point doesn't support models with decoupled transaction policy"}` {
		t.Errorf("got %s", got)
	}
	r.options.ModelConfig = func(context.Context, *access.Call, string, string) (*pb.ModelConfig, error) {
		return nil, rest.ErrNotAllowed
	}
	r.open()
	r.last()
	r.ask("POST", inferPath, "abc", "Inference-Header-Content-Length", "0")
	if s := r.last(); !proto.Equal(s.request, &pb.ModelInferRequest{ModelName: "m"}) {
		t.Errorf("of a model that may not be asked about policy sees %v", s.request)
	}
}

func compressed(t *testing.T, encoding, body string) string {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser = zlib.NewWriter(&b)
	if encoding == "gzip" {
		w = gzip.NewWriter(&b)
	}
	if _, err := io.WriteString(w, body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestCompressedBodies(t *testing.T) {
	const one = `{"inputs":[{"name":"I","shape":[2],"datatype":"UINT8","parameters":{"binary_data_size":2}}]}`
	const cant = `400 text/plain {"error":"the compressed body can't be inflated"}`
	r := newRig(t)
	for _, c := range []struct{ name, encoding, body, want string }{
		{"gzip", "gzip", compressed(t, "gzip", one+"ab"), ""},
		{"deflate", "deflate", compressed(t, "deflate", one+"ab"), ""},
		{"deflate that calls itself gzip", "gzip", compressed(t, "deflate", one+"ab"), ""},
		{"gzip that calls itself deflate", "deflate", compressed(t, "gzip", one+"ab"), ""},
		{"identity", "identity", one + "ab", ""},
		{"br", "br", "x", `501 text/plain {"error":"Unsupported compression type"}`},
		{"two encodings", "gzip, gzip", "x", `501 text/plain {"error":"Unsupported compression type"}`},
		{"what is not compressed", "gzip", one + "ab", cant},
		{"nothing", "gzip", "", cant},
		{"half of it", "gzip", compressed(t, "gzip", one+"ab")[:40], strings.Replace(cant, "text/plain", "application/json", 1)},
		{"a wrong sum", "deflate", compressed(t, "deflate", one+"ab")[:95] + "xxxx", strings.Replace(cant, "text/plain", "application/json", 1)},
		{"data left over", "gzip", compressed(t, "gzip", one+"abc"), `400 application/json {"error":"unexpected additional input data for model 'm'"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := r.ask("POST", inferPath, c.body, "Content-Encoding", c.encoding, "Inference-Header-Content-Length", fmt.Sprint(len(one)))
			if c.want == "" && w.Code != http.StatusOK || c.want != "" && said(w) != c.want {
				t.Errorf("got %s, want %s", said(w), c.want)
			}
			if c.encoding == "br" && w.Header().Get("Accept-Encoding") != "gzip, deflate" {
				t.Errorf("the header says %q", w.Header().Get("Accept-Encoding"))
			}
			r.last()
		})
	}
}

// TestABombCostsItsSenderItsBudget and nothing more: what it inflates to is
// charged as it comes.
func TestABombCostsItsSenderItsBudget(t *testing.T) {
	r := newRig(t)
	const n = 80 << 20
	head := fmt.Sprintf(`{"inputs":[{"name":"I","shape":[%d],"datatype":"UINT8","parameters":{"binary_data_size":%d}}]}`, n, n)
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, head)
	block := make([]byte, 1<<20)
	for range n >> 20 {
		_, _ = z.Write(block)
	}
	_ = z.Close()
	w := r.do(r.request("POST", inferPath, &b, "Content-Encoding", "gzip", "Inference-Header-Content-Length", fmt.Sprint(len(head))))
	if e, ok := access.AsError(r.last().err); w.Code != http.StatusTooManyRequests || !ok || e.Reason != access.ReasonInFlight {
		t.Errorf("got %s", said(w))
	}
}

func TestABodyThatIsAnnouncedTooLargeIsNotRead(t *testing.T) {
	r := newRig(t)
	b := &unread{}
	q := r.request("POST", inferPath, b)
	q.ContentLength = 100 << 20
	if w := r.do(q); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" || b.reads > 0 {
		t.Errorf("got %s after %d reads", said(w), b.reads)
	}
}

func TestABodyThatBreaksOff(t *testing.T) {
	r := newRig(t)
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"early":         {io.ErrUnexpectedEOF, `400 application/json {"error":"the request's body ends too early"}`},
		"with an error": {errors.New("10.0.0.7:4711: connection reset"), `400 application/json {"error":"the request's body can't be read"}`},
	} {
		w := r.do(r.request("POST", inferPath, io.MultiReader(strings.NewReader(`{"inputs":[`), &broken{c.err})))
		if got := said(w); got != c.want {
			t.Errorf("%s: got %s", name, got)
		}
		r.last()
	}
}

type broken struct{ err error }

func (b *broken) Read([]byte) (int, error) { return 0, b.err }

func TestAnswersAreEncodedAsTheCallerWouldRatherHaveThem(t *testing.T) {
	r := newRig(t)
	for accept, want := range map[string]string{
		"": "", "gzip": "gzip", "deflate": "deflate", "identity": "", "*": "", "br": "", "gzip, deflate": "gzip", "deflate, gzip": "deflate",
		"gzip;q=0.5, deflate;q=0.7": "deflate", "identity;q=1, gzip;q=0.5": "", "gzip;q=0": "", "gzip;q=x": "", " gzip": "gzip", "gzip;q=1.0,deflate;q=1.1": "deflate", ";q=1": "", "gzip ;q=1": "",
	} {
		for _, body := range []string{empty, `{"inputs":[],"parameters":{"binary_data_output":true}}`} {
			w := r.ask("POST", inferPath, body, "Accept-Encoding", accept)
			var from io.Reader = w.Body
			var err error
			switch want {
			case "gzip":
				from, err = gzip.NewReader(w.Body)
			case "deflate":
				from, err = zlib.NewReader(w.Body)
			}
			if err != nil || w.Header().Get("Content-Encoding") != want {
				t.Errorf("%q: encoded as %q, want %q (%v)", accept, w.Header().Get("Content-Encoding"), want, err)
				continue
			}
			got, err := io.ReadAll(from)
			if err != nil || string(got) != answered && string(got) != inBinary+"\x01\x02" || want != "" && w.Header().Get("Content-Length") != "" {
				t.Errorf("%q: got %q, %v with %v", accept, got, err, w.Header())
			}
		}
	}
	r.answer = func(seen) ([]proto.Message, error) { return nil, status.Error(codes.NotFound, "no") }
	if w := r.ask("POST", inferPath, empty, "Accept-Encoding", "gzip"); said(w) != `404 text/plain {"error":"no"}` || w.Header().Get("Content-Encoding") != "" {
		t.Errorf("an error is compressed: %v", w.Header())
	}
}

func TestAnswersThatCannotBeSaidInJSON(t *testing.T) {
	r := newRig(t)
	for want, answer := range map[string]proto.Message{
		`400 text/plain {"error":"sending FP16 data via JSON is not supported. Please use the binary data format for output"}`: &pb.ModelInferResponse{Outputs: []*pb.ModelInferResponse_InferOutputTensor{{Name: "O", Datatype: "FP16", Shape: []int64{1}}}, RawOutputContents: [][]byte{{1, 2}}},
		`500 text/plain {"error":"Failed to write 'data' field: output tensor shape does not match size of output for 'O'"}`:   &pb.ModelInferResponse{Outputs: []*pb.ModelInferResponse_InferOutputTensor{{Name: "O", Datatype: "FP32", Shape: []int64{1}}}, RawOutputContents: [][]byte{{1, 2}}},
	} {
		r.answer = func(seen) ([]proto.Message, error) { return []proto.Message{answer}, nil }
		if got := said(r.ask("POST", inferPath, empty)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestADecoupledModelIsRefusedInHTTPsWords(t *testing.T) {
	r := newRig(t)
	r.answer = func(seen) ([]proto.Message, error) {
		return nil, status.Error(codes.Unimplemented, "ModelInfer RPC doesn't support models with decoupled transaction policy")
	}
	if got, want := said(r.ask("POST", inferPath, empty)), `501 text/plain {"error":"HTTP end point doesn't support models with decoupled transaction policy"}`; got != want {
		t.Errorf("got %s", got)
	}
}

func TestADeadlineComesInAHeader(t *testing.T) {
	r := newRig(t)
	for value, ok := range map[string]bool{"1S": true, "100m": true, "5H": true, "99999999H": true, "1": false, "S": false, "-1S": false, "1.5S": false, "999999999S": false, "1s": false, "": true, "1S1S": false} {
		for _, path := range []string{inferPath, "/v2/models/m/generate", "/v2/repository/index"} {
			w := r.ask("POST", path, map[bool]string{true: empty, false: "{}"}[path == inferPath], "Grpc-Timeout", value)
			if ok != (w.Code == http.StatusOK) || !ok && w.Code != http.StatusBadRequest {
				t.Errorf("%q at %s: %s", value, path, said(w))
			}
			if ok && r.last().deadline != (value != "" && value != "99999999H") {
				t.Errorf("%q at %s: the call's deadline is another", value, path)
			}
		}
	}
}

// TestANameThatIsNoTextIsRefused when the message is looked into: protobuf has no
// such names.
func TestANameThatIsNoTextIsRefused(t *testing.T) {
	r := newRig(t)
	for _, body := range []string{
		`{"inputs":[{"name":"I` + "\xff" + `","shape":[1],"datatype":"UINT8","data":[1]}]}`, `{"id":"` + "\xff" + `","inputs":[]}`, `{"inputs":[],"parameters":{"` + "\xff" + `":1}}`,
	} {
		if w := r.ask("POST", inferPath, body); w.Code != http.StatusBadRequest {
			t.Errorf("%q: %s", body, said(w))
		}
		r.last()
	}
}
