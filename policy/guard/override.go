package guard

import (
	"slices"
	"strings"
	"unicode"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sluice-gateway/sluice/gen/inference"
)

// The parameters of a load that Triton knows.
const (
	configKey  = "config"
	filePrefix = "file:"
)

// override is what a load pushes.
type override struct {
	text  string   // the configuration, "" where there is none
	keys  []string // its keys and those of the parameters
	files []*file

	config once[*inference.ModelConfig]
}

// file is a file that a load pushes.
type file struct {
	name  string
	bytes int
}

// pushed is what a load pushes, nothing for other calls.
func (r *reading) pushed() (*override, error) { return r.override.get(r.findPushed) }

func (r *reading) findPushed() (*override, error) {
	o := new(override)
	m, ok := r.r.Control.(*inference.RepositoryModelLoadRequest)
	if !ok {
		return o, nil
	}
	if len(m.GetParameters()) > maxListed {
		return nil, fail("the load has %d parameters, more than %d", len(m.GetParameters()), maxListed)
	}
	for key, p := range m.GetParameters() {
		if strings.IndexByte(key, 0) >= 0 {
			return nil, fail("the name of a parameter holds a byte 0, where a server may take it to end")
		}
		o.keys = append(o.keys, key)
		switch v := p.GetParameterChoice().(type) {
		case *inference.ModelRepositoryParameter_StringParam:
			if key == configKey {
				o.text = v.StringParam
			}
		case *inference.ModelRepositoryParameter_BytesParam:
			o.files = append(o.files, &file{strings.TrimPrefix(key, filePrefix), len(v.BytesParam)})
			continue
		}
		if key == configKey && o.text == "" || strings.HasPrefix(key, filePrefix) {
			return nil, fail("parameter %.40q of the load is not of the type that it has to be", key)
		}
	}
	if len(o.text) > 0 {
		if err := r.take(len(o.text)); err != nil {
			return nil, err
		}
		keys, err := configKeys(o.text)
		if err != nil {
			return nil, err
		}
		o.keys = append(o.keys, keys...)
	}
	slices.Sort(o.keys)
	slices.SortFunc(o.files, func(a, b *file) int { return strings.Compare(a.name, b.name) })
	return o, nil
}

// configKeys are the fields that a configuration sets, by the names of
// config.pbtxt: a server takes maxBatchSize for max_batch_size.
func configKeys(text string) (keys []string, err error) {
	v, err := parseJSON(text)
	if err != nil {
		return nil, fail("the load's configuration is not JSON that can be read in one way: %v", err)
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, fail("the load's configuration is no JSON object")
	}
	for key := range object {
		snake := snakeCase(key)
		if slices.Contains(keys, snake) {
			return nil, fail("the load's configuration has one key in two spellings")
		}
		keys = append(keys, snake)
	}
	return keys, nil
}

// snakeCase is the field that protobuf's JSON calls by a name in lowerCamelCase.
func snakeCase(key string) string {
	var b strings.Builder
	for _, c := range key {
		if unicode.IsUpper(c) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(c))
	}
	return b.String()
}

// model is the configuration as Triton would read it; an empty one where the load
// pushes none. A field that this version does not know can't be told of.
func (o *override) model() (*inference.ModelConfig, error) {
	return o.config.get(func() (*inference.ModelConfig, error) {
		config := new(inference.ModelConfig)
		if o.text == "" {
			return config, nil
		}
		if err := protojson.Unmarshal([]byte(o.text), config); err != nil {
			return nil, fail("the load's configuration is no model configuration that this version of the gateway knows")
		}
		return config, nil
	})
}

// fileList is the variable override.files.
func (r *reading) fileList() ([]object, error) {
	o, err := r.pushed()
	if err != nil {
		return nil, err
	}
	list := make([]object, len(o.files))
	for n, f := range o.files {
		list[n] = object{fileType, f}
	}
	return list, nil
}

// hasUnknown tells whether a message, or one inside of it, has fields that this
// version does not know: a server may know them.
func hasUnknown(m protoreflect.Message) bool {
	if len(m.GetUnknown()) > 0 {
		return true
	}
	found := false
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap():
			if f.MapValue().Message() != nil {
				v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
					found = found || hasUnknown(v.Message())
					return !found
				})
			}
		case f.Message() == nil:
		case f.IsList():
			for i := range v.List().Len() {
				found = found || hasUnknown(v.List().Get(i).Message())
			}
		default:
			found = hasUnknown(v.Message())
		}
		return !found
	})
	return found
}
