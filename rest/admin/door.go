package admin

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
	"github.com/sluice-gateway/sluice/rest"
)

// Door serves HTTP. It is safe for concurrent use.
type Door struct {
	conn *rest.Conn
	mux  *runtime.ServeMux
	// document is the OpenAPI document of what is served.
	document []byte
}

var _ http.Handler = (*Door)(nil)

// New returns a door to the handlers of the gRPC door, by full method name.
func New(handlers map[string]grpc.StreamHandler) (*Door, error) {
	d := &Door{conn: rest.NewConn(handlers), mux: newMux()}
	conn := &conn{d.conn}
	ctx := context.Background()
	err := errors.Join(
		pb.RegisterApprovalServiceHandlerClient(ctx, d.mux, pb.NewApprovalServiceClient(conn)),
		pb.RegisterAccessServiceHandlerClient(ctx, d.mux, pb.NewAccessServiceClient(conn)),
		pb.RegisterGrantServiceHandlerClient(ctx, d.mux, pb.NewGrantServiceClient(conn)),
		pb.RegisterSessionServiceHandlerClient(ctx, d.mux, pb.NewSessionServiceClient(conn)),
		pb.RegisterPolicyServiceHandlerClient(ctx, d.mux, pb.NewPolicyServiceClient(conn)),
		pb.RegisterIdentityServiceHandlerClient(ctx, d.mux, pb.NewIdentityServiceClient(conn)),
		pb.RegisterSecretServiceHandlerClient(ctx, d.mux, pb.NewSecretServiceClient(conn)),
		pb.RegisterBackendServiceHandlerClient(ctx, d.mux, pb.NewBackendServiceClient(conn)),
		pb.RegisterAuditServiceHandlerClient(ctx, d.mux, pb.NewAuditServiceClient(conn)),
	)
	services := servicesOf(handlers)
	err = errors.Join(err, d.streams(services)) // after the gateway's own of the same paths, whose place they take
	var wrong error
	d.document, wrong = document(services)
	if err = errors.Join(err, wrong); err != nil {
		return nil, err
	}
	return d, nil
}

// servicesOf are the services that handlers belong to, sorted by name.
func servicesOf(handlers map[string]grpc.StreamHandler) (all []protoreflect.ServiceDescriptor) {
	seen := make(map[string]bool)
	for _, method := range slices.Sorted(maps.Keys(handlers)) {
		name, _, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
		found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
		if service, ok := found.(protoreflect.ServiceDescriptor); ok && err == nil && !seen[name] {
			seen[name] = true
			all = append(all, service)
		}
	}
	return all
}

// newMux returns grpc-gateway's mux, which routes and writes answers; headers,
// queries and bodies it gets none to read.
func newMux() *runtime.ServeMux {
	none := func(string) (string, bool) { return "", false }
	return runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, marshaler{}),
		runtime.WithUnescapingMode(runtime.UnescapingModeLegacy), // which decodes nothing: Path is as sent
		runtime.WithDisablePathLengthFallback(),
		runtime.WithDisableHTTPMethodOverride(),
		runtime.WithIncomingHeaderMatcher(none),
		runtime.WithOutgoingHeaderMatcher(none),
		runtime.WithOutgoingTrailerMatcher(none),
		runtime.WithErrorHandler(answerError),
		runtime.WithRoutingErrorHandler(noRoute),
	)
}

// Wait returns when no call that came through the door runs any more.
func (d *Door) Wait() { d.conn.Wait() }

// ServeHTTP answers one request.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := newExchange(w, r)
	defer x.close()
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	switch r.URL.EscapedPath() {
	case "/healthz":
		x.page("text/plain; charset=utf-8", []byte("ok\n"))
		return
	case "/v1/openapi.json":
		x.page(applicationJSON, d.document)
		return
	}
	d.mux.ServeHTTP(x, x.request())
}

// page answers what everybody may see: that the process answers, and what it serves.
func (x *exchange) page(contentType string, text []byte) {
	if x.http.Method != http.MethodGet && x.http.Method != http.MethodHead {
		x.fail(errMethod)
		return
	}
	x.Header().Set("Content-Type", contentType)
	_, _ = x.Write(text)
}

// SameSite refuses what a browser sends for a page of another site: nothing here is
// for those, and what a browser might add by itself (a client certificate, an
// address that it reaches and the page's owner does not) is not theirs to use.
func SameSite(next http.Handler) http.Handler {
	guard := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" || site == "same-site" || guard.Check(r) != nil {
			x := newExchange(w, r)
			defer x.close()
			x.fail(errForeign)
			return
		}
		next.ServeHTTP(w, r)
	})
}
