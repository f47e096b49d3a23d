package wire_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

const echoMethod = "/inference.GRPCInferenceService/ModelStreamInfer"

// door is a real gRPC server in this process, and ways to it. Its handler runs
// under an interceptor that turns a panic into Internal.
type door struct {
	account *wire.Account
	conn    *grpc.ClientConn
	raw     *http.Transport
	done    chan error // what each call's handler returned
}

// open serves handler until the test ends, and then looks for what it left.
func open(t *testing.T, per int64, handler func(r *wire.Receiver, a *wire.Account, ss grpc.ServerStream) error) *door {
	t.Helper()
	checkBuffers(t)
	d := &door{account: budget(t, per, 0), done: make(chan error, 100)}
	listener := bufconn.Listen(1 << 20)
	dial := func(ctx context.Context) (net.Conn, error) { return listener.DialContext(ctx) }
	srv := grpc.NewServer(
		grpc.ForceServerCodecV2(wire.Codec{}),
		grpc.WaitForHandlers(true),
		grpc.StreamInterceptor(recovered),
		grpc.UnknownServiceHandler(func(_ any, ss grpc.ServerStream) (err error) {
			defer func() { d.done <- err }()
			return handler(wire.NewReceiver(ss), d.account, ss)
		}),
	)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///door",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return dial(ctx) }),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(wire.Codec{}), grpc.MaxCallRecvMsgSize(wire.MaxMessage)))
	if err != nil {
		t.Fatal(err)
	}
	d.conn = conn
	d.raw = &http.Transport{
		Protocols:   new(http.Protocols),
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
	}
	d.raw.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		d.raw.CloseIdleConnections()
		srv.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		goleak.VerifyNone(t)
	})
	return d
}

func recovered(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = status.Errorf(codes.Internal, "panic: %v", p)
		}
	}()
	return handler(srv, ss)
}

// echo sends every message back as it came.
func echo(r *wire.Receiver, a *wire.Account, ss grpc.ServerStream) error {
	for {
		var m wire.Message
		if err := r.Recv(&m, a); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		err := ss.SendMsg(&m)
		m.Free()
		if err != nil {
			return err
		}
	}
}

// TestTransportAssertion shows that this version of grpc-go still lets a
// server read frames itself. If it fails after an upgrade, messages would be read
// by grpc-go before they are charged: the receiver has to be adapted first.
func TestTransportAssertion(t *testing.T) {
	d := open(t, 0, func(r *wire.Receiver, a *wire.Account, ss grpc.ServerStream) error {
		if !r.ReadsTransport() {
			return status.Error(codes.Internal, "the server's stream cannot be read frame by frame")
		}
		return echo(r, a, ss)
	})
	stream, err := d.conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, echoMethod)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(new(wire.Message)); err != io.EOF {
		t.Error(err)
	}
}

func TestEchoOverGRPC(t *testing.T) {
	for _, name := range []string{"identity", "gzip", "deflate"} {
		t.Run(name, func(t *testing.T) {
			d := open(t, 0, echo)
			stream, err := d.conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, echoMethod, grpc.UseCompressor(name))
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range []int{0, 1, 1000, 20_000, 5 << 20, 100} {
				req := &inference.ModelInferRequest{ModelName: "m", RawInputContents: [][]byte{payload(n)}}
				exchange(t, stream, req)
			}
			if err := stream.CloseSend(); err != nil {
				t.Fatal(err)
			}
			if err := stream.RecvMsg(new(wire.Message)); err != io.EOF {
				t.Error(err)
			}
		})
	}
}

// exchange sends req by reference and wants it back.
func exchange(t *testing.T, stream grpc.ClientStream, req *inference.ModelInferRequest) {
	t.Helper()
	m, err := wire.FromProto(req)
	if err != nil {
		t.Fatal(err)
	}
	err = stream.SendMsg(m)
	m.Free()
	if err != nil {
		t.Fatal(err)
	}
	var back wire.Message
	if err := stream.RecvMsg(&back); err != nil {
		t.Fatal(err)
	}
	defer back.Free()
	var got inference.ModelInferRequest
	if err := back.Unmarshal(&got); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(&got, req) {
		t.Errorf("a message of %d bytes came back as one of %d", proto.Size(req), proto.Size(&got))
	}
}

