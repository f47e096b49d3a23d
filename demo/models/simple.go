package models

import (
	"context"

	"github.com/sluice-gateway/sluice/gen/inference"
)

// addSub is Triton's example "simple": the sum and the difference of two rows
// of sixteen INT32, which wrap around.
func addSub(name string) *model {
	const t = inference.DataType_TYPE_INT32
	return &model{
		config: newConfig(name, 8,
			[]*inference.ModelInput{input("INPUT0", t, 16), input("INPUT1", t, 16)},
			[]*inference.ModelOutput{output("OUTPUT0", t, 16), output("OUTPUT1", t, 16)}),
		run: func(_ context.Context, c *call, send sendFunc) error {
			in := c.inputs["INPUT0"]
			a, b := int32s(in.data), int32s(c.inputs["INPUT1"].data)
			if len(a) != len(b) {
				return invalid("INPUT0 and INPUT1 of model '%s' differ in size", c.model())
			}
			sum, diff := make([]byte, 0, len(in.data)), make([]byte, 0, len(in.data))
			for i := range a {
				sum, diff = appendInt32(sum, a[i]+b[i]), appendInt32(diff, a[i]-b[i])
			}
			return send([]tensor{
				{name: "OUTPUT0", datatype: "INT32", shape: in.shape, data: sum},
				{name: "OUTPUT1", datatype: "INT32", shape: in.shape, data: diff},
			}, true)
		},
	}
}
