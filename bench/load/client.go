package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/sluice-gateway/sluice/bench/kserve"
)

// door is a way to ask for calls and streams.
type door interface {
	// check makes a call, on each connection where there are fewer than callers,
	// and compares all of its answer.
	check(ctx context.Context) error
	// infer is the operation of one unary call. It compares the answer's length;
	// comparing all its bytes would cost more than sending them.
	infer(ctx context.Context, caller int, _ *recorder) error
	// open starts a stream and sends its request.
	open(ctx context.Context, caller int, a kserve.Ask) (answers, error)
	Close() error
}

// answers are the tokens of a stream.
type answers interface {
	// last says that there are no more requests.
	last() error
	// next takes one token and tells when it was due; io.EOF behind the last.
	next() (time.Time, error)
}

// dial makes the door's client.
func dial(s Spec) (door, error) {
	if s.Door != "" {
		return newWeb(s)
	}
	return newClient(s)
}

var errAnswer = errors.New("the answer is not the one that the backend gives")

// client is the gRPC connections to one target, and what is sent and expected.
type client struct {
	Spec
	conns   []*grpc.ClientConn
	request *kserve.Raw
	want    *kserve.Raw // the answer to a unary call
}

var streamDesc = &grpc.StreamDesc{StreamName: "ModelStreamInfer", ServerStreams: true, ClientStreams: true}

func newClient(s Spec) (*client, error) {
	c := &client{Spec: s, request: kserve.NewRaw(s.Ask.Encode())}
	want, err := kserve.NewAnswers(s.Ask.Output).Infer(s.Ask)
	if err != nil {
		return nil, err
	}
	c.want = kserve.NewRaw(want.Materialize())
	for range s.Conns {
		cc, err := grpc.NewClient("passthrough:///"+s.Address,
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(),
			grpc.WithDefaultCallOptions(
				grpc.ForceCodecV2(kserve.Codec{}),
				grpc.MaxCallRecvMsgSize(math.MaxInt32),
			))
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c.conns = append(c.conns, cc)
	}
	return c, nil
}

// Close closes the connections.
func (c *client) Close() error {
	var errs []error
	for _, cc := range c.conns {
		errs = append(errs, cc.Close())
	}
	return errors.Join(errs...)
}

// withToken gives a context whose calls carry the token, if there is one.
func withToken(ctx context.Context, token string) context.Context {
	if token == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}

func (c *client) conn(caller int) *grpc.ClientConn { return c.conns[caller%len(c.conns)] }

func (c *client) check(ctx context.Context) error {
	if c.Prompt {
		return oneToken(ctx, c, c.Ask.Model)
	}
	for i := range c.conns {
		var out kserve.Raw
		if err := c.conn(i).Invoke(ctx, kserve.MethodInfer, c.request, &out); err != nil {
			return err
		}
		same := bytes.Equal(out.Materialize(), c.want.Materialize())
		out.Free()
		if !same {
			return errAnswer
		}
	}
	return nil
}

func (c *client) infer(ctx context.Context, caller int, _ *recorder) error {
	var out kserve.Raw
	if err := c.conn(caller).Invoke(ctx, kserve.MethodInfer, c.request, &out); err != nil {
		return err
	}
	n := out.Len()
	out.Free()
	if want := c.want.Len(); n != want {
		return fmt.Errorf("answer of %d bytes, want %d", n, want)
	}
	return nil
}

func (c *client) open(ctx context.Context, caller int, a kserve.Ask) (answers, error) {
	s, err := c.conn(caller).NewStream(ctx, streamDesc, kserve.MethodStream)
	if err != nil {
		return nil, err
	}
	request := a.Encode
	if c.Prompt {
		request = a.EncodePrompt
	}
	if err := s.SendMsg(kserve.NewRaw(request())); err != nil {
		return nil, fmt.Errorf("%w: %w", err, s.RecvMsg(new(kserve.Raw)))
	}
	return messages{s}, nil
}

// messages are the tokens of a gRPC stream.
type messages struct{ grpc.ClientStream }

func (m messages) last() error { return m.CloseSend() }

func (m messages) next() (time.Time, error) {
	var raw kserve.Raw
	if err := m.RecvMsg(&raw); err != nil {
		return time.Time{}, err
	}
	defer raw.Free()
	return kserve.TokenDue(raw.BufferSlice)
}
