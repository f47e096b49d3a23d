package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/rest"
)

const (
	applicationJSON = "application/json"
	// lines is the content type of a stream: a JSON object on each line.
	lines = "application/x-ndjson"
)

// answers are written with the names that proto/sluice/v1 has, and with fields
// that have their zero value: who reads "uses": 0 need not know the default.
var answers = protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}

// marshaler writes answers. It reads nothing: see [source].
type marshaler struct{}

var _ runtime.Marshaler = marshaler{}

// Marshal writes an answer's body.
func (marshaler) Marshal(v any) ([]byte, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return nil, errNoMessage
	}
	return encode(m)
}

// encode is m as one line of JSON. protojson adds spaces by chance, so that nobody
// relies on its bytes; we rely on lines.
func encode(m proto.Message) ([]byte, error) {
	loose, err := answers.Marshal(m)
	if err != nil {
		return nil, err
	}
	line, err := json.Marshal(json.RawMessage(loose))
	return append(line, '\n'), err
}

// Unmarshal is not used.
func (marshaler) Unmarshal([]byte, any) error { return errNoMessage }

// NewDecoder returns a decoder that finds nothing.
func (marshaler) NewDecoder(io.Reader) runtime.Decoder {
	return runtime.DecoderFunc(func(any) error { return io.EOF })
}

// NewEncoder is not used.
func (marshaler) NewEncoder(io.Writer) runtime.Encoder {
	return runtime.EncoderFunc(func(any) error { return errNoMessage })
}

// ContentType is that of every answer.
func (marshaler) ContentType(any) string { return applicationJSON }

// malformed is the refusal of a request that can't be read.
func malformed(format string, args ...any) *access.Error {
	return &access.Error{Kind: access.Malformed, Reason: access.ReasonMalformed, Message: fmt.Sprintf(format, args...)}
}

// What is answered before there is a call.
var (
	errNoRoute = status.Error(codes.NotFound, "there is nothing at this path; docs/API.md lists those that there are")
	errMethod  = status.Error(codes.Unimplemented, "this path does not take this method")
	errForeign = status.Error(codes.PermissionDenied, "pages of other sites are not served")
)

// noRoute answers where there is no handler.
func noRoute(ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, _ http.ResponseWriter, _ *http.Request, code int) {
	if code == http.StatusMethodNotAllowed {
		exchangeOf(ctx).fail(errMethod)
		return
	}
	exchangeOf(ctx).fail(errNoRoute)
}

// answerError is grpc-gateway's way to fail.
func answerError(ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, _ http.ResponseWriter, _ *http.Request, err error) {
	exchangeOf(ctx).fail(err)
}

// failure is the body of an error.
type failure struct {
	Error struct {
		// Status is the gRPC code's name, Reason Sluice's own, which is stable.
		Status  string `json:"status"`
		Reason  string `json:"reason,omitempty"`
		Message string `json:"message"`
	} `json:"error"`
}

// fail answers an error. Nothing has been written before.
func (x *exchange) fail(err error) {
	st := status.Convert(err)
	code := rest.StatusOf(st.Code())
	if err == errMethod {
		code = http.StatusMethodNotAllowed
	}
	x.Header().Set("Content-Type", applicationJSON)
	x.Header().Set("X-Content-Type-Options", "nosniff")
	reason := rest.SetDetails(x.Header(), st, code)
	x.WriteHeader(code)
	x.failLine(st, reason)
}

// failLine writes an error as a line of JSON.
func (x *exchange) failLine(st *status.Status, reason string) {
	var f failure
	f.Error.Status, f.Error.Reason, f.Error.Message = code.Code_name[int32(st.Code())], reason, strings.ToValidUTF8(st.Message(), "")
	line, _ := json.Marshal(&f) // of three texts
	_, _ = x.Write(append(line, '\n'))
}
