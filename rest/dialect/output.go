package dialect

// Wanted is what a request says about the form of its answer.
type Wanted struct {
	outputs []wantedOutput
	binary  bool // of outputs that are not listed
}

type wantedOutput struct {
	name           string
	binary, shared bool
}

// BinaryAll makes every output binary that is not asked for otherwise.
func (w *Wanted) BinaryAll() { w.binary = true }

// form tells how an output goes out: as binary data, or not at all because it
// is in shared memory; else as JSON.
func (w *Wanted) form(name []byte) (binary, shared bool) {
	for _, o := range w.outputs {
		if o.name == string(name) {
			return o.binary, o.shared
		}
	}
	return w.binary, false
}

// maxOutputs bounds how many outputs may be asked for: each is looked for among
// them when the answer comes.
const maxOutputs = 4096

// output is one member of "outputs" while it is read.
type output struct {
	name           text
	seen           struct{ name, parameters bool }
	place          memory
	binary         struct{ set, value bool }
	classification struct {
		set   bool
		value uint64
	}
}

func (d *inferring) readOutput() error {
	o := &d.output
	*o = output{name: o.name, place: memory{region: o.place.region}}
	o.place.region.in = d.in
	o.name.reset()
	if len(d.request.Wanted.outputs) == maxOutputs {
		return invalid("more than %d outputs are asked for", maxOutputs)
	}
	if d.peek() != '{' {
		if err := d.skip(); err != nil {
			return err
		}
		return within("Unable to parse 'name'", missing("name"))
	}
	if err := d.object(&d.key, d.outputMember); err != nil {
		return err
	}
	return d.endOutput()
}

func (d *inferring) outputMember(key []byte) error {
	o := &d.output
	switch {
	case string(key) == "name" && first(&o.seen.name):
		return within("Unable to parse 'name'", d.string(&o.name))
	case string(key) == "parameters" && first(&o.seen.parameters):
		return d.tensorParameters(&o.place, d.outputParameter)
	default:
		return d.skip()
	}
}

func (d *inferring) outputParameter(key []byte) (err error) {
	o := &d.output
	switch {
	case string(key) == "binary_data" && first(&o.binary.set):
		o.binary.value, err = d.boolean()
		return within("Unable to parse 'binary_data'", err)
	case string(key) == "classification" && first(&o.classification.set):
		o.classification.value, err = d.unsigned(notUint)
		return within("Unable to set 'classification'", err)
	default:
		return d.skip()
	}
}

// endOutput checks an output that was read, writes it, and notes its form.
func (d *inferring) endOutput() error {
	o := &d.output
	switch {
	case o.place.set && o.classification.set:
		return invalid("Output can't set both 'shared_memory_region' and 'classification'")
	case o.place.set && o.binary.value:
		return invalid("Output can't set both 'shared_memory_region' and 'binary_data'")
	case !o.seen.name:
		return within("Unable to parse 'name'", missing("name"))
	}
	e := &d.entry
	e.reset()
	if err := e.field(outputName, o.name.b); err != nil {
		return err
	}
	if o.classification.value > 0 {
		d.value.reset()
		if err := (param{kind: paramInt64, bits: o.classification.value}).appendTo(&d.value, []byte("classification")); err != nil {
			return err
		}
		if err := e.field(outputParameters, d.value.b); err != nil {
			return err
		}
	}
	if err := o.place.appendTo(e, &d.value, outputParameters); err != nil {
		return err
	}
	if err := d.in.Charge(keyCost + len(o.name.b)); err != nil {
		return err
	}
	d.request.Wanted.outputs = append(d.request.Wanted.outputs, wantedOutput{string(o.name.b), o.binary.value, o.place.set})
	return d.head.field(reqOutputs, e.b)
}
