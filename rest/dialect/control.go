package dialect

import (
	"cmp"
	"math"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/sluice-gateway/sluice/gen/inference"
)

// Control writes the answer of an RPC other than inference as Triton's HTTP
// endpoint does. Of some it has none: their body is empty.
func (p *Page) Control(m proto.Message) error {
	switch m := m.(type) {
	case *pb.ServerLiveResponse, *pb.ServerReadyResponse, *pb.RepositoryModelLoadResponse, *pb.RepositoryModelUnloadResponse,
		*pb.SystemSharedMemoryRegisterResponse, *pb.SystemSharedMemoryUnregisterResponse,
		*pb.CudaSharedMemoryRegisterResponse, *pb.CudaSharedMemoryUnregisterResponse:
	case *pb.ModelReadyResponse:
		if !m.GetReady() {
			p.Error("Model version not ready")
		}
	case *pb.ModelConfigResponse:
		p.message(m.GetConfig().ProtoReflect())
	case *pb.RepositoryIndexResponse:
		list(p, m.GetModels(), p.indexEntry)
	case *pb.SystemSharedMemoryStatusResponse:
		list(p, byName(m.GetRegions()), func(r *pb.SystemSharedMemoryStatusResponse_RegionStatus) { p.message(r.ProtoReflect()) })
	case *pb.CudaSharedMemoryStatusResponse:
		list(p, byName(m.GetRegions()), func(r *pb.CudaSharedMemoryStatusResponse_RegionStatus) { p.message(r.ProtoReflect()) })
	case *pb.TraceSettingResponse:
		settings(p, traceKeys, m.GetSettings(), p.traceSetting)
	case *pb.LogSettingsResponse:
		settings(p, logKeys, m.GetSettings(), p.logSetting)
	default:
		p.message(m.ProtoReflect())
	}
	return p.err
}

// Error writes the body of an error.
func (p *Page) Error(text string) {
	p.raw(`{"error":`)
	p.quoteString(text)
	p.byte('}')
}

func list[T any](p *Page, all []T, write func(T)) {
	p.byte('[')
	for i, e := range all {
		if i > 0 {
			p.byte(',')
		}
		write(e)
	}
	p.byte(']')
}

