package backendstest

import (
	"fmt"

	"google.golang.org/grpc/mem"
)

// codec hands messages through as they are. It has the stock codec's name,
// which is what clients ask for.
type codec struct{}

func (codec) Name() string { return "proto" }

func (codec) Marshal(v any) (mem.BufferSlice, error) {
	b, ok := v.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("backendstest: %T is not raw bytes", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(*b)}, nil
}

func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	b, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("backendstest: %T is not raw bytes", v)
	}
	*b = data.Materialize()
	return nil
}
