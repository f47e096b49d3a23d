package guard

import (
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// params are the parameters of a request to infer, the settings or parameters of
// a control call. What a load pushes as a file is not among them.
func (r *reading) params() (map[string]any, error) { return r.parameters.get(r.findParams) }

func (r *reading) findParams() (map[string]any, error) {
	all := make(map[string]any)
	if r.r.Infer != nil {
		return all, r.addParameters(all, r.r.Infer.Parameters())
	}
	switch m := r.r.Control.(type) {
	case *inference.RepositoryModelLoadRequest:
		return all, r.addControl(all, m.GetParameters())
	case *inference.RepositoryModelUnloadRequest:
		return all, r.addControl(all, m.GetParameters())
	case *inference.TraceSettingRequest:
		for key, v := range m.GetSettings() {
			all[key] = v.GetValue()
		}
	case *inference.LogSettingsRequest:
		for key, v := range m.GetSettings() {
			all[key] = choice(v.ProtoReflect())
		}
	case *inference.SystemSharedMemoryRegisterRequest:
		all["name"], all["key"], all["offset"], all["byte_size"] = m.GetName(), m.GetKey(), m.GetOffset(), m.GetByteSize()
	case *inference.CudaSharedMemoryRegisterRequest:
		all["name"], all["device_id"], all["byte_size"] = m.GetName(), m.GetDeviceId(), m.GetByteSize()
	}
	return all, r.bounded(all)
}

// addParameters adds those of a message on the data path: of a key that comes
// twice the last one, as protobuf has it.
func (r *reading) addParameters(all map[string]any, parameters wire.Parameters) error {
	n := 0
	for key, p := range parameters.All() {
		if n++; n > maxListed {
			return fail("the request has more than %d parameters", maxListed)
		}
		name, err := properName("parameter", key)
		if err != nil {
			return err
		}
		if all[name], err = r.parameter(p); err != nil {
			return err
		}
	}
	return nil
}

// outputParameters are those of the outputs that are asked for.
func (r *reading) outputParameters() ([]map[string]any, error) {
	return r.asked.get(func() (all []map[string]any, err error) {
		if _, err := r.requested(); err != nil {
			return nil, err
		}
		for o := range r.r.Infer.Outputs() {
			of := make(map[string]any)
			if err := r.addParameters(of, o.Parameters()); err != nil {
				return nil, err
			}
			all = append(all, of)
		}
		return all, nil
	})
}

// parameter is a parameter's value; nil where nothing is set.
func (r *reading) parameter(p wire.Parameter) (any, error) {
	switch p.Kind {
	case wire.BoolParameter:
		v, _ := p.Bool()
		return v, nil
	case wire.Int64Parameter:
		v, _ := p.Int64()
		return v, nil
	case wire.Uint64Parameter:
		v, _ := p.Uint64()
		return v, nil
	case wire.DoubleParameter:
		v, _ := p.Double()
		return v, nil
	case wire.StringParameter:
		span, _ := p.Text()
		if err := r.take(span.Len()); err != nil {
			return nil, err
		}
		return span.String(), nil
	}
	return nil, nil
}

// addControl adds the parameters of a load or an unload, less files' contents.
func (r *reading) addControl(all map[string]any, parameters map[string]*inference.ModelRepositoryParameter) error {
	for key, p := range parameters {
		if _, isFile := p.GetParameterChoice().(*inference.ModelRepositoryParameter_BytesParam); !isFile {
			all[key] = choice(p.ProtoReflect())
		}
	}
	return r.bounded(all)
}

// bounded bounds what a control call sends; it was decoded already.
func (r *reading) bounded(all map[string]any) error {
	if len(all) > maxListed {
		return fail("the request has %d parameters, more than %d", len(all), maxListed)
	}
	for key, v := range all {
		if len(key) > maxName {
			return fail("the name of a parameter is %d bytes long", len(key))
		}
		if text, ok := v.(string); ok {
			if err := r.take(len(text)); err != nil {
				return err
			}
		}
	}
	return nil
}

// choice is the member of a message's one oneof that is set, nil where none is.
func choice(m protoreflect.Message) any {
	oneof := m.Descriptor().Oneofs().ByName("parameter_choice")
	field := m.WhichOneof(oneof)
	if field == nil {
		return nil
	}
	switch v := m.Get(field).Interface().(type) {
	case uint32:
		return uint64(v)
	default:
		return v
	}
}

// samplingInput is the input that holds sampling parameters as the text of a JSON
// object, for vLLM behind Triton and for all servers of generated text.
const samplingInput = "sampling_parameters"

// samples are the sampling parameters of that input; nil where there is none.
func (r *reading) samples() (map[string]any, error) {
	return r.sampling.get(func() (map[string]any, error) {
		i, err := r.find(samplingInput)
		if i == nil || err != nil {
			return nil, err
		}
		v, err := r.json(samplingInput)
		if err != nil {
			return nil, err
		}
		object, ok := v.(map[string]any)
		if !ok {
			return nil, fail("input %s is no JSON object", access.Quote(samplingInput))
		}
		return object, nil
	})
}
