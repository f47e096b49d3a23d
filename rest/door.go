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
	"github.com/sluice-gateway/sluice/rest/openapi"
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
	// documents are the OpenAPI document without OpenAI's routes, and with them.
	documents [2][]byte
}

// inferences are the actions on a model that grpc-gateway does not make.
var inferences = map[string]func(*Door, http.ResponseWriter, *http.Request, map[string]string){
	"infer": (*Door).infer, "generate": (*Door).generate, "generate_stream": (*Door).generateStream,
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
	for action, serve := range inferences {
		for _, prefix := range modelPatterns {
			err = errors.Join(err, d.mux.HandlePath(http.MethodPost, prefix+action, func(w http.ResponseWriter, r *http.Request, path map[string]string) {
				serve(d, w, r, path)
			}))
		}
	}
	var wrong error
	d.documents[1], d.documents[0], wrong = openapi.Documents()
	if err = errors.Join(err, wrong); err != nil {
		return nil, err
	}
	return d, nil
}

// Wait returns when no call that came through the door runs any more.
func (d *Door) Wait() { d.conn.Wait() }

// ServeHTTP answers one request.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if d.cors(w, r) {
		return
	}
	x := newExchange(d, w, r)
	defer x.close()
	if path := r.URL.EscapedPath(); x.v1(path) || x.document(path) {
		return
	}
	route, ok := routeOf(r.URL.EscapedPath(), r.Method)
	x.aside = route.aside
	if !ok {
		x.write(http.StatusNotFound, textPlain, "Not Found")
		return
	}
	ctx, cancel, err := x.deadline(r.Context())
	if err != nil {
		x.fail(err, applicationJSON)
		return
	}
	defer cancel()
	d.mux.ServeHTTP(x, x.request(ctx, route.path))
}
