package rest_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	pb "github.com/sluice-gateway/sluice/gen/inference"
)

// pipes is a listener in memory, so that a test's clock is its own.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	c, open := <-p.conns
	if !open {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.conns) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// connect opens a connection to a server of the door; it is served until the
// test ends.
func (r *rig) connect(t *testing.T) net.Conn {
	t.Helper()
	l := &pipes{conns: make(chan net.Conn)}
	h := &http.Server{Handler: r}
	var serving sync.WaitGroup
	serving.Go(func() { _ = h.Serve(l) })
	client, server := net.Pipe()
	l.conns <- server
	t.Cleanup(func() {
		_ = client.Close()
		_ = h.Close()
		serving.Wait()
	})
	return client
}

// write writes what it can, and forgets the rest.
func write(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// TestABodyThatDoesNotComeIsNotWaitedForForEver, however it is sent: not at all,
// or a byte now and then.
func TestABodyThatDoesNotComeIsNotWaitedForForEver(t *testing.T) {
	for name, c := range map[string]struct {
		head  string
		piece string
		every time.Duration
	}{
		"nothing comes":      {"Content-Length: 1000\r\n\r\n", "", 0},
		"a byte a second":    {"Content-Length: 100000\r\n\r\n", "x", time.Second},
		"chunks of a byte":   {"Transfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n", time.Second},
		"the end is missing": {"Transfer-Encoding: chunked\r\n\r\n13\r\n{\"inputs\":[],\"x\":[1]\r\n", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				conn := r.connect(t)
				write(t, conn, "POST "+inferPath+" HTTP/1.1\r\nHost: x\r\n"+c.head)
				began := time.Now()
				stop := make(chan struct{})
				var sending sync.WaitGroup
				if c.piece != "" {
					sending.Go(func() {
						for {
							select {
							case <-stop:
								return
							case <-time.After(c.every):
								if _, err := io.WriteString(conn, c.piece); err != nil {
									return
								}
							}
						}
					})
				}
				resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
				took := time.Since(began)
				close(stop)
				if err != nil {
					t.Fatal(err)
				}
				if resp.StatusCode != http.StatusBadRequest && resp.StatusCode != http.StatusInternalServerError || took > time.Minute {
					t.Errorf("got %s after %v", resp.Status, took)
				}
				_ = resp.Body.Close()
				_ = conn.Close()
				sending.Wait()
				synctest.Wait()
				if n := r.budget.InFlight(); n != 0 {
					t.Errorf("%d bytes are still charged", n)
				}
			})
		})
	}
}

// TestABodyThatComesSlowlyButComesIsTaken: the deadline moves on with it.
func TestABodyThatComesSlowlyButComesIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		conn := r.connect(t)
		const n, piece = 20, 32 << 10
		write(t, conn, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", inferPath, n*piece+len(empty)))
		began := time.Now()
		for range n {
			time.Sleep(10 * time.Second)
			write(t, conn, strings.Repeat(" ", piece))
		}
		write(t, conn, empty)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || resp.StatusCode != http.StatusOK || time.Since(began) < 200*time.Second {
			t.Errorf("got %v, %v after %v", resp, err, time.Since(began))
		}
	})
}

// TestAModelMayTakeItsTime: the deadlines are for bodies and not for what is
// between them.
func TestAModelMayTakeItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.answer = func(s seen) ([]proto.Message, error) {
			time.Sleep(time.Hour)
			return []proto.Message{answerTo(s)}, nil
		}
		conn := r.connect(t)
		for range 2 { // the second request finds no deadline of the first's
			write(t, conn, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", inferPath, len(empty), empty))
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || resp.StatusCode != http.StatusOK {
				t.Fatalf("got %v, %v", resp, err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestAnAnswerThatNobodyReadsIsNotKeptForEver.
func TestAnAnswerThatNobodyReadsIsNotKeptForEver(t *testing.T) {
	for _, path := range []string{inferPath, "/v2/models/m/generate_stream"} {
		t.Run(path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.answer = func(s seen) ([]proto.Message, error) {
					large := &pb.ModelInferResponse{Outputs: []*pb.ModelInferResponse_InferOutputTensor{{Name: "O", Datatype: "UINT8", Shape: []int64{4 << 20}}}, RawOutputContents: [][]byte{make([]byte, 4<<20)}}
					if s.method == pb.GRPCInferenceService_ModelInfer_FullMethodName {
						return []proto.Message{large}, nil
					}
					return []proto.Message{&pb.ModelStreamInferResponse{InferResponse: large}, &pb.ModelStreamInferResponse{InferResponse: large}}, nil
				}
				conn := r.connect(t)
				body := map[bool]string{true: empty, false: "{}"}[path == inferPath]
				write(t, conn, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body))
				began := time.Now()
				first := make([]byte, 1)
				if _, err := io.ReadFull(conn, first); err != nil {
					t.Fatal(err)
				}
				time.Sleep(5 * time.Minute)
				synctest.Wait()
				r.Wait()
				if n := r.budget.InFlight(); n != 0 {
					t.Errorf("%v later %d bytes are still charged", time.Since(began), n)
				}
			})
		})
	}
}