// post sends frames that no client of gRPC's would send, and returns the status.
func (d *door) post(ctx context.Context, encoding string, body io.Reader) (*status.Status, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://door"+echoMethod, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("content-type", "application/grpc")
	req.Header.Set("te", "trailers")
	if encoding != "" {
		req.Header.Set("grpc-encoding", encoding)
	}
	resp, err := d.raw.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // read to its end
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return nil, err
	}
	trailer := resp.Trailer
	if resp.Header.Get("grpc-status") != "" {
		trailer = resp.Header
	}
	var code codes.Code
	if _, err := fmt.Sscan(trailer.Get("grpc-status"), (*uint32)(&code)); err != nil {
		return nil, err
	}
	return status.New(code, trailer.Get("grpc-message")), nil
}

func TestRefusedOverGRPC(t *testing.T) {
	tests := []struct {
		name     string
		encoding string
		body     []byte
		code     codes.Code
		text     string
	}{
		{"cut prefix", "", []byte{0, 0}, codes.Internal, "unexpected EOF"},
		{"cut message", "", framed(0, payload(40_000))[:30_000], codes.Internal, "unexpected EOF"},
		{"over 2 GiB", "", prefix(0, 1<<31), codes.ResourceExhausted, "grpc: received message larger than max"},
		{"over budget", "", prefix(0, 9<<20), codes.Unknown, "your limit of 8388608 bytes"},
		{"bomb", "gzip", framed(1, compressed(t, "gzip", make([]byte, 32<<20))), codes.Unknown, "your limit of 8388608 bytes"},
		{"flag without encoding", "", framed(1, nil), codes.Internal, "grpc: compressed flag set with identity or empty encoding"},
		{"unknown encoding", "zstd", framed(1, nil), codes.Unimplemented, "grpc: Decompressor is not installed"},
		{"not gzip", "gzip", framed(1, payload(100)), codes.Internal, "grpc: failed to decompress the message"},
		{"fine", "", framed(0, payload(40_000)), codes.OK, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := open(t, 8<<20, echo)
			st, err := d.post(t.Context(), tt.encoding, bytes.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			// The budget's error has no status yet: package interceptors gives it one.
			if st.Code() != tt.code || !bytes.Contains([]byte(st.Message()), []byte(tt.text)) {
				t.Errorf("got %v %q, want %v %q", st.Code(), st.Message(), tt.code, tt.text)
			}
		})
	}
}

func TestPanicFreesOnce(t *testing.T) {
	d := open(t, 0, func(r *wire.Receiver, a *wire.Account, _ grpc.ServerStream) error {
		var m wire.Message
		if err := r.Recv(&m, a); err != nil {
			return err
		}
		defer m.Free()
		panic("in the handler")
	})
	st, err := d.post(t.Context(), "", bytes.NewReader(framed(0, payload(40_000))))
	if err != nil || st.Code() != codes.Internal || st.Message() != "panic: in the handler" {
		t.Errorf("%v, %v", st, err)
	}
}

// TestLostInMidMessage ends a call in the middle of a message of three steps,
// of which two have come.
func TestLostInMidMessage(t *testing.T) {
	tests := []struct {
		name string
		lose func(cancel context.CancelFunc, d *door)
	}{
		{"cancelled", func(cancel context.CancelFunc, _ *door) { cancel() }},
		{"connection closed", func(cancel context.CancelFunc, d *door) { cancel(); d.raw.CloseIdleConnections() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := open(t, 0, echo)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			body, w := io.Pipe()
			answered := make(chan error, 1)
			go func() {
				_, err := d.post(ctx, "", body)
				answered <- err
			}()
			if _, err := w.Write(slices.Concat(prefix(0, 3<<20), payload(2<<20))); err != nil {
				t.Fatal(err)
			}
			for d.account.Held() < 3<<20 { // until it waits for the third
				runtime.Gosched()
			}
			tt.lose(cancel, d)
			if err := <-answered; err == nil {
				t.Error("the client got an answer")
			}
			if err := <-d.done; status.Code(err) != codes.Canceled {
				t.Errorf("the handler got %v, want Canceled", err)
			}
			if err := w.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestDeadlineInMidMessage: whether the deadline or grpc-go's reset of the
// stream is seen first is grpc-go's affair.
func TestDeadlineInMidMessage(t *testing.T) {
	d := open(t, 0, echo)
	body, w := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://door"+echoMethod, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("content-type", "application/grpc")
	req.Header.Set("te", "trailers")
	req.Header.Set("grpc-timeout", "100m")
	go func() { _, _ = w.Write(prefix(0, 1000)) }() // fails when the call ends before
	if resp, err := d.raw.RoundTrip(req); err == nil {
		_, _ = io.Copy(io.Discard, resp.Body) // may be reset too: half a request is left
	}
	if code := status.Code(<-d.done); code != codes.DeadlineExceeded && code != codes.Canceled {
		t.Errorf("the handler got %v, want DeadlineExceeded", code)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}
