package inprocess

import (
	"context"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/wire"
)

// Conn is a client connection to handlers in this process. It is immutable and
// safe for concurrent use.
type Conn struct {
	handlers map[string]grpc.StreamHandler
	running  sync.WaitGroup
}

var _ grpc.ClientConnInterface = (*Conn)(nil)

// New returns a connection to the handlers, which are named by full method
// ("/inference.GRPCInferenceService/ModelInfer"). Unary methods are stream
// handlers too, as interceptors.Chain makes them.
func New(handlers map[string]grpc.StreamHandler) *Conn { return &Conn{handlers: handlers} }

// Wait returns when no handler runs any more. It ends none.
func (c *Conn) Wait() { c.running.Wait() }

// Invoke makes a unary call, on the caller's own goroutine. args is a
// [wire.Source], a *wire.Message or a proto.Message, reply one of the last two;
// a *wire.Message in reply is the caller's to free. Of the options it knows
// grpc.Header and grpc.Trailer. Errors are status errors; then reply is empty.
func (c *Conn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	handler, err := c.handler(ctx, method)
	if err != nil {
		return err
	}
	// net/http does not wait for what it cuts off, and its record is to be written yet.
	c.running.Add(1)
	defer c.running.Done()
	s, cancel := newServerStream(ctx, method)
	defer cancel()
	asked, answered := false, false
	s.next = func() (any, error) {
		if asked {
			return nil, io.EOF
		}
		asked = true
		return args, nil
	}
	s.answer = func(m any) error {
		if answered {
			return status.Error(codes.Internal, "in-process call: a second answer to a unary call")
		}
		answered = true
		return pass(m, reply)
	}
	err = handler(nil, s)
	s.call.finish(opts)
	if err == nil && !answered {
		err = status.Error(codes.Internal, "in-process call: the handler gave no answer")
	}
	if m, ok := reply.(*wire.Message); ok && answered && err != nil {
		m.Reset()
	}
	return err
}

// handler finds a method's handler; a call without a caller goes nowhere.
func (c *Conn) handler(ctx context.Context, method string) (grpc.StreamHandler, error) {
	if callerFrom(ctx) == nil {
		return nil, status.Error(codes.Internal, "in-process call: nobody calls")
	}
	h := c.handlers[method]
	if h == nil {
		return nil, status.Errorf(codes.Unimplemented, "unknown method %s", method)
	}
	return h, nil
}

// pass gives one side's message to the other by reference, or by its bytes
// where one of them is decoded.
func pass(from, into any) error {
	data, err := wire.Codec{}.Marshal(from)
	if err != nil {
		return err
	}
	defer data.Free()
	return wire.Codec{}.Unmarshal(data, into)
}

// finish fills in what the call's options ask for.
func (c *call) finish(opts []grpc.CallOption) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range opts {
		switch o := o.(type) {
		case grpc.HeaderCallOption:
			*o.HeaderAddr = metadata.Join(c.header)
		case grpc.TrailerCallOption:
			*o.TrailerAddr = metadata.Join(c.trailer)
		}
	}
}
