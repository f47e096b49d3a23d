package wire_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/wire"
)

// payload is n bytes in which a displaced one shows.
func payload(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7 >> 3)
	}
	return b
}

// budget returns an account with limits, and fails the test if it keeps bytes.
func budget(t testing.TB, per, all int64) *wire.Account {
	t.Helper()
	b := wire.NewBudget(wire.BudgetConfig{PerPrincipal: per, All: all})
	a := b.Account("alice")
	t.Cleanup(func() {
		if a.Held() != 0 || b.InFlight() != 0 {
			t.Errorf("%d bytes are still held, %d in all", a.Held(), b.InFlight())
		}
		a.Close()
	})
	return a
}

func TestReceive(t *testing.T) {
	small, large := payload(100), payload(3<<20+17)
	tests := []struct {
		name     string
		encoding string
		messages [][]byte // as they are on the wire
		want     [][]byte
	}{
		{"none", "", nil, nil},
		{"empty", "", [][]byte{framed(0, nil), framed(0, nil)}, [][]byte{nil, nil}},
		{"small", "", [][]byte{framed(0, small)}, [][]byte{small}},
		{"large between small", "", [][]byte{framed(0, small), framed(0, large), framed(0, small)}, [][]byte{small, large, small}},
		{"gzip", "gzip", [][]byte{framed(1, compressed(t, "gzip", large)), framed(1, compressed(t, "gzip", small))}, [][]byte{large, small}},
		{"deflate", "deflate", [][]byte{framed(1, compressed(t, "deflate", large)), framed(1, compressed(t, "deflate", small))}, [][]byte{large, small}},
		{"gzip of nothing", "gzip", [][]byte{framed(1, compressed(t, "gzip", nil)), framed(0, small)}, [][]byte{nil, small}},
		{"not compressed after all", "gzip", [][]byte{framed(0, small), framed(1, compressed(t, "gzip", small))}, [][]byte{small, small}},
		{"gzip in two members", "gzip", [][]byte{framed(1, append(compressed(t, "gzip", small), compressed(t, "gzip", small)...))}, [][]byte{append(slices.Clone(small), small...)}},
		{"deflate with more behind it", "deflate", [][]byte{framed(1, append(compressed(t, "deflate", small), large...)), framed(0, small)}, [][]byte{small, small}},
	}
	for _, tt := range tests {
		for _, frame := range []int{1, 1500, 16 << 10} {
			t.Run(tt.name, func(t *testing.T) {
				checkBuffers(t)
				if frame == 1 && len(slices.Concat(tt.messages...)) > 1<<20 {
					t.Skip("a million frames")
				}
				a := budget(t, 0, 0)
				r := wire.NewReceiver(streamOf(&fakeTransport{data: slices.Concat(tt.messages...), frame: frame, encoding: tt.encoding}))
				for i, want := range tt.want {
					var m wire.Message
					if err := r.Recv(&m, a); err != nil {
						t.Fatalf("message %d: %v", i, err)
					}
					if got := m.Buffers().Materialize(); !bytes.Equal(got, want) || m.Len() != len(want) {
						t.Errorf("message %d: %d bytes and says %d, want %d", i, len(got), m.Len(), len(want))
					}
					if a.Held() < int64(len(want)) {
						t.Errorf("message %d of %d bytes holds %d", i, len(want), a.Held())
					}
					m.Free()
				}
				if err := r.Recv(new(wire.Message), a); err != io.EOF {
					t.Errorf("at the end: %v, want EOF", err)
				}
			})
		}
	}
}

