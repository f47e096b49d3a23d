package wire_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
)

// fakeTransport is a gRPC server stream's transport that brings what a test
// says, in frames of a size, and then ends with an error.
type fakeTransport struct {
	grpc.ServerTransportStream
	data     []byte
	frame    int
	end      error
	encoding string
}

func (f *fakeTransport) RecvCompress() string { return f.encoding }

// ReadMessageHeader behaves as internal/transport's does.
func (f *fakeTransport) ReadMessageHeader(header []byte) error {
	n := copy(header, f.data)
	f.data = f.data[n:]
	if n == len(header) {
		return nil
	}
	return f.short(n)
}

// Read behaves as internal/transport's does: all of n bytes, or an error.
func (f *fakeTransport) Read(n int) (mem.BufferSlice, error) {
	var out mem.BufferSlice
	for n > 0 && len(f.data) > 0 {
		k := min(n, f.frame, len(f.data))
		out = append(out, mem.Copy(f.data[:k], pool))
		f.data = f.data[k:]
		n -= k
	}
	if n > 0 {
		defer out.Free()
		return nil, f.short(out.Len())
	}
	return out, nil
}

func (f *fakeTransport) short(read int) error {
	if f.end == io.EOF && read > 0 {
		return io.ErrUnexpectedEOF
	}
	return f.end
}

// fakeStream is a grpc.ServerStream over a transport, or over nothing.
type fakeStream struct {
	grpc.ServerStream
	ctx  context.Context
	recv func(m any) error
}

func (s fakeStream) Context() context.Context { return s.ctx }
func (s fakeStream) RecvMsg(m any) error      { return s.recv(m) }

// streamOf returns a stream that brings what f has.
func streamOf(f *fakeTransport) grpc.ServerStream {
	if f.frame == 0 {
		f.frame = 16 << 10
	}
	if f.end == nil {
		f.end = io.EOF
	}
	return fakeStream{ctx: grpc.NewContextWithServerTransportStream(context.Background(), f)}
}

// framed is a message as gRPC puts it on the wire.
func framed(flag byte, b []byte) []byte { return append(prefix(flag, len(b)), b...) }

func prefix(flag byte, n int) []byte {
	return binary.BigEndian.AppendUint32([]byte{flag}, uint32(n))
}

// compressed is b in an encoding.
func compressed(tb testing.TB, name string, b []byte) []byte {
	tb.Helper()
	var out bytes.Buffer
	w, err := encoding.GetCompressor(name).Compress(&out)
	if err != nil {
		tb.Fatal(err)
	}
	for len(b) > 0 {
		n, err := w.Write(b[:min(len(b), 1<<20)])
		if err != nil {
			tb.Fatal(err)
		}
		b = b[n:]
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// stallingTransport calls onRead when a message's bytes are asked for.
type stallingTransport struct {
	*fakeTransport
	onRead func()
	asked  bool
}

func (s *stallingTransport) Read(n int) (mem.BufferSlice, error) {
	s.asked = true
	s.onRead()
	return s.fakeTransport.Read(n)
}

// benchTransport hands out its data as it is, without a pool.
type benchTransport struct{ fakeTransport }

func (f *benchTransport) context() context.Context {
	return grpc.NewContextWithServerTransportStream(context.Background(), f)
}

func (f *benchTransport) Read(n int) (mem.BufferSlice, error) {
	out := make(mem.BufferSlice, 0, n/f.frame+1)
	for n > 0 {
		k := min(n, f.frame, len(f.data))
		out = append(out, mem.SliceBuffer(f.data[:k:k]))
		f.data = f.data[k:]
		n -= k
	}
	return out, nil
}
