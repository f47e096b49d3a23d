package models

import (
	"fmt"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/gen/inference"
)

// call is one request that has been read and found valid.
type call struct {
	request  *inference.ModelInferRequest
	instance *instance
	// names are the inputs, the last one first: the order in which Triton's hash
	// table has them, and which texts show.
	names  []string
	inputs map[string]*tensor
	// wants says what is to become of each output that was asked for by name;
	// empty means that all are wanted as they are.
	wants    map[string]want
	batch    int64
	sequence sequence
	// emptyFinal: the client wants a decoupled model's end to be told even
	// where it comes without data.
	emptyFinal bool
}

// sequence is what a request says about the sequence that it belongs to.
type sequence struct {
	id         string // "" where there is none
	start, end bool
}

// want is what is to become of one output.
type want struct {
	classes int64   // the best so many as text; 0 means the tensor itself
	region  *window // where to put it; nil means into the answer
}

// newCall reads and validates req, in the order in which Triton does, so that
// a request wrong in two ways gets the same answer from both.
func (s *Server) newCall(i *instance, req *inference.ModelInferRequest) (*call, error) {
	c := &call{request: req, instance: i, inputs: make(map[string]*tensor, len(req.GetInputs()))}
	for _, step := range []func(*regions) error{
		c.readParameters, c.addInputs, c.addOutputs, c.readInputs, c.planOutputs, c.normalize,
	} {
		if err := step(s.regions); err != nil {
			return nil, err
		}
	}
	if i.model.admit != nil {
		if err := i.model.admit(c); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// invalid returns INVALID_ARGUMENT with the text that Triton's front gives.
func invalid(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, format, args...)
}

// invalid returns INVALID_ARGUMENT as Triton's core does: the request's id
// before the text.
func (c *call) invalid(format string, args ...any) error {
	id := c.request.GetId()
	if id == "" {
		id = "<id_unknown>"
	}
	return invalid("[request id: %s] %s", id, fmt.Sprintf(format, args...))
}

func (c *call) config() *inference.ModelConfig { return c.instance.config }

// model returns the name that texts show, which is the request's.
func (c *call) model() string { return c.request.GetModelName() }

func (c *call) addInputs(*regions) error {
	for _, in := range c.request.GetInputs() {
		name := in.GetName()
		if c.inputs[name] != nil {
			return c.invalid("input '%s' already exists in request", name)
		}
		c.names = append(c.names, name)
		c.inputs[name] = &tensor{name: name, datatype: known(in.GetDatatype()), shape: in.GetShape()}
	}
	slices.Reverse(c.names)
	return nil
}

// addOutputs accepts an output that is named twice, as Triton 2.51 does.
func (c *call) addOutputs(*regions) error {
	c.wants = make(map[string]want, len(c.request.GetOutputs()))
	for _, out := range c.request.GetOutputs() {
		c.wants[out.GetName()] = want{}
	}
	return nil
}
