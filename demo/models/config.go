package models

import (
	"github.com/sluice-gateway/sluice/gen/inference"
)

// newConfig returns a configuration with what Triton fills in by itself, so
// that ModelConfig shows what clients expect to find.
func newConfig(name string, maxBatch int32, inputs []*inference.ModelInput, outputs []*inference.ModelOutput) *inference.ModelConfig {
	return &inference.ModelConfig{
		Name:         name,
		Backend:      backend,
		MaxBatchSize: maxBatch,
		Input:        inputs,
		Output:       outputs,
		VersionPolicy: &inference.ModelVersionPolicy{PolicyChoice: &inference.ModelVersionPolicy_Latest_{
			Latest: &inference.ModelVersionPolicy_Latest{NumVersions: 1},
		}},
		InstanceGroup: []*inference.ModelInstanceGroup{{Name: name + "_0", Count: 1, Kind: inference.ModelInstanceGroup_KIND_CPU}},
		Optimization:  &inference.ModelOptimizationPolicy{},
	}
}

// decouple makes config one of a decoupled model.
func decouple(config *inference.ModelConfig) *inference.ModelConfig {
	config.ModelTransactionPolicy = &inference.ModelTransactionPolicy{Decoupled: true}
	return config
}

// input describes an input; a dimension of -1 is any.
func input(name string, t inference.DataType, dims ...int64) *inference.ModelInput {
	return &inference.ModelInput{Name: name, DataType: t, Dims: dims}
}

// optional makes in one that a request may leave out.
func optional(in *inference.ModelInput) *inference.ModelInput {
	in.Optional = true
	return in
}

// output describes an output; a dimension of -1 is any.
func output(name string, t inference.DataType, dims ...int64) *inference.ModelOutput {
	return &inference.ModelOutput{Name: name, DataType: t, Dims: dims}
}

// findInput returns config's input of that name, or nil.
func findInput(config *inference.ModelConfig, name string) *inference.ModelInput {
	for _, in := range config.GetInput() {
		if in.GetName() == name {
			return in
		}
	}
	return nil
}

// findOutput returns config's output of that name, or nil.
func findOutput(config *inference.ModelConfig, name string) *inference.ModelOutput {
	for _, out := range config.GetOutput() {
		if out.GetName() == name {
			return out
		}
	}
	return nil
}

// required counts the inputs that a request has to have.
func required(config *inference.ModelConfig) int {
	n := 0
	for _, in := range config.GetInput() {
		if !in.GetOptional() {
			n++
		}
	}
	return n
}
