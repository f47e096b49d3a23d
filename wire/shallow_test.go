package wire_test

import (
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/sluice-gateway/sluice/wire"
)

// FuzzShallow compares with protobuf reading a message of unknown fields alone,
// however the bytes are cut into buffers.
func FuzzShallow(f *testing.F) {
	for _, seed := range [][]byte{
		nil,
		{0x0a, 1, 'm'},
		{0x0a, 0xff, 0xff, 0xff, 0x7f, 'x'},
		{0x08, 0x80},
		{0x0d, 1, 2, 3},
		{0x09, 1},
		{0x0b, 0x0c},
		{0x0b},
		{0x0c},
		{0x00},
		{0x07},
		protowire.AppendTag(nil, protowire.MaxValidNumber, protowire.VarintType),
	} {
		f.Add(seed, 1)
	}
	f.Fuzz(func(t *testing.T, raw []byte, cut int) {
		whole := wire.FromBytes(raw)
		defer whole.Free()
		want := proto.Unmarshal(raw, &emptypb.Empty{})
		if got := whole.Shallow(); (got == nil) != (want == nil) {
			t.Errorf("%x: got %v, protobuf says %v", raw, got, want)
		}
		var bufs mem.BufferSlice
		for rest := raw; len(rest) > 0; {
			n := min(max(cut%7, 1), len(rest))
			bufs, rest = append(bufs, mem.SliceBuffer(rest[:n])), rest[n:]
		}
		pieces := wire.New(bufs)
		defer pieces.Free()
		if got := pieces.Shallow(); (got == nil) != (want == nil) {
			t.Errorf("%x in pieces: got %v, protobuf says %v", raw, got, want)
		}
	})
}
