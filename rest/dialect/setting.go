package dialect

import (
	"math"
	"net/http"
	"slices"

	pb "github.com/sluice-gateway/sluice/gen/inference"
)

// maxSettings bounds the values of one setting.
const maxSettings = 64

// trace reads settings of tracing: strings, of the level a list. null clears a
// model's own setting, which is an empty list in gRPC. Triton's endpoint looks
// at no other keys.
func (c *control) trace(m *pb.TraceSettingRequest) error {
	m.Settings = make(map[string]*pb.TraceSettingRequest_SettingValue)
	return c.members(func(key []byte) error {
		name := string(key)
		if name == "trace_mode" || !slices.Contains(traceKeys, name) || m.Settings[name] != nil {
			return c.skip()
		}
		v := new(pb.TraceSettingRequest_SettingValue)
		m.Settings[name] = v
		one := func() error {
			if len(v.Value) == maxSettings {
				return invalid("setting '%s' has more than %d values", name, maxSettings)
			}
			s, err := c.take()
			v.Value = append(v.Value, s)
			return err
		}
		switch next := c.peek(); {
		case next == 'n':
			_, err := c.literal()
			return err
		case name != "trace_level":
			return one()
		case next != '[':
			return c.other(notArray)
		default:
			return c.array(one)
		}
	})
}

// logs reads settings of logging; null leaves one as it is.
func (c *control) logs(m *pb.LogSettingsRequest) error {
	m.Settings = make(map[string]*pb.LogSettingsRequest_SettingValue)
	seen := make(map[string]bool, len(logKeys))
	return c.members(func(key []byte) (err error) {
		name := string(key)
		if !slices.Contains(logKeys, name) || seen[name] {
			return c.skip()
		}
		seen[name] = true
		if c.peek() == 'n' {
			_, err := c.literal()
			return err
		}
		v := new(pb.LogSettingsRequest_SettingValue)
		m.Settings[name] = v
		switch name {
		case "log_info", "log_warning", "log_error":
			var b bool
			b, err = c.boolean()
			v.ParameterChoice = &pb.LogSettingsRequest_SettingValue_BoolParam{BoolParam: b}
		case "log_verbose_level":
			var level uint64
			if level, err = c.unsigned(notUint); err == nil && level > math.MaxUint32 {
				err = notUint
			}
			v.ParameterChoice = &pb.LogSettingsRequest_SettingValue_Uint32Param{Uint32Param: uint32(level)}
		default:
			var s string
			if s, err = c.take(); err == nil && name == "log_format" && s != "default" && s != "ISO8601" {
				err = &Error{http.StatusServiceUnavailable, "invalid argument for --log_format, got: " + s}
			}
			v.ParameterChoice = &pb.LogSettingsRequest_SettingValue_StringParam{StringParam: s}
		}
		return err
	})
}
