package backendstest

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Any is the method of a [Script] that stands for all which have no steps of
// their own. Without it those are UNIMPLEMENTED.
const Any = "*"

// Script says what happens to a call, by the name of its method alone, as in
// "ModelInfer". The steps are taken in turn; the call ends OK after the last.
type Script map[string][]Step

// Step is one thing that happens to a call. An error ends the call with it.
type Step func(*Call) error

// Receive waits for one message of the client's and keeps it. It is an error
// of the client's to have half-closed before.
func Receive() Step {
	return func(c *Call) error {
		err := c.receive()
		if errors.Is(err, io.EOF) {
			return status.Error(codes.InvalidArgument, "the client has half-closed")
		}
		return err
	}
}

// ReceiveAll keeps all messages until the client half-closes.
func ReceiveAll() Step {
	return func(c *Call) error {
		for {
			if err := c.receive(); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
		}
	}
}

// Each answers every message that the client sends, until it half-closes, with
// those that answer returns, which may be none. answer gets the message as it
// came.
func Each(answer func(request []byte) [][]byte) Step {
	return func(c *Call) error {
		for {
			if err := c.receive(); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
			if err := c.send(answer(c.last())...); err != nil {
				return err
			}
		}
	}
}

// Reply takes one message, the one that came last if any has, and answers what
// answer makes of it.
func Reply[M any, P interface {
	*M
	proto.Message
}](answer func(P) (proto.Message, error)) Step {
	return func(c *Call) error {
		if len(c.Messages()) == 0 {
			if err := Receive()(c); err != nil {
				return err
			}
		}
		request := P(new(M))
		if err := proto.Unmarshal(c.last(), request); err != nil {
			return status.Error(codes.Internal, "Exception deserializing request!") // grpcio's words
		}
		response, err := answer(request)
		if err != nil {
			return err
		}
		return Send(response)(c)
	}
}

// Send sends messages.
func Send(messages ...proto.Message) Step {
	return func(c *Call) error {
		for _, m := range messages {
			b, err := proto.Marshal(m)
			if err != nil {
				return err
			}
			if err := c.send(b); err != nil {
				return err
			}
		}
		return nil
	}
}

// SendBytes sends messages whose bytes are given.
func SendBytes(messages ...[]byte) Step {
	return func(c *Call) error { return c.send(messages...) }
}

// Garbage sends a message that no protobuf parser accepts: a field that is
// longer than the message.
func Garbage() Step { return SendBytes([]byte{0x0a, 0xff, 0xff, 0xff, 0x7f, 'x'}) }

// Header sends headers before any message, pairs of key and value.
func Header(pairs ...string) Step {
	return func(c *Call) error {
		c.sent = true
		return c.stream.SendHeader(metadata.Pairs(pairs...))
	}
}

// Trailer adds to what is sent with the status.
func Trailer(pairs ...string) Step {
	return func(c *Call) error { c.stream.SetTrailer(metadata.Pairs(pairs...)); return nil }
}

// Fail ends the call with a status.
func Fail(code codes.Code, text string) Step {
	return func(*Call) error { return status.Error(code, text) }
}

// Wait lets time pass, or the call end.
func Wait(d time.Duration) Step {
	return func(c *Call) error {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			return nil
		case <-c.Context().Done():
			return status.FromContextError(c.Context().Err()).Err()
		}
	}
}

// Until waits for the test to close ready, or for the call's end.
func Until(ready <-chan struct{}) Step {
	return func(c *Call) error {
		select {
		case <-ready:
			return nil
		case <-c.Context().Done():
			return status.FromContextError(c.Context().Err()).Err()
		}
	}
}

// Hang does nothing until the client or the test gives up.
func Hang() Step { return Until(nil) }

// Reset closes every connection that the server has, behind what the call has
// sent before.
func Reset() Step {
	return func(c *Call) error {
		if !c.sent {
			c.server.listener.reset()
		} else if err := c.send(cutMark); err != nil {
			return err
		}
		<-c.Context().Done()
		return status.FromContextError(c.Context().Err()).Err()
	}
}

// Do runs f in the call's turn; a test that has to know how far a call has come
// can close a channel in it.
func Do(f func(*Call)) Step {
	return func(c *Call) error { f(c); return nil }
}

// Call is one call that came, as the server saw it.
type Call struct {
	// Method is its name alone; Path is what the client sent.
	Method, Path string
	Metadata     metadata.MD

	server   *Server
	stream   grpc.ServerStream
	sent     bool     // something; only the call's own goroutine looks
	messages [][]byte // guarded by server.mu
	ended    bool     // guarded by server.mu
}

// Context ends with the call.
func (c *Call) Context() context.Context { return c.stream.Context() }

// Messages returns what the client has sent so far, as it came.
func (c *Call) Messages() [][]byte {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	return append([][]byte(nil), c.messages...)
}

// Ended tells whether the call is over, for instance because its cancellation
// has arrived.
func (c *Call) Ended() bool {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	return c.ended
}

func (c *Call) send(messages ...[]byte) error {
	for _, b := range messages {
		c.sent = true
		if err := c.stream.SendMsg(&b); err != nil {
			return err
		}
	}
	return nil
}

func (c *Call) last() []byte {
	all := c.Messages()
	return all[len(all)-1]
}

func (c *Call) receive() error {
	var b []byte
	if err := c.stream.RecvMsg(&b); err != nil {
		return err
	}
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.messages = append(c.messages, b)
	return nil
}
