package models

import (
	"encoding/binary"
	"math/bits"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/gen/inference"
)

// batchNote is what Triton adds where a shape is wrong for a model that
// batches.
const batchNote = "NOTE: Setting a non-zero max_batch_size in the model config requires a batch dimension to be prepended to each input shape. " +
	"If you want to specify the full shape including the batch dim in your input dims config, try setting max_batch_size to zero. " +
	"See the model configuration docs for more info on max_batch_size."

// normalize holds the request against the model's configuration: outputs and
// inputs by name and number, then the batch, then each input's datatype, shape
// and size.
func (c *call) normalize(*regions) error {
	for _, out := range c.request.GetOutputs() {
		if findOutput(c.config(), out.GetName()) == nil {
			return invalid("unexpected inference output '%s' for model '%s'", out.GetName(), c.model())
		}
	}
	if err := c.checkCount(); err != nil {
		return err
	}
	for _, name := range c.names {
		if findInput(c.config(), name) == nil {
			return invalid("unexpected inference input '%s' for model '%s'", name, c.model())
		}
	}
	if err := c.findBatch(); err != nil {
		return err
	}
	for _, name := range c.names {
		if err := c.checkInput(c.inputs[name], findInput(c.config(), name)); err != nil {
			return err
		}
	}
	return nil
}

// checkCount looks at the number of inputs only, as Triton does: with optional
// inputs about, a required one can be missing and not be missed.
func (c *call) checkCount() error {
	least, most := required(c.config()), len(c.config().GetInput())
	if len(c.names) >= least && len(c.names) <= most {
		return nil
	}
	var missing []string
	for _, in := range c.config().GetInput() {
		if !in.GetOptional() && c.inputs[in.GetName()] == nil {
			missing = append(missing, in.GetName())
		}
	}
	lack := quoted(missing)
	if len(missing) == 0 {
		lack = "]" // Triton cuts a comma that is not there
	}
	expected := strconv.Itoa(most)
	if least != most {
		expected = "number of inputs between " + strconv.Itoa(least) + " and " + expected
	} else {
		expected += " inputs"
	}
	return c.invalid("expected %s but got %d inputs for model '%s'. Got input(s) %s, but missing required input(s) %s. Please provide all required input(s).",
		expected, len(c.names), c.model(), quoted(c.names), lack)
}

// quoted lists names as Triton's texts do.
func quoted(names []string) string {
	if len(names) == 0 {
		return "[]"
	}
	return "['" + strings.Join(names, "','") + "']"
}

// findBatch finds the batch size, which all inputs of a model that batches
// have as their first dimension.
func (c *call) findBatch() error {
	most := int64(c.config().GetMaxBatchSize())
	if most == 0 {
		return nil
	}
	for _, name := range c.names {
		shape := c.inputs[name].shape
		switch {
		case len(shape) == 0:
			return c.invalid("input '%s' has no shape but model requires batch dimension for '%s'", name, c.model())
		case c.batch == 0:
			c.batch = shape[0]
		case shape[0] != c.batch:
			return c.invalid("input '%s' batch size does not match other inputs for '%s'", name, c.model())
		}
	}
	if c.batch > most {
		return c.invalid("inference request batch-size must be <= %d for '%s'", most, c.model())
	}
	return nil
}

// checkInput holds one input against its description: datatype, shape, size.
func (c *call) checkInput(t *tensor, in *inference.ModelInput) error {
	if want := datatype(in.GetDataType()); t.datatype != want {
		return c.invalid("inference input '%s' data-type is '%s', but model '%s' expects '%s'", t.name, t.datatype, c.model(), want)
	}
	if err := c.checkShape(t, in); err != nil {
		return err
	}
	count, ok := product(c.counted(t))
	if t.datatype == bytesType {
		if !ok {
			return c.invalid("invalid shape %s for input '%s'", dims(t.shape), t.name)
		}
		return c.checkElements(t, count)
	}
	size, fits := product([]int64{count, elementSizes[t.datatype]})
	if !ok || !fits {
		return c.invalid("invalid shape %s for input '%s'", dims(t.shape), t.name)
	}
	if int64(len(t.data)) != size {
		return c.invalid("input byte size mismatch for input '%s' for model '%s'. Expected %d, got %d", t.name, c.model(), size, len(t.data))
	}
	return nil
}

