package models

import (
	"context"

	"github.com/sluice-gateway/sluice/gen/inference"
)

// simpleIdentity is Triton's example of that name: strings come back as they
// are.
func simpleIdentity() *model { return identity("simple_identity", inference.DataType_TYPE_STRING) }

// identityFP32 does the same for numbers.
func identityFP32() *model { return identity("identity_fp32", inference.DataType_TYPE_FP32) }

// identity returns a model whose only output is its only input.
func identity(name string, t inference.DataType) *model {
	return &model{
		config: newConfig(name, 8,
			[]*inference.ModelInput{input("INPUT0", t, -1)},
			[]*inference.ModelOutput{output("OUTPUT0", t, -1)}),
		run: func(_ context.Context, c *call, send sendFunc) error {
			same := *c.inputs["INPUT0"]
			same.name = "OUTPUT0"
			return send([]tensor{same}, true)
		},
	}
}
