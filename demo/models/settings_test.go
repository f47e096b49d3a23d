package models_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/sluice-gateway/sluice/gen/inference"
)

// trace changes trace settings, each "key=value,value" or "key=" to clear, and
// returns all as one text.
func trace(t *testing.T, c inference.GRPCInferenceServiceClient, model string, changes map[string][]string) (string, error) {
	t.Helper()
	req := &inference.TraceSettingRequest{ModelName: model, Settings: map[string]*inference.TraceSettingRequest_SettingValue{}}
	for key, v := range changes {
		req.Settings[key] = &inference.TraceSettingRequest_SettingValue{Value: v}
	}
	got, err := c.TraceSetting(t.Context(), req)
	all := ""
	for _, key := range slices.Sorted(maps.Keys(got.GetSettings())) {
		all += fmt.Sprintf("%s=%v ", key, got.GetSettings()[key].GetValue())
	}
	return all, err
}

func TestTraceSettings(t *testing.T) {
	c := client(t)
	now := func(frequency, count, level, rate string) string {
		return fmt.Sprintf("log_frequency=[%s] trace_count=[%s] trace_file=[] trace_level=[%s] trace_mode=[triton] trace_rate=[%s] ", frequency, count, level, rate)
	}
	for _, step := range []struct {
		name, model string
		changes     map[string][]string
		want        string
	}{
		{"as it starts", "", nil, now("0", "-1", "OFF", "1000")},
		{"the server's", "", map[string][]string{"trace_level": {"OFF"}, "trace_count": {"9"}, "trace_rate": {"5"}}, now("0", "9", "OFF", "5")},
		{"a model's over it", "simple", map[string][]string{"trace_rate": {"7"}, "log_frequency": {"2"}}, now("2", "9", "OFF", "7")},
		{"not another model's", "simple_string", nil, now("0", "9", "OFF", "5")},
		{"unknown names", "simple", map[string][]string{"nope": {"1"}, "trace_mode": {"opentelemetry"}}, now("2", "9", "OFF", "7")},
		{"a model's taken back", "simple", map[string][]string{"trace_rate": nil}, now("2", "9", "OFF", "5")},
		{"the server's taken back", "", map[string][]string{"trace_level": nil, "trace_count": nil}, now("0", "-1", "OFF", "5")},
	} {
		got, err := trace(t, c, step.model, step.changes)
		if err != nil || got != step.want {
			t.Errorf("%s: %v\ngot  %s\nwant %s", step.name, err, got, step.want)
		}
	}
}

func TestTraceRefusals(t *testing.T) {
	for _, tc := range []struct {
		name, model, key string
		values           []string
		code             codes.Code
		text             string
	}{
		{"unknown model", "m", "trace_rate", []string{"1"}, codes.InvalidArgument, "Request for unknown model : m"},
		{"file", "", "trace_file", []string{"/tmp/x"}, codes.Unimplemented, "trace file location can not be updated through network protocol"},
		{"off and on", "", "trace_level", []string{"OFF", "TENSORS"}, codes.InvalidArgument, "Expect only one trace level 'OFF' is specified"},
		{"on", "", "trace_level", []string{"TIMESTAMPS"}, codes.InvalidArgument, "Attempting to set invalid trace setting :trace file name is not given"},
		{"no number", "", "trace_rate", []string{"x"}, codes.InvalidArgument, "Unable to parse 'trace_rate', got: x"},
		{
			"great number", "", "trace_rate",
			[]string{"99999999999"},
			codes.InvalidArgument,
			"Unable to parse 'trace_rate', value is out of range [ 0, 4294967295 ], got: 99999999999",
		},
		{"two numbers", "", "log_frequency", []string{"1", "2"}, codes.InvalidArgument, "expect only 1 value for 'log_frequency'"},
		{"small count", "", "trace_count", []string{"-2"}, codes.InvalidArgument, "Unable to parse 'trace_count'. Expecting value >= -1, got: -2"},
		{
			"great count", "", "trace_count",
			[]string{"99999999999"},
			codes.InvalidArgument,
			"Unable to parse 'trace_count', value is out of range [ -1, 2147483647 ], got: 99999999999",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := trace(t, client(t), tc.model, map[string][]string{tc.key: tc.values})
			wantStatus(t, err, tc.code, tc.text)
		})
	}
}

type logValue = inference.LogSettingsRequest_SettingValue

func logFlag(v bool) *logValue {
	return &logValue{ParameterChoice: &inference.LogSettingsRequest_SettingValue_BoolParam{BoolParam: v}}
}

func logNumber(v uint32) *logValue {
	return &logValue{ParameterChoice: &inference.LogSettingsRequest_SettingValue_Uint32Param{Uint32Param: v}}
}

func logWord(v string) *logValue {
	return &logValue{ParameterChoice: &inference.LogSettingsRequest_SettingValue_StringParam{StringParam: v}}
}

func TestLogSettings(t *testing.T) {
	c := client(t)
	for _, step := range []struct {
		name    string
		changes map[string]*logValue
		want    string
	}{
		{"as it starts", nil, "true true true 0 default"},
		{"changed", map[string]*logValue{"log_info": logFlag(false), "log_verbose_level": logNumber(2), "log_format": logWord("ISO8601"), "nope": logFlag(true)}, "false true true 2 ISO8601"},
		{"and kept", map[string]*logValue{"log_warning": logFlag(false), "log_error": logFlag(false)}, "false false false 2 ISO8601"},
	} {
		s := must[*inference.LogSettingsResponse](t)(c.LogSettings(t.Context(), &inference.LogSettingsRequest{Settings: step.changes})).GetSettings()
		got := fmt.Sprint(s["log_info"].GetBoolParam(), s["log_warning"].GetBoolParam(), s["log_error"].GetBoolParam(), s["log_verbose_level"].GetUint32Param(), " ", s["log_format"].GetStringParam())
		if got != step.want || s["log_file"].GetStringParam() != "" || len(s) != 6 {
			t.Errorf("%s: %s of %v, want %s", step.name, got, s, step.want)
		}
	}
}

func TestLogRefusals(t *testing.T) {
	for _, tc := range []struct {
		key   string
		value *logValue
		code  codes.Code
		text  string
	}{
		{"log_file", logWord("/tmp/x"), codes.Unimplemented, "log file location can not be updated through network protocol"},
		{"log_info", logNumber(1), codes.InvalidArgument, "expect boolean for 'log_info'"},
		{"log_warning", logWord("true"), codes.InvalidArgument, "expect boolean for 'log_warning'"},
		{"log_error", &logValue{}, codes.InvalidArgument, "expect boolean for 'log_error'"},
		{"log_verbose_level", logFlag(true), codes.InvalidArgument, "expect int32 for 'log_verbose_level'"},
		{"log_format", logNumber(1), codes.InvalidArgument, "expect string for 'log_format'"},
		{"log_format", logWord("json"), codes.InvalidArgument, "invalid argument for log_format, got: json"},
	} {
		t.Run(tc.key, func(t *testing.T) {
			_, err := client(t).LogSettings(t.Context(), &inference.LogSettingsRequest{Settings: map[string]*logValue{tc.key: tc.value}})
			wantStatus(t, err, tc.code, tc.text)
		})
	}
}
