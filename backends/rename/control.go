package rename

import (
	"context"
	"fmt"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/backends"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// control rewrites the messages of one control RPC. Neither is shared: request
// gets a copy, and answer what was decoded for it.
type control struct {
	empty   func() proto.Message // a request
	request func(n *names, req proto.Message) error
	reply   func() proto.Message              // an answer, where names are in it
	answer  func(*names, proto.Message)       // rewrites it
	shallow func(proto.Message) proto.Message // copies a request that may be large
}

// controls are the control RPCs that name models.
var controls = map[string]control{
	pb.GRPCInferenceService_ModelReady_FullMethodName: {
		empty: func() proto.Message { return new(pb.ModelReadyRequest) },
		request: func(n *names, req proto.Message) error {
			r, _ := req.(*pb.ModelReadyRequest)
			return n.versioned(&r.Name, &r.Version)
		},
	},
	pb.GRPCInferenceService_ModelMetadata_FullMethodName: {
		empty: func() proto.Message { return new(pb.ModelMetadataRequest) },
		request: func(n *names, req proto.Message) error {
			r, _ := req.(*pb.ModelMetadataRequest)
			return n.versioned(&r.Name, &r.Version)
		},
		reply: func() proto.Message { return new(pb.ModelMetadataResponse) },
		answer: func(n *names, resp proto.Message) {
			r, _ := resp.(*pb.ModelMetadataResponse)
			r.Name, _ = n.toPublic(r.GetName())
		},
	},
	pb.GRPCInferenceService_ModelConfig_FullMethodName: {
		empty: func() proto.Message { return new(pb.ModelConfigRequest) },
		request: func(n *names, req proto.Message) error {
			r, _ := req.(*pb.ModelConfigRequest)
			return n.versioned(&r.Name, &r.Version)
		},
		reply: func() proto.Message { return new(pb.ModelConfigResponse) },
		answer: func(n *names, resp proto.Message) {
			r, _ := resp.(*pb.ModelConfigResponse)
			n.config(r.GetConfig())
		},
	},
	pb.GRPCInferenceService_ModelStatistics_FullMethodName: {
		empty: func() proto.Message { return new(pb.ModelStatisticsRequest) },
		request: func(n *names, req proto.Message) error {
			r, _ := req.(*pb.ModelStatisticsRequest)
			return n.named(&r.Name)
		},
		reply: func() proto.Message { return new(pb.ModelStatisticsResponse) },
		answer: func(n *names, resp proto.Message) {
			r, _ := resp.(*pb.ModelStatisticsResponse)
			r.ModelStats = slices.DeleteFunc(r.GetModelStats(), func(s *pb.ModelStatistics) (hidden bool) {
				return !n.shown(&s.Name)
			})
		},
	},
	pb.GRPCInferenceService_RepositoryIndex_FullMethodName: {
		empty:   func() proto.Message { return new(pb.RepositoryIndexRequest) },
		request: func(*names, proto.Message) error { return nil },
		reply:   func() proto.Message { return new(pb.RepositoryIndexResponse) },
		answer: func(n *names, resp proto.Message) {
			r, _ := resp.(*pb.RepositoryIndexResponse)
			r.Models = slices.DeleteFunc(r.GetModels(), func(m *pb.RepositoryIndexResponse_ModelIndex) (hidden bool) {
				return !n.shown(&m.Name)
			})
		},
	},
	pb.GRPCInferenceService_RepositoryModelLoad_FullMethodName: {
		empty: func() proto.Message { return new(pb.RepositoryModelLoadRequest) },
		request: func(n *names, req proto.Message) error {
			r, _ := req.(*pb.RepositoryModelLoadRequest)
			return n.named(&r.ModelName)
		},
		shallow: func(req proto.Message) proto.Message {
			r, _ := req.(*pb.RepositoryModelLoadRequest) // it may hold a model's weights
			return &pb.RepositoryModelLoadRequest{RepositoryName: r.GetRepositoryName(), ModelName: r.GetModelName(), Parameters: r.GetParameters()}
		},
	},
	pb.GRPCInferenceService_RepositoryModelUnload_FullMethodName: {
		empty: func() proto.Message { return new(pb.RepositoryModelUnloadRequest) },
		request: func(n *names, req proto.Message) error {
			r, _ := req.(*pb.RepositoryModelUnloadRequest)
			return n.named(&r.ModelName)
		},
	},
	pb.GRPCInferenceService_TraceSetting_FullMethodName: {
		empty: func() proto.Message { return new(pb.TraceSettingRequest) },
		request: func(n *names, req proto.Message) error {
			r, _ := req.(*pb.TraceSettingRequest)
			return n.named(&r.ModelName)
		},
	},
}

// control makes a control call under the server's names.
func (b *backend) control(ctx context.Context, method string, c control, req, resp any, opts ...grpc.CallOption) error {
	own, err := c.copy(req)
	if err != nil {
		return err
	}
	if err := c.request(b.names, own); err != nil {
		return err
	}
	if c.reply == nil {
		return b.Backend.Invoke(ctx, method, own, resp, opts...)
	}
	answer := c.reply()
	if err := b.Backend.Invoke(ctx, method, own, answer, opts...); err != nil {
		return err
	}
	c.answer(b.names, answer)
	return give(resp, answer)
}

// copy is a request of its own, for it may be sent to several servers at once.
func (c control) copy(req any) (proto.Message, error) {
	switch r := req.(type) {
	case *wire.Message:
		own := c.empty()
		return own, r.Unmarshal(own)
	case wire.HandOver:
		own := c.empty()
		return own, r.Unmarshal(own)
	case proto.Message:
		if c.shallow != nil {
			return c.shallow(r), nil
		}
		return proto.Clone(r), nil
	}
	return nil, fmt.Errorf("backends/rename: cannot read a %T", req)
}

// give puts an answer where the caller wants it.
func give(resp any, answer proto.Message) error {
	switch r := resp.(type) {
	case *wire.Message:
		m, err := wire.FromProto(answer)
		if err != nil {
			return backends.NotKServe(err)
		}
		return become(r, m)
	case proto.Message:
		proto.Merge(r, answer)
		return nil
	}
	return fmt.Errorf("backends/rename: cannot answer with a %T", resp)
}

// named makes of a callers' name the server's.
func (n *names) named(name *string) error {
	if err := n.known(*name); err != nil {
		return err
	}
	*name = n.toServer(*name)
	return nil
}

// versioned does so, and fills in a version.
func (n *names) versioned(name, version *string) error {
	if *version == "" {
		*version = n.versions[*name]
	}
	return n.named(name)
}

// shown makes of the server's name the callers', and tells whether there is one.
func (n *names) shown(name *string) bool {
	public, shown := n.toPublic(*name)
	*name = public
	return shown
}

// config renames a model in its configuration, and the steps of an ensemble.
func (n *names) config(c *pb.ModelConfig) {
	if c == nil {
		return
	}
	c.Name, _ = n.toPublic(c.GetName())
	for _, step := range c.GetEnsembleScheduling().GetStep() {
		step.ModelName, _ = n.toPublic(step.GetModelName())
	}
}
