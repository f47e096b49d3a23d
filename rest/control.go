package rest

import (
	"context"
	"errors"
	"net/http"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/rest/dialect"
	"github.com/sluice-gateway/sluice/rest/inprocess"
	"github.com/sluice-gateway/sluice/wire"
)

// errNoMessage is a mistake in the composition.
var errNoMessage = errors.New("rest: something that is no message")

// controlConn is the connection of grpc-gateway's handlers. They hand over a
// request with what the path says; what the body says is read in when the chain
// asks for the request.
type controlConn struct{ conn *inprocess.Conn }

// Invoke makes a call.
func (c *controlConn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	m, ok := args.(proto.Message)
	if !ok {
		return errNoMessage
	}
	fromPath(m)
	return c.conn.Invoke(ctx, method, &controlSource{exchangeOf(ctx), m}, reply, opts...)
}

// NewStream is not used: no plain RPC is a stream.
func (c *controlConn) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, errNoMessage
}

// fromPath turns segments of the path into names.
func fromPath(m proto.Message) {
	switch m := m.(type) {
	case *pb.ModelReadyRequest:
		m.Name = modelName(m.Name)
	case *pb.ModelMetadataRequest:
		m.Name = modelName(m.Name)
	case *pb.ModelConfigRequest:
		m.Name = modelName(m.Name)
	case *pb.ModelStatisticsRequest:
		m.Name = modelName(m.Name)
	case *pb.RepositoryModelLoadRequest:
		m.ModelName = modelName(m.ModelName)
	case *pb.RepositoryModelUnloadRequest:
		m.ModelName = modelName(m.ModelName)
	case *pb.TraceSettingRequest:
		m.ModelName = modelName(m.ModelName)
	case *pb.RepositoryIndexRequest:
		m.RepositoryName = "" // Triton's endpoint does not look at it
	}
}

// controlSource is a request whose body is read when it is asked for.
type controlSource struct {
	x *exchange
	m proto.Message
}

var _ wire.Source = (*controlSource)(nil)

// Receive reads the body into the request and makes its message.
func (s *controlSource) Receive(_ context.Context, in *wire.Intake) error {
	if s.x.http.Method == http.MethodPost {
		if err := s.x.checkPlain(); err != nil {
			return err
		}
		if err := dialect.ReadControl(s.x.plain(in), s.m, in); err != nil {
			return s.x.refuse(err)
		}
	}
	if err := in.Charge(proto.Size(s.m)); err != nil {
		return err
	}
	made, err := wire.FromProto(s.m)
	if err != nil {
		return s.x.refuse(err)
	}
	for _, b := range made.Buffers() {
		b.Ref()
		in.Append(b)
	}
	made.Free()
	return nil
}
