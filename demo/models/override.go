package models

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/gen/inference"
)

// errNoConfig: files come with a configuration or not at all.
var errNoConfig = errors.New("files without a config")

// override is what a load request pushes over a model's own.
type override struct {
	given   bool
	config  string // JSON; "" for none
	files   bool
	version int64 // the highest that a file is of, else 1
}

// readOverride reads the parameters of a load request.
func readOverride(params map[string]*inference.ModelRepositoryParameter) (*override, error) {
	o := &override{given: len(params) > 0}
	for key, p := range params {
		switch {
		case key == "config":
			v, ok := p.GetParameterChoice().(*inference.ModelRepositoryParameter_StringParam)
			if !ok {
				return nil, invalid("invalid value type for load parameter '%s', expected string_param.", key)
			}
			o.config = v.StringParam
		case strings.HasPrefix(key, "file:"):
			if _, ok := p.GetParameterChoice().(*inference.ModelRepositoryParameter_BytesParam); !ok {
				return nil, invalid("invalid value type for load parameter '%s', expected bytes_param.", key)
			}
			o.addFile(strings.TrimPrefix(key, "file:"))
		default:
			return nil, invalid("unrecognized load parameter '%s'.", key)
		}
	}
	o.version = max(o.version, 1)
	return o, nil
}

// addFile notes the version that path, as in "3/model.onnx", belongs to.
func (o *override) addFile(path string) {
	o.files = true
	dir, _, _ := strings.Cut(path, "/")
	if v, err := strconv.ParseInt(dir, 10, 64); err == nil {
		o.version = max(o.version, v)
	}
}

// apply puts o over own. What the pushed configuration leaves out is taken
// from own, as Triton completes it from the model. An error means that it
// can't be read, a reason that the model can't be run so.
func (o *override) apply(own *inference.ModelConfig) (config *inference.ModelConfig, reason string, err error) {
	if o.config == "" {
		if o.files {
			return nil, "", errNoConfig
		}
		return own, "", nil
	}
	config = &inference.ModelConfig{}
	if err := protojson.Unmarshal([]byte(o.config), config); err != nil {
		return nil, "", fmt.Errorf("config: %w", err)
	}
	if config.GetMaxBatchSize() < 0 {
		return nil, "", fmt.Errorf("config: max_batch_size is %d", config.GetMaxBatchSize())
	}
	if name := config.GetName(); name != "" && name != own.GetName() {
		return nil, "", fmt.Errorf("config: its name is %q", name)
	}
	return config, complete(config, own), nil
}

// complete fills config from own, and returns the reason why the model could
// not be run with it, or "".
func complete(config, own *inference.ModelConfig) (reason string) {
	filled := proto.CloneOf(own)
	if len(config.GetInput()) > 0 {
		filled.Input = nil
	}
	if len(config.GetOutput()) > 0 {
		filled.Output = nil
	}
	filled.InstanceGroup = nil
	proto.Merge(filled, config)
	if len(filled.GetInstanceGroup()) == 0 {
		filled.InstanceGroup = own.GetInstanceGroup()
	}
	proto.Reset(config)
	proto.Merge(config, filled)
	switch {
	case config.GetBackend() != own.GetBackend():
		return fmt.Sprintf("Invalid argument: unable to find backend library for backend '%s', try specifying runtime on the model configuration.", config.GetBackend())
	case decoupled(config) != decoupled(own):
		return fmt.Sprintf("Invalid argument: the transaction policy of model '%s' can't be changed", own.GetName())
	}
	return differs(config, own)
}

// differs names the first tensor of own's that config does not have as the
// model needs it; dimensions are free.
func differs(config, own *inference.ModelConfig) string {
	for _, in := range own.GetInput() {
		if got := findInput(config, in.GetName()); got.GetDataType() != in.GetDataType() {
			return fmt.Sprintf("Invalid argument: model '%s' needs an input '%s' of type %s", own.GetName(), in.GetName(), in.GetDataType())
		}
	}
	for _, out := range own.GetOutput() {
		if got := findOutput(config, out.GetName()); got.GetDataType() != out.GetDataType() {
			return fmt.Sprintf("Invalid argument: model '%s' has an output '%s' of type %s", own.GetName(), out.GetName(), out.GetDataType())
		}
	}
	return ""
}