// byName lists a map's values in the order of its keys.
func byName[K cmp.Ordered, V any](m map[K]V) (all []V) {
	for _, key := range sortedKeys(m) {
		all = append(all, m[key])
	}
	return all
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// indexEntry writes what is known of a model: of one that was never loaded, its
// name alone.
func (p *Page) indexEntry(m *pb.RepositoryIndexResponse_ModelIndex) {
	p.raw(`{"name":`)
	p.quoteString(m.GetName())
	for _, more := range [][2]string{{"version", m.GetVersion()}, {"state", m.GetState()}, {"reason", m.GetReason()}} {
		if more[1] != "" {
			p.byte(',')
			p.quoteString(more[0])
			p.byte(':')
			p.quoteString(more[1])
		}
	}
	p.byte('}')
}

// The settings in Triton's order.
var (
	traceKeys = []string{"trace_level", "trace_rate", "trace_count", "log_frequency", "trace_file", "trace_mode"}
	logKeys   = []string{"log_file", "log_info", "log_warning", "log_error", "log_verbose_level", "log_format"}
)

// settings writes a map of settings, known keys first.
func settings[V any](p *Page, known []string, all map[string]V, write func(key string, value V)) {
	keys := slices.DeleteFunc(sortedKeys(all), func(key string) bool { return slices.Contains(known, key) })
	separator := byte('{')
	for _, key := range append(slices.Clone(known), keys...) {
		if value, ok := all[key]; ok {
			p.byte(separator)
			separator = ','
			p.quoteString(key)
			p.byte(':')
			write(key, value)
		}
	}
	if separator == '{' {
		p.byte('{')
	}
	p.byte('}')
}

func (p *Page) traceSetting(key string, v *pb.TraceSettingResponse_SettingValue) {
	if key == "trace_level" || len(v.GetValue()) > 1 {
		list(p, v.GetValue(), p.quoteString)
		return
	}
	for _, value := range append(v.GetValue(), "")[:1] {
		p.quoteString(value)
	}
}

func (p *Page) logSetting(_ string, v *pb.LogSettingsResponse_SettingValue) {
	switch v := v.GetParameterChoice().(type) {
	case *pb.LogSettingsResponse_SettingValue_BoolParam:
		p.bool(v.BoolParam)
	case *pb.LogSettingsResponse_SettingValue_Uint32Param:
		p.uint(uint64(v.Uint32Param))
	case *pb.LogSettingsResponse_SettingValue_StringParam:
		p.quoteString(v.StringParam)
	default:
		p.raw("null")
	}
}

// declared is the order in which Triton's own files declare the fields of some
// messages, where that is not the order of their numbers: its JSON has it.
var declared = map[protoreflect.Name][]protoreflect.FieldNumber{
	"ModelConfig":           {1, 2, 17, 25, 3, 4, 5, 6, 20, 21, 12, 11, 13, 15, 7, 8, 9, 10, 14, 16, 18, 19, 23, 24, 26},
	"ModelInstanceGroup":    {1, 4, 2, 6, 3, 8, 5, 7, 9},
	"ModelOutput":           {1, 2, 3, 5, 4, 6, 7},
	"ModelSequenceBatching": {3, 4, 1, 2, 5, 6},
	"Control":               {1, 2, 3, 5, 4},
	"ModelStatistics":       {1, 2, 3, 4, 5, 6, 9, 7, 8},
}

// fieldsOf are a message's fields in the order of its JSON.
func fieldsOf(d protoreflect.MessageDescriptor) (fields []protoreflect.FieldDescriptor) {
	for _, num := range declared[d.Name()] {
		if f := d.Fields().ByNumber(num); f != nil {
			fields = append(fields, f)
		}
	}
	for i := range d.Fields().Len() {
		if f := d.Fields().Get(i); !slices.Contains(fields, f) {
			fields = append(fields, f)
		}
	}
	return fields
}

// message writes a message with all its fields, be they zero, save messages and
// members of oneofs that are not set. 64-bit integers are numbers.
func (p *Page) message(m protoreflect.Message) {
	p.byte('{')
	isFirst := true
	for _, f := range fieldsOf(m.Descriptor()) {
		if f.HasPresence() && !m.Has(f) {
			continue
		}
		if !isFirst {
			p.byte(',')
		}
		isFirst = false
		p.quoteString(string(f.Name()))
		p.byte(':')
		switch v := m.Get(f); {
		case f.IsMap():
			p.mapField(f, v.Map())
		case f.IsList():
			p.listField(f, v.List())
		default:
			p.value(f, v)
		}
	}
	p.byte('}')
}

func (p *Page) listField(f protoreflect.FieldDescriptor, l protoreflect.List) {
	p.byte('[')
	for i := range l.Len() {
		if i > 0 {
			p.byte(',')
		}
		p.value(f, l.Get(i))
	}
	p.byte(']')
}

func (p *Page) mapField(f protoreflect.FieldDescriptor, m protoreflect.Map) {
	all := make(map[string]protoreflect.Value, m.Len())
	m.Range(func(key protoreflect.MapKey, v protoreflect.Value) bool {
		all[key.String()] = v
		return true
	})
	p.byte('{')
	for i, key := range sortedKeys(all) {
		if i > 0 {
			p.byte(',')
		}
		p.quoteString(key)
		p.byte(':')
		p.value(f.MapValue(), all[key])
	}
	p.byte('}')
}

// number writes a double without a point where it has no fraction, as
// protobuf's JSON does.
func (p *Page) number(f float64) {
	if f == math.Trunc(f) && math.Abs(f) < maxExact {
		p.int(int64(f))
		return
	}
	p.float(f)
}

func (p *Page) value(f protoreflect.FieldDescriptor, v protoreflect.Value) {
	switch f.Kind() {
	case protoreflect.BoolKind:
		p.bool(v.Bool())
	case protoreflect.StringKind:
		p.quoteString(v.String())
	case protoreflect.EnumKind:
		if e := f.Enum().Values().ByNumber(v.Enum()); e != nil {
			p.quoteString(string(e.Name()))
			return
		}
		p.int(int64(v.Enum()))
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		p.number(v.Float())
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind:
		p.uint(v.Uint())
	case protoreflect.Int32Kind, protoreflect.Int64Kind:
		p.int(v.Int())
	case protoreflect.MessageKind:
		p.message(v.Message())
	default:
		p.raw("null")
	}
}
