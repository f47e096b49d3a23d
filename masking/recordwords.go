package masking

import (
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/inference"
)

// requestWords masks what of a request is in no tensor's data: a caller chooses
// every name in it.
func (w *recordRun) requestWords(req *pb.ModelInferRequest) *access.Error {
	refused := w.names(&req.ModelName, &req.ModelVersion, &req.Id)
	if refused == nil {
		refused = w.parameters(req.Parameters)
	}
	for _, in := range req.Inputs {
		if refused == nil {
			refused = w.tensorWords(&in.Name, &in.Datatype, in.Parameters)
		}
	}
	for _, out := range req.Outputs {
		if refused == nil {
			refused = w.tensorWords(&out.Name, nil, out.Parameters)
		}
	}
	return refused
}

// answerWords masks what of an answer is in no tensor's data.
func (w *recordRun) answerWords(resp *pb.ModelInferResponse) *access.Error {
	if resp == nil {
		return nil
	}
	refused := w.names(&resp.ModelName, &resp.ModelVersion, &resp.Id)
	if refused == nil {
		refused = w.parameters(resp.Parameters)
	}
	for _, out := range resp.Outputs {
		if refused == nil {
			refused = w.tensorWords(&out.Name, &out.Datatype, out.Parameters)
		}
	}
	return refused
}

func (w *recordRun) tensorWords(name, datatype *string, params map[string]*pb.InferParameter) *access.Error {
	refused := w.name(name)
	if refused == nil && datatype != nil {
		refused = w.name(datatype)
	}
	if refused == nil {
		refused = w.parameters(params)
	}
	return refused
}

func (w *recordRun) names(all ...*string) *access.Error {
	for _, one := range all {
		if refused := w.name(one); refused != nil {
			return refused
		}
	}
	return nil
}

// parameters masks keys and values. Of two keys that look alike masked, one stays.
func (w *recordRun) parameters(params map[string]*pb.InferParameter) *access.Error {
	for key, value := range params {
		if text, ok := value.GetParameterChoice().(*pb.InferParameter_StringParam); ok {
			if refused := w.name(&text.StringParam); refused != nil {
				return refused
			}
		}
		masked := key
		if refused := w.name(&masked); refused != nil {
			return refused
		}
		if masked != key {
			delete(params, key)
			params[masked] = value // visited again or not: what is masked stays as it is
		}
	}
	return nil
}

// message masks all texts of a message of any type.
func (w *recordRun) message(m protoreflect.Message) (refused *access.Error) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap():
			refused = w.entries(f, v.Map())
		case f.IsList():
			for i := 0; i < v.List().Len() && refused == nil; i++ {
				var one protoreflect.Value
				if one, refused = w.value(f, v.List().Get(i)); f.Message() == nil {
					v.List().Set(i, one)
				}
			}
		default:
			var one protoreflect.Value
			if one, refused = w.value(f, v); f.Message() == nil {
				m.Set(f, one)
			}
		}
		return refused == nil
	})
	return refused
}

// value is a value, masked if it is text; a message is masked in its place.
func (w *recordRun) value(f protoreflect.FieldDescriptor, v protoreflect.Value) (protoreflect.Value, *access.Error) {
	switch f.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return v, w.message(v.Message())
	case protoreflect.StringKind:
		text := v.String()
		refused := w.name(&text)
		return protoreflect.ValueOfString(text), refused
	case protoreflect.BytesKind:
		text := slices.Clone(v.Bytes())
		refused := w.alone(&text)
		return protoreflect.ValueOfBytes(text), refused
	default:
		return v, nil
	}
}

// entries masks a map's keys and values.
func (w *recordRun) entries(f protoreflect.FieldDescriptor, m protoreflect.Map) (refused *access.Error) {
	var keys []protoreflect.MapKey
	m.Range(func(key protoreflect.MapKey, v protoreflect.Value) bool {
		keys = append(keys, key)
		var one protoreflect.Value
		if one, refused = w.value(f.MapValue(), v); f.MapValue().Message() == nil {
			m.Set(key, one)
		}
		return refused == nil
	})
	if refused != nil || f.MapKey().Kind() != protoreflect.StringKind {
		return refused
	}
	for _, key := range keys {
		text := key.String()
		if refused := w.name(&text); refused != nil {
			return refused
		}
		if text != key.String() {
			v := m.Get(key)
			m.Clear(key)
			m.Set(protoreflect.ValueOfString(text).MapKey(), v)
		}
	}
	return nil
}
