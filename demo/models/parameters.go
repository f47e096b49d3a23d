package models

import (
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/gen/inference"
)

// emptyFinalKey is the one parameter of the reserved prefix that a request may
// have.
const emptyFinalKey = "triton_enable_empty_final_response"

// maxSequenceID is how long a sequence's name may be, in bytes.
const maxSequenceID = 128

// readParameters checks the types of the request's own parameters and keeps
// those that mean something here.
func (c *call) readParameters(*regions) error {
	for key, p := range c.request.GetParameters() {
		if err := c.readParameter(key, p); err != nil {
			return err
		}
	}
	return nil
}

// readParameter checks one of them.
func (c *call) readParameter(key string, p *inference.InferParameter) error {
	switch {
	case key == "sequence_id":
		return c.readSequenceID(p)
	case key == "sequence_start":
		return readBool(key, p, &c.sequence.start)
	case key == "sequence_end":
		return readBool(key, p, &c.sequence.end)
	case key == "priority":
		return checkPriority(p)
	case key == "timeout":
		if _, ok := p.GetParameterChoice().(*inference.InferParameter_Int64Param); !ok {
			return invalid("invalid value type for 'timeout' parameter, expected int64_param.")
		}
		return nil
	case key == emptyFinalKey:
		return readBool(key, p, &c.emptyFinal)
	case strings.HasPrefix(key, "triton_"):
		return invalid("parameter keys starting with 'triton_' are reserved for Triton usage. Only the following keys starting with 'triton_' are allowed: %s", emptyFinalKey)
	}
	return checkCustom(key, p)
}

// readSequenceID takes a number or a name; 0 and "" are no sequence.
func (c *call) readSequenceID(p *inference.InferParameter) error {
	switch v := p.GetParameterChoice().(type) {
	case *inference.InferParameter_Int64Param:
		if v.Int64Param != 0 {
			// Triton keeps it unsigned, and shows it so.
			c.sequence.id = strconv.FormatUint(uint64(v.Int64Param), 10) //nolint:gosec // as Triton reads it
		}
	case *inference.InferParameter_StringParam:
		if len(v.StringParam) > maxSequenceID {
			return status.Errorf(codes.Unimplemented, "string correlation ID cannot be longer than %d characters", maxSequenceID)
		}
		c.sequence.id = v.StringParam
	default:
		return invalid("invalid value type for 'sequence_id' parameter, expected int64_param or string_param.")
	}
	return nil
}

// readBool reads a parameter that has to be true or false.
func readBool(key string, p *inference.InferParameter, to *bool) error {
	v, ok := p.GetParameterChoice().(*inference.InferParameter_BoolParam)
	if !ok {
		return invalid("invalid value type for '%s' parameter, expected bool_param.", key)
	}
	*to = v.BoolParam
	return nil
}

// checkPriority takes either kind of number: tritonclient sends the unsigned.
// Nothing here is queued by it.
func checkPriority(p *inference.InferParameter) error {
	switch v := p.GetParameterChoice().(type) {
	case *inference.InferParameter_Int64Param:
		if v.Int64Param < 0 {
			return invalid("invalid value for 'priority', expected value >= 0.")
		}
	case *inference.InferParameter_Uint64Param:
	default:
		return invalid("invalid value type for 'priority' parameter, expected int64_param or uint64_param.")
	}
	return nil
}

// checkCustom takes what a model may be given as a parameter of its own. The
// text leaves out double, which is accepted; so does Triton's.
func checkCustom(key string, p *inference.InferParameter) error {
	switch p.GetParameterChoice().(type) {
	case *inference.InferParameter_Int64Param, *inference.InferParameter_BoolParam,
		*inference.InferParameter_StringParam, *inference.InferParameter_DoubleParam:
		return nil
	}
	return invalid("invalid value type for '%s' parameter, expected int64_param, bool_param, or string_param.", key)
}
