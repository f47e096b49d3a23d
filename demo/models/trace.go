package models

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/gen/inference"
)

// settings are trace settings by their names, each a list of values.
type settings map[string][]string

// traceSettings are those of the server and what models have over them. They
// are kept and reported; no trace is ever written.
type traceSettings struct {
	mu     sync.Mutex
	global settings
	models map[string]settings
}

// traceDefaults are what a Triton without a trace option shows.
func traceDefaults() settings {
	return settings{
		"trace_level": {"OFF"}, "trace_rate": {"1000"}, "trace_count": {"-1"}, "log_frequency": {"0"},
		"trace_file": {""}, "trace_mode": {"triton"},
	}
}

func newTraceSettings() *traceSettings {
	return &traceSettings{global: traceDefaults(), models: map[string]settings{}}
}

// TraceSetting implements the RPC of that name: it changes what the request
// holds, and answers with all.
func (s *Server) TraceSetting(_ context.Context, req *inference.TraceSettingRequest) (*inference.TraceSettingResponse, error) {
	if name := req.GetModelName(); name != "" {
		if _, err := s.models.find(name, ""); err != nil {
			return nil, invalid("Request for unknown model : %s", name)
		}
	}
	changes := settings{}
	for key, v := range req.GetSettings() {
		if err := checkTrace(key, v.GetValue()); err != nil {
			return nil, err
		}
		changes[key] = v.GetValue()
	}
	answer := &inference.TraceSettingResponse{Settings: map[string]*inference.TraceSettingResponse_SettingValue{}}
	for key, v := range s.trace.update(req.GetModelName(), changes) {
		answer.Settings[key] = &inference.TraceSettingResponse_SettingValue{Value: v}
	}
	return answer, nil
}

// update applies changes to the model's settings, or to the server's where
// model is "", and returns what is in force there. An empty value takes back a
// model's own, or the server's to what it started with. Names that Triton
// does not know are ignored, as there.
func (t *traceSettings) update(model string, changes settings) settings {
	t.mu.Lock()
	defer t.mu.Unlock()
	defaults := traceDefaults()
	for key, v := range changes {
		if _, ok := defaults[key]; !ok || key == "trace_mode" {
			continue
		}
		switch {
		case model == "" && len(v) == 0:
			t.global[key] = defaults[key]
		case model == "":
			t.global[key] = v
		case len(v) == 0:
			delete(t.models[model], key)
		default:
			if t.models[model] == nil {
				t.models[model] = settings{}
			}
			t.models[model][key] = v
		}
	}
	now := maps.Clone(t.global)
	maps.Copy(now, t.models[model])
	return now
}

// checkTrace says what is wrong with one setting.
func checkTrace(key string, values []string) error {
	switch key {
	case "trace_file":
		return status.Error(codes.Unimplemented, "trace file location can not be updated through network protocol")
	case "trace_level":
		switch off := slices.Contains(values, "OFF"); {
		case off && len(values) > 1:
			return invalid("Expect only one trace level 'OFF' is specified")
		case !off && len(values) > 0:
			// The file can only be given where the server is started.
			return invalid("Attempting to set invalid trace setting :trace file name is not given")
		}
	case "trace_rate", "log_frequency":
		return checkNumber(key, values, 0)
	case "trace_count":
		return checkNumber(key, values, -1)
	}
	return nil
}

// checkNumber takes one number, or none to clear. least is 0 or -1; only the
// latter is held to, since Triton reads the others as unsigned.
func checkNumber(key string, values []string, least int64) error {
	switch len(values) {
	case 0:
		return nil
	case 1:
	default:
		return invalid("expect only 1 value for '%s'", key)
	}
	n, err := strconv.ParseInt(values[0], 10, 32)
	switch {
	case errors.Is(err, strconv.ErrRange) && least < 0:
		return invalid("Unable to parse '%s', value is out of range [ -1, 2147483647 ], got: %s", key, values[0])
	case errors.Is(err, strconv.ErrRange):
		return invalid("Unable to parse '%s', value is out of range [ 0, 4294967295 ], got: %s", key, values[0])
	case err != nil:
		return invalid("Unable to parse '%s', got: %s", key, values[0])
	case least < 0 && n < least:
		return invalid("Unable to parse '%s'. Expecting value >= %d, got: %s", key, least, values[0])
	}
	return nil
}
