package models

import (
	"github.com/sluice-gateway/sluice/gen/inference"
)

// readInputs finds the data of each input: in a region of shared memory, in
// its own typed contents, or in the next of the raw contents. The raw ones are
// counted over the inputs that are not in shared memory; those left over are
// ignored.
func (c *call) readInputs(r *regions) error {
	raw := c.request.GetRawInputContents()
	for _, in := range c.request.GetInputs() {
		region, err := parseRegion(in.GetName(), in.GetParameters())
		if err != nil {
			return err
		}
		t := c.inputs[in.GetName()]
		switch {
		case region != nil:
			t.data, err = c.fromRegion(r, region, in)
		case in.GetContents() != nil:
			t.data, err = c.fromContents(in)
		case len(raw) > 0:
			t.data, raw = raw[0], raw[1:]
		default:
			err = invalid("unable to find data for input tensor '%s' for model '%s' in request.", in.GetName(), c.model())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// fromRegion reads an input out of shared memory, once: what the client changes
// there later is not seen.
func (c *call) fromRegion(r *regions, p *regionParams, in *inference.ModelInferRequest_InferInputTensor) ([]byte, error) {
	if in.GetContents() != nil {
		return nil, invalid("unexpected 'content' provided when using shared memory for input tensor '%s' for model '%s'", in.GetName(), c.model())
	}
	w, err := r.window(p)
	if err != nil {
		return nil, err
	}
	return w.read()
}

// fromContents turns typed contents into raw data. Their presence is what
// counts against raw ones, not whether they hold anything.
func (c *call) fromContents(in *inference.ModelInferRequest_InferInputTensor) ([]byte, error) {
	if len(c.request.GetRawInputContents()) > 0 {
		return nil, invalid("contents field must not be specified when using raw_input_contents for '%s' for model '%s'", in.GetName(), c.model())
	}
	declared := known(in.GetDatatype())
	var data []byte
	for _, f := range filled(in.GetContents(), declared) {
		if len(data) > 0 {
			return nil, invalid("unexpected explicit tensor data for input tensor '%s' for model '%s', binary data was already supplied.", in.GetName(), c.model())
		}
		if f.datatype != declared {
			return nil, invalid("unexpected explicit tensor data for input tensor '%s' for model '%s' of type '%s', expected datatype '%s'", in.GetName(), c.model(), f.datatype, declared)
		}
		data = f.raw()
	}
	return data, nil
}
