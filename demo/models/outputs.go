package models

import (
	"strconv"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/gen/inference"
)

// planOutputs reads what the request says about each output: a region of
// shared memory, a classification, or nothing.
func (c *call) planOutputs(r *regions) error {
	for _, out := range c.request.GetOutputs() {
		region, err := parseRegion(out.GetName(), out.GetParameters())
		if err != nil {
			return err
		}
		classes, err := parseClasses(out.GetParameters())
		if err != nil {
			return err
		}
		if region != nil && classes > 0 {
			return invalid("output can't set both 'shared_memory_region' and 'classification'")
		}
		w := want{classes: classes}
		if region != nil {
			if w.region, err = r.window(region); err != nil {
				return err
			}
		}
		c.wants[out.GetName()] = w
	}
	return nil
}

// parseClasses reads the parameter "classification"; 0 where there is none.
func parseClasses(params map[string]*inference.InferParameter) (int64, error) {
	p, ok := params["classification"]
	if !ok {
		return 0, nil
	}
	v, ok := p.GetParameterChoice().(*inference.InferParameter_Int64Param)
	if !ok {
		return 0, invalid("invalid value type for 'classification' parameter, expected int64_param")
	}
	if v.Int64Param <= 0 {
		return 0, invalid("invalid value for 'classification' parameter, expected >= 0")
	}
	return v.Int64Param, nil
}

// compose builds the answer out of what the model computed. The data is always
// raw, one entry for each output, an empty one where it went to shared memory.
func (c *call) compose(outputs []tensor) (*inference.ModelInferResponse, error) {
	answer := &inference.ModelInferResponse{
		ModelName:    c.instance.config.GetName(),
		ModelVersion: strconv.FormatInt(c.instance.version, 10),
		Id:           c.request.GetId(),
	}
	for _, t := range outputs {
		w, wanted := c.wants[t.name]
		if !wanted && len(c.wants) > 0 {
			continue
		}
		if w.classes > 0 {
			best, err := classify(t, w.classes, c.config().GetMaxBatchSize() > 0)
			if err != nil {
				return nil, err
			}
			t = best
		}
		data, err := w.place(t)
		if err != nil {
			return nil, err
		}
		answer.Outputs = append(answer.Outputs, &inference.ModelInferResponse_InferOutputTensor{Name: t.name, Datatype: t.datatype, Shape: t.shape})
		answer.RawOutputContents = append(answer.RawOutputContents, data)
	}
	return answer, nil
}

// place puts t where it is wanted and returns what goes into the answer.
func (w want) place(t tensor) ([]byte, error) {
	if w.region == nil || len(t.data) == 0 {
		return t.data, nil
	}
	if int64(len(t.data)) > w.region.size {
		return nil, status.Errorf(codes.Internal, "shared memory size specified with the request for output '%s' (%d bytes) should be at least %d bytes to hold the results",
			t.name, w.region.size, len(t.data))
	}
	return nil, w.region.write(t.data)
}
