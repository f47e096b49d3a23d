package kserve

import (
	"fmt"

	"google.golang.org/grpc/mem"
)

// Raw is one gRPC message as its bytes. Sending it hands its buffers over to
// gRPC, which frees them; who receives one frees it.
type Raw struct{ mem.BufferSlice }

// NewRaw wraps bytes that nobody changes any more. They are not pooled, so
// the same Raw may be sent any number of times, also at once.
func NewRaw(b []byte) *Raw {
	return &Raw{mem.BufferSlice{mem.SliceBuffer(b)}}
}

// Codec passes messages of type *[Raw] through by reference. It calls itself
// "proto", so that the content type is the one that real clients send.
type Codec struct{}

// Name implements encoding.CodecV2.
func (Codec) Name() string { return "proto" }

// Marshal gives v's buffers to the caller, who frees them.
func (Codec) Marshal(v any) (mem.BufferSlice, error) {
	r, ok := v.(*Raw)
	if !ok {
		return nil, fmt.Errorf("raw codec: cannot send a %T", v)
	}
	return r.BufferSlice, nil
}

// Unmarshal keeps a reference to data in v.
func (Codec) Unmarshal(data mem.BufferSlice, v any) error {
	r, ok := v.(*Raw)
	if !ok {
		return fmt.Errorf("raw codec: cannot receive into a %T", v)
	}
	data.Ref()
	r.BufferSlice = data
	return nil
}
