package rest

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/protobuf/proto"

	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/rest/dialect"
)

const (
	textPlain       = "text/plain"
	applicationJSON = "application/json"
)

// parseNoQuery sets grpc-gateway's parser of queries, once: it is one for the
// whole process, although it looks like an option of one mux.
var parseNoQuery sync.Once

// newMux returns grpc-gateway's mux speaking the dialect: our marshaler, our
// errors, methods as they are, paths as they were sent.
func newMux() *runtime.ServeMux {
	parseNoQuery.Do(func() { runtime.NewServeMux(runtime.SetQueryParameterParser(noQuery{})) })
	return runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, marshaler{}),
		runtime.WithUnescapingMode(runtime.UnescapingModeLegacy), // which decodes nothing: Path is as sent
		runtime.WithDisablePathLengthFallback(),                  // a form is no GET
		runtime.WithDisableHTTPMethodOverride(),                  // the method decides on the verb
		runtime.WithIncomingHeaderMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithOutgoingHeaderMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithOutgoingTrailerMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithErrorHandler(answerError),
		runtime.WithRoutingErrorHandler(noRoute),
		runtime.WithForwardResponseOption(notReady),
	)
}

// marshaler writes answers as Triton does. It reads nothing: bodies are read
// when the chain asks for them.
type marshaler struct{}

var _ runtime.Marshaler = marshaler{}

// Marshal writes an answer's body.
func (marshaler) Marshal(v any) ([]byte, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return nil, errNoMessage
	}
	var all []byte
	page := make([]byte, dialect.PageSize)
	p := dialect.NewPage(page, func(b []byte) error { all = append(all, b...); return nil })
	if err := p.Control(m); err != nil {
		return nil, err
	}
	return append(all, p.Rest()...), nil
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

// ContentType is what Triton says of an answer: text/plain of those that have
// no body.
func (marshaler) ContentType(v any) string {
	switch v.(type) {
	case *pb.ServerLiveResponse, *pb.ServerReadyResponse, *pb.ModelReadyResponse:
		return textPlain
	default:
		return applicationJSON
	}
}

// noQuery makes no field of a query: Triton looks at none.
type noQuery struct{}

// Parse does nothing.
func (noQuery) Parse(proto.Message, url.Values, *utilities.DoubleArray) error { return nil }

// notReady gives the answers that say no their status.
func notReady(_ context.Context, w http.ResponseWriter, m proto.Message) error {
	switch m := m.(type) {
	case *pb.ServerLiveResponse:
		if m.GetLive() {
			return nil
		}
	case *pb.ServerReadyResponse:
		if m.GetReady() {
			return nil
		}
	case *pb.ModelReadyResponse:
		if m.GetReady() {
			return nil
		}
	default:
		return nil
	}
	w.WriteHeader(http.StatusBadRequest)
	return nil
}

// noRoute answers where there is no handler.
func noRoute(ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, _ http.ResponseWriter, r *http.Request, status int) {
	x := exchangeOf(ctx)
	switch {
	case status != http.StatusMethodNotAllowed:
		x.write(http.StatusNotFound, textPlain, "Not Found")
	case plainPath(r.URL.Path):
		x.write(status, textPlain, "Method Not Allowed")
	default:
		x.write(status, applicationJSON, "Method Not Allowed")
	}
}

// plainPath tells whether Triton answers a wrong method there as text/plain.
func plainPath(path string) bool {
	return strings.HasPrefix(path, "/v2/health/") || strings.HasSuffix(path, "/ready") || strings.HasSuffix(path, "/infer")
}