// counted is the shape whose product is the number of elements. A batch of
// none drops out of it, in Triton as here.
func (c *call) counted(t *tensor) []int64 {
	if c.config().GetMaxBatchSize() > 0 && c.batch == 0 {
		return t.shape[1:]
	}
	return t.shape
}

// checkShape compares dimensions, without the batch where the model batches.
func (c *call) checkShape(t *tensor, in *inference.ModelInput) error {
	shape, expected := t.shape, in.GetDims()
	note := ""
	if c.config().GetMaxBatchSize() > 0 {
		shape, expected, note = shape[1:], append([]int64{-1}, expected...), batchNote
	}
	match := len(shape) == len(in.GetDims())
	for i := 0; match && i < len(shape); i++ {
		if shape[i] == -1 {
			return c.invalid("All input dimensions should be specified for input '%s' for model '%s', got %s", t.name, c.model(), dims(t.shape))
		}
		match = in.GetDims()[i] == -1 || in.GetDims()[i] == shape[i]
	}
	if !match {
		return c.invalid("unexpected shape for input '%s' for model '%s'. Expected %s, got %s. %s", t.name, c.model(), dims(expected), dims(t.shape), note)
	}
	return nil
}

// checkElements counts the elements of BYTES data. One that is longer than the
// data passes here, as in Triton: see [call.checkStrings].
func (c *call) checkElements(t *tensor, count int64) error {
	rest, n := t.data, int64(0)
	for len(rest) > 0 {
		if len(rest) < 4 {
			return c.invalid("incomplete string length indicator for inference input '%s' for model '%s', expecting 4 bytes but only %d bytes available. Please make sure the string length indicator is in one buffer.",
				t.name, c.model(), len(rest))
		}
		size := int64(binary.LittleEndian.Uint32(rest))
		if n++; n > count {
			return c.invalid("unexpected number of string elements %d for inference input '%s' for model '%s', expecting %d", n, t.name, c.model(), count)
		}
		rest = rest[4:]
		rest = rest[min(size, int64(len(rest))):]
	}
	if n != count {
		return c.invalid("expected %d string elements for inference input '%s' for model '%s', got %d", count, t.name, c.model(), n)
	}
	return nil
}

// checkStrings finds the element that is longer than its data. Triton leaves
// that to its backends, so that it is an error of the model's own.
func (c *call) checkStrings() error {
	for _, t := range c.inputs {
		for rest := t.data; t.datatype == bytesType && len(rest) > 0; {
			size := int64(binary.LittleEndian.Uint32(rest))
			if rest = rest[4:]; int64(len(rest)) < size {
				return invalid("incomplete string data for inference input '%s', expecting string of length %d but only %d bytes available", t.name, size, len(rest))
			}
			rest = rest[size:]
		}
	}
	return nil
}

// product multiplies dimensions; ok is false where one is negative or the
// product does not fit.
func product(shape []int64) (n int64, ok bool) {
	n = 1
	for _, d := range shape {
		high, low := bits.Mul64(uint64(n), uint64(d)) //nolint:gosec // a negative d is caught below
		if d < 0 || high != 0 || low > 1<<62 {
			return 0, false
		}
		n = int64(low) //nolint:gosec // bounded just above
	}
	return n, true
}

// dims prints a shape as Triton's texts have it: [-1,16].
func dims(shape []int64) string {
	all := make([]string, len(shape))
	for i, d := range shape {
		all[i] = strconv.FormatInt(d, 10)
	}
	return "[" + strings.Join(all, ",") + "]"
}
