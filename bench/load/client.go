package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/sluice-gateway/sluice/bench/kserve"
)

// client is the connections to one target, and what is sent and expected.
type client struct {
	conns   []*grpc.ClientConn
	request *kserve.Raw
	ask     kserve.Ask
	want    *kserve.Raw // the answer to a unary call
	phase   *phase
}

var streamDesc = &grpc.StreamDesc{StreamName: "ModelStreamInfer", ServerStreams: true, ClientStreams: true}

func dial(s Spec, p *phase) (*client, error) {
	c := &client{request: kserve.NewRaw(s.Ask.Encode()), ask: s.Ask, phase: p}
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

// check makes one call on each connection and compares all of its answer.
func (c *client) check(ctx context.Context) error {
	for i := range c.conns {
		var out kserve.Raw
		if err := c.conn(i).Invoke(ctx, kserve.MethodInfer, c.request, &out); err != nil {
			return err
		}
		same := bytes.Equal(out.Materialize(), c.want.Materialize())
		out.Free()
		if !same {
			return errors.New("the answer is not the one that the backend gives")
		}
	}
	return nil
}

// infer is the operation of one unary call. It compares the answer's length;
// comparing all its bytes would cost more than sending them.
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

// open starts a stream and sends its request.
func (c *client) open(ctx context.Context, caller int) (grpc.ClientStream, error) {
	s, err := c.conn(caller).NewStream(ctx, streamDesc, kserve.MethodStream)
	if err != nil {
		return nil, err
	}
	if err := s.SendMsg(c.request); err != nil {
		return nil, fmt.Errorf("%w: %w", err, s.RecvMsg(new(kserve.Raw)))
	}
	return s, nil
}

// receive takes one token and tells when it was due.
func receive(s grpc.ClientStream) (time.Time, error) {
	var m kserve.Raw
	if err := s.RecvMsg(&m); err != nil {
		return time.Time{}, err
	}
	defer m.Free()
	return kserve.TokenDue(m.BufferSlice)
}

// tokens is the operation of one stream, from its request to its end.
func (c *client) tokens(ctx context.Context, caller int, r *recorder) error {
	s, err := c.open(ctx, caller)
	if err != nil {
		return err
	}
	if err := s.CloseSend(); err != nil {
		return err
	}
	for n := 0; ; n++ {
		due, err := receive(s)
		if errors.Is(err, io.EOF) && n == c.ask.Tokens {
			return nil
		}
		if err != nil {
			return fmt.Errorf("after %d tokens: %w", n, err)
		}
		if c.phase.is(measuring) {
			r.token(time.Since(due))
		}
	}
}
