package inprocess_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/rest/inprocess"
	"github.com/sluice-gateway/sluice/wire"
)

func open(t *testing.T, c *inprocess.Conn) *inprocess.Stream {
	t.Helper()
	s, err := c.Open(called(t.Context()), method)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// echo answers each request with itself.
func echo(_ any, ss grpc.ServerStream) error {
	_ = ss.SendHeader(metadata.Pairs("h", "1"))
	ss.SetTrailer(metadata.Pairs("t", "1"))
	for {
		text, err := receive(ss)
		if err == io.EOF {
			return nil
		}
		if err == nil {
			m := wire.FromBytes([]byte(text))
			err = ss.SendMsg(m)
			m.Free()
		}
		if err != nil {
			return err
		}
	}
}

func TestAStreamGoesBothWays(t *testing.T) {
	c := conn(echo)
	s := open(t, c)
	header, err := s.Header()
	if err != nil || header["h"][0] != "1" {
		t.Errorf("header is %v, %v", header, err)
	}
	for i := range 5 {
		if err := s.SendMsg(&source{text: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
		var m wire.Message
		if err := s.RecvMsg(&m); err != nil || string(m.Buffers().Materialize()) != fmt.Sprint(i) {
			t.Errorf("received %q, %v", m.Buffers().Materialize(), err)
		}
		m.Free()
	}
	request := wire.FromBytes([]byte{8, 1})
	if err := s.SendMsg(request); err != nil {
		t.Fatal(err)
	}
	request.Free() // is the sender's as soon as it is sent
	live := new(pb.ServerLiveResponse)
	if err := s.RecvMsg(live); err != nil || !live.GetLive() {
		t.Errorf("received %v, %v", live, err)
	}
	_ = s.CloseSend()
	_ = s.CloseSend()
	if _, err := s.Next(); err != io.EOF {
		t.Errorf("the end is %v", err)
	}
	if s.Trailer()["t"][0] != "1" || s.Context() == nil {
		t.Errorf("trailer is %v", s.Trailer())
	}
	c.Wait()
}

func TestHowAStreamEnds(t *testing.T) {
	for name, c := range map[string]struct {
		handler grpc.StreamHandler
		want    error
	}{
		"well":            {func(any, grpc.ServerStream) error { return nil }, io.EOF},
		"with a status":   {func(any, grpc.ServerStream) error { return status.Error(codes.NotFound, "no") }, status.Error(codes.NotFound, "no")},
		"with a panic":    {func(any, grpc.ServerStream) error { panic("it quotes a message") }, status.Error(codes.Internal, "in-process call: the handler panicked")},
		"after an answer": {func(_ any, ss grpc.ServerStream) error { return ss.SendMsg(new(pb.ServerLiveResponse)) }, io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, conn(c.handler))
			var err error
			for err == nil {
				var m *wire.Message
				if m, err = s.Next(); err == nil {
					m.Free()
				}
			}
			if err.Error() != c.want.Error() {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if err := s.SendMsg(new(source)); err != io.EOF {
				t.Errorf("sending after the end: %v", err)
			}
		})
	}
}

// TestAHandlerRunsAheadOfItsReaderWithinBounds, and stops when nobody reads.
func TestAHandlerRunsAheadOfItsReaderWithinBounds(t *testing.T) {
	for name, size := range map[string]int{"small answers": 1 << 10, "large answers": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				budget := wire.NewBudget(wire.BudgetConfig{})
				account := budget.Account("p")
				defer account.Close()
				var sent atomic.Int64
				c := conn(func(_ any, ss grpc.ServerStream) error {
					for {
						m := wire.FromBytes(make([]byte, size))
						if err := m.Charge(account); err != nil {
							return err
						}
						err := ss.SendMsg(m)
						m.Free()
						if err != nil {
							return err
						}
						sent.Add(1)
					}
				})
				s := open(t, c)
				synctest.Wait()
				if bytes := int(sent.Load()) * size; bytes > max(64<<10, size) || bytes == 0 {
					t.Errorf("%d bytes wait for a client that does not read", bytes)
				}
				before := sent.Load()
				for range 3 {
					m, err := s.Next()
					if err != nil {
						t.Fatal(err)
					}
					m.Free()
				}
				synctest.Wait()
				if got := sent.Load() - before; got != 3 {
					t.Errorf("after three were read, %d more were sent", got)
				}
				s.Close()
				c.Wait()
				if held := budget.InFlight(); held != 0 {
					t.Errorf("%d bytes are still charged", held)
				}
			})
		})
	}
}

func TestReadyDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := make(chan struct{})
		s := open(t, conn(func(_ any, ss grpc.ServerStream) error {
			<-next
			_ = ss.SendMsg(new(pb.ServerLiveResponse))
			<-ss.Context().Done()
			return nil
		}))
		if m := s.Ready(); m != nil {
			t.Error("an answer came before it was sent")
		}
		close(next)
		synctest.Wait()
		m := s.Ready()
		if m == nil {
			t.Fatal("an answer that has come is not ready")
		}
		m.Free()
		s.Close()
	})
}

func TestClosingEndsTheHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, handler := range map[string]grpc.StreamHandler{
			"that waits for a request": func(_ any, ss grpc.ServerStream) error { _, err := receive(ss); return err },
			"that waits":               func(_ any, ss grpc.ServerStream) error { <-ss.Context().Done(); return ss.Context().Err() },
		} {
			c := conn(handler)
			s, err := c.Open(called(t.Context()), method)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			s.Close()
			s.Close()
			c.Wait()
			if _, err := s.Next(); !errors.Is(err, context.Canceled) {
				t.Errorf("a handler %s ended with %v", name, err)
			}
		}
	})
}

func TestADeadlineEndsAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(called(t.Context()), time.Second)
		defer cancel()
		s, err := conn(func(_ any, ss grpc.ServerStream) error { <-ss.Context().Done(); return ss.Context().Err() }).Open(ctx, method)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Next(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		s.Close()
	})
}
