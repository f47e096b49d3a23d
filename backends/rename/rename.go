// Package rename gives a backend's models other names to callers than they have
// at their server, and default versions: [Wrap] rewrites the names of models both
// ways, in requests and in answers. On the data path nothing else of a message is
// touched, its tensors go on by reference; answers of control RPCs are decoded.
// Texts of errors stay as the server wrote them.
package rename

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// names are the two names of models, and what versions they are asked for.
type names struct {
	server   map[string]string // by the name that callers use
	public   map[string]string // by the server's name
	versions map[string]string // by the name that callers use
}

// Wrap returns b under the names that callers use: rename has the server's names
// by them, no two the same, and versions the ones for requests that ask for none.
// Where there is nothing to rename it is b itself.
func Wrap(b backends.Backend, rename, versions map[string]string) backends.Backend {
	if len(rename) == 0 && len(versions) == 0 {
		return b
	}
	n := &names{server: rename, versions: versions, public: make(map[string]string, len(rename))}
	for public, server := range rename {
		n.public[server] = public
	}
	return &backend{Backend: b, names: n}
}

// backend is a server's, under other names.
type backend struct {
	backends.Backend
	names *names
}

var _ backends.Verified = (*backend)(nil)

// Mismatch is what the server's backend says.
func (b *backend) Mismatch() error { return backends.Mismatch(b.Backend) }

// known refuses the server's own name of a model that has another one: rules are
// written about that, and a second way in would be past them.
func (n *names) known(model string) error {
	if public, renamed := n.public[model]; renamed && public != model {
		if _, reused := n.server[model]; !reused {
			return backends.UnknownModel(model)
		}
	}
	return nil
}

// toServer is the server's name of a model.
func (n *names) toServer(model string) string {
	if server, renamed := n.server[model]; renamed {
		return server
	}
	return model
}

// toPublic is the callers' name of a model; shown is false for one that callers
// cannot name: its name is another's there.
func (n *names) toPublic(model string) (public string, shown bool) {
	if public, renamed := n.public[model]; renamed {
		return public, true
	}
	_, taken := n.server[model]
	return model, !taken
}

// Invoke rewrites a call and its answer.
func (b *backend) Invoke(ctx context.Context, method string, req, resp any, opts ...grpc.CallOption) error {
	if method == inference.GRPCInferenceService_ModelInfer_FullMethodName {
		return b.infer(ctx, method, req, resp, opts...)
	}
	translate, concerned := controls[method]
	if !concerned {
		return b.Backend.Invoke(ctx, method, req, resp, opts...)
	}
	return b.control(ctx, method, translate, req, resp, opts...)
}

func (b *backend) infer(ctx context.Context, method string, req, resp any, opts ...grpc.CallOption) error {
	m, over, err := message(req)
	if err != nil {
		return err
	}
	made, public, err := b.names.request(m)
	if err != nil {
		return err
	}
	if made != nil {
		defer made.Free()
		if over {
			m.Reset() // it was handed over: what is made holds what it needs of it
		}
		req = wire.HandOver{Message: made}
	}
	if err := b.Backend.Invoke(ctx, method, req, resp, opts...); err != nil {
		return err
	}
	if made == nil || public == "" {
		return nil
	}
	return b.names.answer(resp)
}

// message is the message of a request in any of the forms that Invoke takes.
func message(req any) (m *wire.Message, over bool, err error) {
	switch r := req.(type) {
	case *wire.Message:
		return r, false, nil
	case wire.HandOver:
		return r.Message, true, nil
	case proto.Message:
		b, err := proto.Marshal(r)
		return wire.FromBytes(b), false, err
	}
	return nil, false, fmt.Errorf("backends/rename: cannot read a %T", req)
}

// NewStream opens a stream whose requests and answers are rewritten.
func (b *backend) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := b.Backend.NewStream(ctx, desc, method, opts...)
	if err != nil || method != inference.GRPCInferenceService_ModelStreamInfer_FullMethodName {
		return s, err
	}
	return &stream{ClientStream: s, names: b.names}, nil
}

// stream is a server's, under other names.
type stream struct {
	grpc.ClientStream
	names *names
}

// SendMsg sends a request under the server's name.
func (s *stream) SendMsg(req any) error {
	m, _, err := message(req)
	if err != nil {
		return err
	}
	made, _, err := s.names.request(m)
	if err != nil {
		return err
	}
	if made == nil {
		return s.ClientStream.SendMsg(req)
	}
	defer made.Free()
	return s.ClientStream.SendMsg(made)
}

// RecvMsg receives an answer and puts the callers' name in.
func (s *stream) RecvMsg(resp any) error {
	if err := s.ClientStream.RecvMsg(resp); err != nil {
		return err
	}
	return s.names.streamAnswer(resp)
}
