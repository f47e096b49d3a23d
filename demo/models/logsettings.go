package models

import (
	"context"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/gen/inference"
)

// logSettings are kept and reported; they change nothing in what is logged.
type logSettings struct {
	mu                   sync.Mutex
	info, warning, error bool
	verbose              uint32
	format               string
}

// newLogSettings returns what a Triton without a log option shows.
func newLogSettings() *logSettings {
	return &logSettings{info: true, warning: true, error: true, format: "default"}
}

// LogSettings implements the RPC of that name: it changes what the request
// holds, and answers with all. Where one value is wrong nothing is changed.
func (s *Server) LogSettings(_ context.Context, req *inference.LogSettingsRequest) (*inference.LogSettingsResponse, error) {
	l := s.logging
	l.mu.Lock()
	defer l.mu.Unlock()
	changed := logSettings{info: l.info, warning: l.warning, error: l.error, verbose: l.verbose, format: l.format}
	for key, v := range req.GetSettings() {
		if err := changed.set(key, v); err != nil {
			return nil, err
		}
	}
	l.info, l.warning, l.error, l.verbose, l.format = changed.info, changed.warning, changed.error, changed.verbose, changed.format
	return l.report(), nil
}

// set changes one setting. Names that Triton does not know are ignored, as
// there.
func (l *logSettings) set(key string, v *inference.LogSettingsRequest_SettingValue) error {
	switch key {
	case "log_file":
		return status.Error(codes.Unimplemented, "log file location can not be updated through network protocol")
	case "log_info":
		return setBool(key, v, &l.info)
	case "log_warning":
		return setBool(key, v, &l.warning)
	case "log_error":
		return setBool(key, v, &l.error)
	case "log_verbose_level":
		n, ok := v.GetParameterChoice().(*inference.LogSettingsRequest_SettingValue_Uint32Param)
		if !ok {
			return invalid("expect int32 for '%s'", key)
		}
		l.verbose = n.Uint32Param
	case "log_format":
		f, ok := v.GetParameterChoice().(*inference.LogSettingsRequest_SettingValue_StringParam)
		if !ok {
			return invalid("expect string for '%s'", key)
		}
		if f.StringParam != "default" && f.StringParam != "ISO8601" {
			return invalid("invalid argument for log_format, got: %s", f.StringParam)
		}
		l.format = f.StringParam
	}
	return nil
}

// setBool reads a setting that has to be true or false.
func setBool(key string, v *inference.LogSettingsRequest_SettingValue, to *bool) error {
	b, ok := v.GetParameterChoice().(*inference.LogSettingsRequest_SettingValue_BoolParam)
	if !ok {
		return invalid("expect boolean for '%s'", key)
	}
	*to = b.BoolParam
	return nil
}

// report returns all settings. The caller holds mu.
func (l *logSettings) report() *inference.LogSettingsResponse {
	type value = inference.LogSettingsResponse_SettingValue
	flag := func(b bool) *value {
		return &value{ParameterChoice: &inference.LogSettingsResponse_SettingValue_BoolParam{BoolParam: b}}
	}
	word := func(s string) *value {
		return &value{ParameterChoice: &inference.LogSettingsResponse_SettingValue_StringParam{StringParam: s}}
	}
	return &inference.LogSettingsResponse{Settings: map[string]*value{
		"log_file": word(""), "log_info": flag(l.info), "log_warning": flag(l.warning), "log_error": flag(l.error),
		"log_verbose_level": {ParameterChoice: &inference.LogSettingsResponse_SettingValue_Uint32Param{Uint32Param: l.verbose}},
		"log_format":        word(l.format),
	}}
}
