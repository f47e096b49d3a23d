package rest

import (
	"context"
	"errors"
	"net/http"

	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/rest/dialect"
	"github.com/sluice-gateway/sluice/wire"
)

// notOne is what …/generate says of a model that answers less or more than once,
// under status 200.
const notOne = "generate expects model to produce exactly 1 response, use generate stream for model that generates various number of responses"

// asStatus asks a backend to end the stream with the status of an error that the
// model makes, which its message in the stream does not have. Backends that
// can't bear it do not get to see it.
var asStatus = []string{"true"}

const asStatusKey = "triton_grpc_error"

func (d *Door) generate(_ http.ResponseWriter, r *http.Request, path map[string]string) {
	d.generated(r, path, false)
}

func (d *Door) generateStream(_ http.ResponseWriter, r *http.Request, path map[string]string) {
	d.generated(r, path, true)
}

// generated serves …/generate and …/generate_stream: both are a stream of one
// request, so that models of either transaction policy answer.
func (d *Door) generated(r *http.Request, path map[string]string, streaming bool) {
	x := exchangeOf(r.Context())
	x.caller.Metadata[asStatusKey] = asStatus
	stream, err := d.conn.Open(r.Context(), pb.GRPCInferenceService_ModelStreamInfer_FullMethodName)
	if err != nil {
		x.fail(err, applicationJSON)
		return
	}
	defer stream.Close()
	s := &generateSource{x: x, request: dialect.Generate{Model: modelName(path["name"]), Version: path["version"]}}
	if stream.SendMsg(s) == nil { // where it fails, the first answer says why
		_ = stream.CloseSend()
	}
	(&generation{x: x, stream: stream, streaming: streaming}).run()
}

// generateSource is the request of a generation.
type generateSource struct {
	x       *exchange
	request dialect.Generate
}

var _ wire.Source = (*generateSource)(nil)

// Receive reads the body and makes the message.
func (s *generateSource) Receive(ctx context.Context, in *wire.Intake) error {
	if err := s.receive(ctx, in); err != nil {
		return s.x.refuse(err)
	}
	return nil
}

func (s *generateSource) receive(ctx context.Context, in *wire.Intake) (err error) {
	s.request.Config, err = s.x.door.opts.ModelConfig(ctx, s.x.call, s.request.Model, s.request.Version)
	switch {
	case errors.Is(err, ErrNotAllowed):
		return s.request.Name(in) // which is all that policy needs to refuse it
	case err != nil:
		return err
	}
	if err := s.x.checkPlain(); err != nil {
		return err
	}
	return s.request.Receive(s.x.plain(in), in)
}