func TestReceiveRefuses(t *testing.T) {
	zipped := compressed(t, "gzip", payload(100_000))
	lost := status.Error(codes.Canceled, "context canceled")
	tests := []struct {
		name     string
		encoding string
		data     []byte
		end      error
		code     codes.Code
		text     string
	}{
		{"cut in the prefix", "", []byte{0, 0, 0}, nil, codes.Internal, "unexpected EOF"},
		{"cut before the bytes", "", prefix(0, 10), nil, codes.Internal, "unexpected EOF"},
		{"cut in the bytes", "", framed(0, payload(5000))[:4000], nil, codes.Internal, "unexpected EOF"},
		{"cut in the second step", "", framed(0, payload(3<<20))[:2<<20], nil, codes.Internal, "unexpected EOF"},
		{"cancelled in the second step", "", framed(0, payload(3<<20))[:2<<20], lost, codes.Canceled, "context canceled"},
		{"deadline in the prefix", "", nil, context.DeadlineExceeded, codes.DeadlineExceeded, "context deadline exceeded"},
		{"connection lost", "", nil, errors.New("transport: gone"), codes.Unavailable, "transport: gone"},
		{"over 2 GiB", "", prefix(0, 1<<31), nil, codes.ResourceExhausted, "grpc: received message larger than max (2147483648 vs. 2147483647)"},
		{"flag without encoding", "", framed(1, payload(10)), nil, codes.Internal, "grpc: compressed flag set with identity or empty encoding"},
		{"flag with identity", "identity", framed(1, payload(10)), nil, codes.Internal, "grpc: compressed flag set with identity or empty encoding"},
		{"flag of 2", "gzip", framed(2, payload(10)), nil, codes.Internal, "grpc: received unexpected payload format 2"},
		{"encoding nobody knows", "zstd", framed(1, payload(10)), nil, codes.Unimplemented, `grpc: Decompressor is not installed for grpc-encoding "zstd"`},
		{"not gzip", "gzip", framed(1, payload(100)), nil, codes.Internal, "grpc: failed to decompress the message: gzip: invalid header"},
		{"not deflate", "deflate", framed(1, payload(100)), nil, codes.Internal, "grpc: failed to decompress the message: zlib: invalid header"},
		{"empty gzip", "gzip", framed(1, nil), nil, codes.Internal, "grpc: failed to decompress the message: EOF"},
		{"gzip cut", "gzip", framed(1, zipped[:len(zipped)-9]), nil, codes.Internal, "grpc: failed to read decompressed data: unexpected EOF"},
		{"gzip with garbage behind it", "gzip", framed(1, append(slices.Clone(zipped), "garbage and more"...)), nil, codes.Internal, "grpc: failed to read decompressed data: gzip: invalid header"},
		{"cut in gzip", "gzip", framed(1, zipped)[:len(zipped)/2], nil, codes.Internal, "unexpected EOF"},
		{"cancelled in gzip", "gzip", framed(1, zipped)[:len(zipped)/2], lost, codes.Canceled, "context canceled"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checkBuffers(t)
			a := budget(t, 0, 0)
			var m wire.Message
			err := wire.NewReceiver(streamOf(&fakeTransport{data: tt.data, end: tt.end, encoding: tt.encoding})).Recv(&m, a)
			if st := status.Convert(err); st.Code() != tt.code || st.Message() != tt.text {
				t.Errorf("got %v, want %v: %s", err, tt.code, tt.text)
			}
			if m.Len() != 0 || m.Buffers() != nil {
				t.Errorf("the refused message holds %d bytes", m.Len())
			}
		})
	}
}

func TestReceiveOverBudget(t *testing.T) {
	bomb := compressed(t, "gzip", make([]byte, 32<<20))
	tests := []struct {
		name     string
		encoding string
		data     []byte
	}{
		{"announced", "", prefix(0, 2<<20+1)},
		{"gzip bomb", "gzip", framed(1, bomb)},
		{"deflate bomb", "deflate", framed(1, compressed(t, "deflate", make([]byte, 16<<20)))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checkBuffers(t)
			a := budget(t, 2<<20, 4<<20)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := wire.NewReceiver(streamOf(&fakeTransport{data: tt.data, encoding: tt.encoding})).Recv(new(wire.Message), a)
			runtime.ReadMemStats(&after)
			wantExhausted(t, err, "your limit of 2097152 bytes")
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 {
				t.Errorf("refusing took %d bytes", grown)
			}
		})
	}
}

func wantExhausted(t *testing.T, err error, text string) {
	t.Helper()
	e, ok := access.AsError(err)
	if !ok || e.Kind != access.Exhausted || e.Reason != access.ReasonInFlight || e.RetryAfter <= 0 {
		t.Fatalf("got %#v, want an Exhausted error", err)
	}
	if !bytes.Contains([]byte(e.Message), []byte(text)) {
		t.Errorf("got %q, want %q in it", e.Message, text)
	}
}

