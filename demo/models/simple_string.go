package models

import (
	"context"
	"strconv"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/gen/inference"
)

// simpleString is Triton's example of that name: [addSub] on numbers that are
// written out.
func simpleString() *model {
	const t = inference.DataType_TYPE_STRING
	return &model{
		config: newConfig("simple_string", 8,
			[]*inference.ModelInput{input("INPUT0", t, 16), input("INPUT1", t, 16)},
			[]*inference.ModelOutput{output("OUTPUT0", t, 16), output("OUTPUT1", t, 16)}),
		run: func(_ context.Context, c *call, send sendFunc) error {
			a, b := elements(c.inputs["INPUT0"].data), elements(c.inputs["INPUT1"].data)
			if len(a) != len(b) {
				return invalid("INPUT0 and INPUT1 of model '%s' differ in size", c.model())
			}
			var sum, diff []byte
			for i := range a {
				x, err := number(a[i])
				if err != nil {
					return err
				}
				y, err := number(b[i])
				if err != nil {
					return err
				}
				sum = appendElement(sum, strconv.Itoa(int(x+y)))
				diff = appendElement(diff, strconv.Itoa(int(x-y)))
			}
			shape := c.inputs["INPUT0"].shape
			return send([]tensor{
				{name: "OUTPUT0", datatype: bytesType, shape: shape, data: sum},
				{name: "OUTPUT1", datatype: bytesType, shape: shape, data: diff},
			}, true)
		},
	}
}

// number reads one element. Its error does not repeat it: what a model is
// given is nobody else's to read.
func number(element []byte) (int32, error) {
	n, err := strconv.ParseInt(string(element), 10, 32)
	if err != nil {
		return 0, status.Error(codes.Internal, "a string could not be converted to int32")
	}
	return int32(n), nil
}
