package guard

import (
	"bytes"
	"iter"
	"strings"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/wire"
)

// Parameters of a tensor that say where its data is, and what it is.
const (
	regionKey      = "shared_memory_region"
	regionSizeKey  = "shared_memory_byte_size"
	contentTypeKey = "content_type"
)

// input is one input of a request.
type input struct {
	name, datatype string
	shape          []int64
	shared         bool
	tensor         wire.Tensor
	raw            wire.Span
	hasRaw         bool

	// What has been read of it: guards share it.
	text       once[[]string]
	value      once[any]
	parameters once[map[string]any]
}

// tensors finds the inputs and which raw data is whose. What a server could read
// in another way fails: two of one name, a name that Triton ends at a byte 0.
func (r *reading) tensors() ([]*input, error) { return r.inputs.get(r.findTensors) }

func (r *reading) findTensors() ([]*input, error) {
	view := r.r.Infer
	if view == nil {
		return nil, nil
	}
	if view.NumInputs() > maxListed {
		return nil, fail("the request has %d inputs, more than %d", view.NumInputs(), maxListed)
	}
	next, stop := iter.Pull(view.Raw())
	defer stop()
	all := make([]*input, 0, view.NumInputs())
	seen := make(map[string]bool, view.NumInputs())
	wants := 0
	for t := range view.Inputs() {
		i := &input{tensor: t, shared: t.Parameters().Has(regionKey)}
		var err error
		if i.name, err = properName("input", t.Name()); err != nil {
			return nil, err
		}
		if seen[i.name] {
			return nil, fail("there are two inputs of the name %s", access.Quote(i.name))
		}
		seen[i.name] = true
		if i.datatype = "?"; t.Datatype().Len() < maxName {
			i.datatype = t.Datatype().String()
		}
		if i.shape = t.AppendShape(nil); len(i.shape) > maxListed {
			return nil, fail("input %s has %d dimensions", access.Quote(i.name), len(i.shape))
		}
		if !i.shared {
			wants++
			i.raw, i.hasRaw = next()
		}
		all = append(all, i)
	}
	if n := view.NumRaw(); n > 0 && n != wants {
		return nil, fail("there are %d raw_input_contents for %d inputs that need one", n, wants)
	}
	return all, nil
}

// bytes is how long the input's data is as raw data: where it is typed, as it
// would be; in shared memory, as the request says.
func (i *input) bytes() (n int64) {
	switch {
	case i.shared:
		size, _ := i.tensor.Parameters().Get(regionSizeKey)
		n, _ = size.Int64()
		return max(n, 0)
	case i.hasRaw:
		return int64(i.raw.Len())
	}
	for s := range i.tensor.Contents().Bytes() {
		n += int64(s.Len()) + 4
	}
	t := i.tensor.Type()
	for range i.tensor.Contents().Numbers(t.String()) {
		n += int64(t.Size())
	}
	return n
}

// properName is a name that every server reads to its end.
func properName(what string, name wire.Span) (string, error) {
	switch {
	case name.Len() > maxName:
		return "", fail("the name of %s %s is %d bytes long", article(what), what, name.Len())
	case bytes.IndexByte(name.Bytes(), 0) >= 0:
		return "", fail("the name of %s %s holds a byte 0, where a server may take it to end", article(what), what)
	}
	return name.String(), nil
}

func article(what string) string {
	if strings.ContainsRune("aeiou", rune(what[0])) {
		return "an"
	}
	return "a"
}

// find is the input of a name, nil where there is none.
func (r *reading) find(name string) (*input, error) {
	all, err := r.tensors()
	for _, i := range all {
		if i.name == name {
			return i, err
		}
	}
	return nil, err
}

// inputList is the variable inputs.
func (r *reading) inputList() ([]object, error) {
	all, err := r.tensors()
	list := make([]object, len(all))
	for n, i := range all {
		list[n] = object{inputType, i}
	}
	return list, err
}

// requested are the names of the outputs that are asked for.
func (r *reading) requested() ([]string, error) {
	return r.outputs.get(func() (names []string, err error) {
		view := r.r.Infer
		if view == nil {
			return []string{}, nil
		}
		if view.NumOutputs() > maxListed {
			return nil, fail("the request asks for %d outputs, more than %d", view.NumOutputs(), maxListed)
		}
		for o := range view.Outputs() {
			name, err := properName("output", o.Name())
			if err != nil {
				return nil, err
			}
			names = append(names, name)
		}
		return names, nil
	})
}

// batch is the greatest first dimension of an input.
func (r *reading) batch() (int64, error) {
	all, err := r.tensors()
	var most int64
	for _, i := range all {
		if len(i.shape) > 0 {
			most = max(most, i.shape[0])
		}
	}
	return most, err
}
