package wire

import (
	"errors"
	"fmt"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// Codec is the gRPC codec "proto" that sends and receives a [*Message] by
// reference and any other proto.Message as the stock codec does. Give it to a
// server with grpc.ForceServerCodecV2 and to a client with grpc.ForceCodecV2.
type Codec struct{}

var _ encoding.CodecV2 = Codec{}

// Name is "proto": what travels is plain protobuf.
func (Codec) Name() string { return "proto" }

// Marshal gives gRPC references of its own to a Message's buffers; the Message
// is still the caller's to free, as soon as the call that sends it returns. A
// large one stays charged until it is written.
func (Codec) Marshal(v any) (mem.BufferSlice, error) {
	switch v := v.(type) {
	case *Message:
		if v.freed.Load() {
			return nil, errors.New("wire: a message was sent that is freed")
		}
		v.bufs.Ref()
		return v.held(v.bufs), nil
	case HandOver:
		return v.handOver()
	case proto.Message:
		return marshal(v)
	default:
		return nil, fmt.Errorf("wire: cannot send a %T", v)
	}
}

// Unmarshal makes v, if it is an empty Message, hold references of its own to
// data. It does not look at the bytes.
func (Codec) Unmarshal(data mem.BufferSlice, v any) error {
	switch v := v.(type) {
	case *Message:
		if err := v.mustBeEmpty(); err != nil {
			return err
		}
		data.Ref()
		v.bufs, v.size = data, data.Len()
		v.freed.Store(false)
		return nil
	case proto.Message:
		buf := data.MaterializeToBuffer(mem.DefaultBufferPool())
		defer buf.Free()
		return proto.Unmarshal(buf.ReadOnlyData(), v)
	default:
		return fmt.Errorf("wire: cannot receive into a %T", v)
	}
}

// HandOver sends a Message that is not needed after: gRPC gets its buffers
// themselves, and frees them when they are written, while the call goes on. The
// Message is empty then, and still its owner's to free.
type HandOver struct{ *Message }

func (h HandOver) handOver() (mem.BufferSlice, error) {
	m := h.Message
	if m.freed.Load() {
		return nil, errors.New("wire: a message was handed over that is freed")
	}
	bufs := m.held(m.bufs)
	m.bufs = nil
	m.release()
	return bufs, nil
}
