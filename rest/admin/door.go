package admin

import (
	"context"
	"errors"
	"net/http"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"

	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
	"github.com/sluice-gateway/sluice/rest/inprocess"
)

// Door serves HTTP. It is safe for concurrent use.
type Door struct {
	conn *inprocess.Conn
	mux  *runtime.ServeMux
}

var _ http.Handler = (*Door)(nil)

// New returns a door to the handlers of the gRPC door, by full method name.
func New(handlers map[string]grpc.StreamHandler) (*Door, error) {
	d := &Door{conn: inprocess.New(handlers), mux: newMux()}
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
		// After the gateway's own of the same path, which it so takes the place of.
		d.mux.HandlePath(http.MethodGet, "/v1/approvals:watch", d.watch),
	)
	if err != nil {
		return nil, err
	}
	return d, nil
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

// Wait returns when no stream that the door opened runs any more.
func (d *Door) Wait() { d.conn.Wait() }

// ServeHTTP answers one request.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := newExchange(w, r)
	defer x.close()
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if r.URL.EscapedPath() == "/healthz" {
		x.health()
		return
	}
	d.mux.ServeHTTP(x, x.request())
}

// health says that the process answers, to anybody.
func (x *exchange) health() {
	if x.http.Method != http.MethodGet && x.http.Method != http.MethodHead {
		x.fail(errMethod)
		return
	}
	x.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = x.Write([]byte("ok\n"))
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
