package models

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/sluice-gateway/sluice/gen/inference"
)

// repeatInt32 is Triton's decoupled example: each value of IN comes back in an
// answer of its own, after the DELAY of the same index in milliseconds, and
// the end is told without data. WAIT is how long Triton's instance lets the
// next request wait; here requests do not wait for each other.
func repeatInt32() *model {
	const i32, u32 = inference.DataType_TYPE_INT32, inference.DataType_TYPE_UINT32
	return &model{
		config: decouple(newConfig("repeat_int32", 0,
			[]*inference.ModelInput{input("IN", i32, -1), input("DELAY", u32, -1), input("WAIT", u32, 1)},
			[]*inference.ModelOutput{output("OUT", i32, 1), output("IDX", u32, 1)})),
		run: func(ctx context.Context, c *call, send sendFunc) error {
			in, delay := c.inputs["IN"], c.inputs["DELAY"]
			if len(in.data) != len(delay.data) {
				return invalid("expected IN and DELAY shape to match, got %s and %s", dims(in.shape), dims(delay.shape))
			}
			for i := range len(in.data) / 4 {
				if err := sleep(ctx, time.Duration(binary.LittleEndian.Uint32(delay.data[4*i:]))*time.Millisecond); err != nil {
					return err
				}
				err := send([]tensor{
					{name: "OUT", datatype: "INT32", shape: []int64{1}, data: in.data[4*i : 4*i+4]},
					{name: "IDX", datatype: "UINT32", shape: []int64{1}, data: appendInt32(nil, int32(i))}, //nolint:gosec // a message holds fewer
				}, false)
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
}
