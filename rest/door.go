package rest

import (
	"context"
	"errors"
	"net/http"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/rest/inprocess"
)

// Options are what the door needs.
type Options struct {
	// Handlers are the gRPC door's, by full method name.
	Handlers map[string]grpc.StreamHandler
	// ModelConfig returns the configuration of a model that the call's principal
	// may infer on, and an error for any other. It is asked about models whose
	// request does not say what tensors it holds: …/generate and raw bodies.
	ModelConfig func(ctx context.Context, call *access.Call, model, version string) (*pb.ModelConfig, error)
	// Origins returns the origins of web pages that may call the door; nil if none may.
	Origins func() []string
	// OpenAI tells whether OpenAI's routes are served; they are not if nil.
	OpenAI func() bool
	// Pool lends buffers; gRPC's own if nil.
	Pool mem.BufferPool
}

// Door serves HTTP. It is safe for concurrent use.
type Door struct {
	opts Options
	conn *inprocess.Conn
	mux  *runtime.ServeMux
	// opened is when, in seconds since 1970.
	opened int64
}

var _ http.Handler = (*Door)(nil)

// New returns a door to the handlers of o.
func New(o Options) (*Door, error) {
	if o.Pool == nil {
		o.Pool = mem.DefaultBufferPool()
	}
	if o.Origins == nil {
		o.Origins = func() []string { return nil }
	}
	d := &Door{opts: o, conn: inprocess.New(o.Handlers), opened: now()}
	d.mux = newMux()
	client := pb.NewGRPCInferenceServiceClient(&controlConn{d.conn})
	err := pb.RegisterGRPCInferenceServiceHandlerClient(context.Background(), d.mux, client)
	for path, handler := range map[string]runtime.HandlerFunc{"infer": d.infer, "generate": d.generate, "generate_stream": d.generateStream} {
		for _, pattern := range []string{"/v2/models/{name}/", "/v2/models/{name}/versions/{version}/"} {
			err = errors.Join(err, d.mux.HandlePath(http.MethodPost, pattern+path, handler))
		}
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

// Wait returns when no stream that the door opened runs any more.
func (d *Door) Wait() { d.conn.Wait() }

// ServeHTTP answers one request.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if d.cors(w, r) {
		return
	}
	x := newExchange(d, w, r)
	defer x.close()
	if x.v1(r.URL.EscapedPath()) {
		return
	}
	route, ok := routeOf(r.URL.EscapedPath(), r.Method)
	x.aside = route.aside
	if !ok {
		x.write(http.StatusNotFound, textPlain, "Not Found")
		return
	}
	d.mux.ServeHTTP(x, x.request(route.path))
}