// TestAnnouncedIsNotHeld shows that a message which is announced and not sent
// takes no more of the budget than a step.
func TestAnnouncedIsNotHeld(t *testing.T) {
	checkBuffers(t)
	b := wire.NewBudget(wire.BudgetConfig{PerPrincipal: 64 << 20, All: 64 << 20})
	mallory, alice := b.Account("mallory"), b.Account("alice")
	defer mallory.Close()
	defer alice.Close()
	announced := &fakeTransport{data: prefix(0, 60<<20), end: errors.New("nothing comes")}
	stalled := &stallingTransport{fakeTransport: announced}
	stalled.onRead = func() {
		if err := alice.Acquire(60 << 20); err != nil {
			t.Errorf("while another announces 60 MiB: %v", err)
		}
		alice.Release(60 << 20)
	}
	stream := fakeStream{ctx: grpc.NewContextWithServerTransportStream(context.Background(), stalled)}
	if err := wire.NewReceiver(stream).Recv(new(wire.Message), mallory); status.Code(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}
	if !stalled.asked {
		t.Error("the bytes were not asked for")
	}
}

// TestTinyFramesAreJoined shows that frames of a byte do not multiply what
// their message takes.
func TestTinyFramesAreJoined(t *testing.T) {
	checkBuffers(t)
	a := budget(t, 0, 0)
	want := payload(100_000)
	var m wire.Message
	if err := wire.NewReceiver(streamOf(&fakeTransport{data: framed(0, want), frame: 1})).Recv(&m, a); err != nil {
		t.Fatal(err)
	}
	defer m.Free()
	if n := len(m.Buffers()); n != 1 || !bytes.Equal(m.Buffers().Materialize(), want) {
		t.Errorf("the message came in %d buffers", n)
	}
}

func TestRecvOnly(t *testing.T) {
	one := framed(0, payload(5000))
	tests := []struct {
		name string
		data []byte
		text string
	}{
		{"one", one, ""},
		{"none", nil, "cardinality violation: received no request message from non-client-streaming RPC"},
		{"two", slices.Concat(one, one), "cardinality violation: received multiple request messages for non-client-streaming RPC"},
		{"one and a half prefix", append(slices.Clone(one), 0, 0), "unexpected EOF"},
		{"a half", one[:3000], "unexpected EOF"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checkBuffers(t)
			var m wire.Message
			err := wire.NewReceiver(streamOf(&fakeTransport{data: tt.data, frame: 2000})).RecvOnly(&m, budget(t, 0, 0))
			if tt.text == "" {
				if err != nil {
					t.Fatal(err)
				}
				m.Free()
				return
			}
			if st := status.Convert(err); st.Code() != codes.Internal || st.Message() != tt.text {
				t.Errorf("got %v, want %s", err, tt.text)
			}
			if m.Len() != 0 {
				t.Errorf("the refused message holds %d bytes", m.Len())
			}
		})
	}
}

// TestReceiveWithoutTransport is the in-process door: RecvMsg brings the message.
func TestReceiveWithoutTransport(t *testing.T) {
	checkBuffers(t)
	recv := func(m any) error { return m.(*wire.Message).Take(wire.FromBytes(payload(2 << 20))) }
	tests := []struct {
		name string
		recv func(m any) error
		per  int64
		want string // refusal
	}{
		{"fits", recv, 4 << 20, ""},
		{"over budget", recv, 1 << 20, "your limit of 1048576 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := budget(t, tt.per, 8<<20)
			var m wire.Message
			r := wire.NewReceiver(fakeStream{ctx: context.Background(), recv: tt.recv})
			err := r.RecvOnly(&m, a)
			if tt.want != "" {
				wantExhausted(t, err, tt.want)
				return
			}
			if err != nil || m.Len() != 2<<20 || a.Held() != 2<<20 {
				t.Fatalf("%v, %d bytes, %d held", err, m.Len(), a.Held())
			}
			m.Free()
		})
	}
	end := wire.NewReceiver(fakeStream{ctx: context.Background(), recv: func(any) error { return io.EOF }})
	if err := end.Recv(new(wire.Message), budget(t, 0, 0)); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

func TestReceiveIntoHeldMessage(t *testing.T) {
	checkBuffers(t)
	m := wire.FromBytes([]byte("x"))
	defer m.Free()
	r := wire.NewReceiver(streamOf(&fakeTransport{data: framed(0, payload(10))}))
	if err := r.Recv(m, budget(t, 0, 0)); err == nil || m.Len() != 1 {
		t.Errorf("received over a message: %v", err)
	}
}
