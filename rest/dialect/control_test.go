package dialect_test

import (
	"io"
	"os"
	"strings"
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/rest/dialect"
	"github.com/sluice-gateway/sluice/wire"
)

// controlJSON is what is answered to an RPC that is no inference.
func controlJSON(t *testing.T, m proto.Message) string {
	t.Helper()
	var all strings.Builder
	p := dialect.NewPage(make([]byte, 256), func(b []byte) error { all.Write(b); return nil })
	if err := p.Control(m); err != nil {
		t.Fatal(err)
	}
	return all.String() + string(p.Rest())
}

func TestControlAnswersAreWrittenAsTritonWritesThem(t *testing.T) {
	const duration = `{"count":0,"ns":0}`
	for _, c := range []struct {
		name string
		m    proto.Message
		text string // of the message
		want string
	}{
		{"live", new(pb.ServerLiveResponse), `live:true`, ``},
		{"a model is ready", new(pb.ModelReadyResponse), `ready:true`, ``},
		{"a model is not", new(pb.ModelReadyResponse), ``, `{"error":"Model version not ready"}`},
		{"load", new(pb.RepositoryModelLoadResponse), ``, ``},
		{"unregister", new(pb.CudaSharedMemoryUnregisterResponse), ``, ``},
		{"server", new(pb.ServerMetadataResponse), `name:"triton" version:"2.51.0" extensions:["a","b"]`, `{"name":"triton","version":"2.51.0","extensions":["a","b"]}`},
		{"model", new(pb.ModelMetadataResponse), `name:"m" versions:"1" platform:"p" inputs{name:"I" datatype:"FP32" shape:[-1,2]}`, `{"name":"m","versions":["1"],"platform":"p","inputs":[{"name":"I","datatype":"FP32","shape":[-1,2]}],"outputs":[]}`},
		{"index", new(pb.RepositoryIndexResponse), `models{name:"m" version:"1" state:"READY"} models{name:"n"} models{name:"o" version:"1" state:"UNAVAILABLE" reason:"unloaded"}`, `[{"name":"m","version":"1","state":"READY"},{"name":"n"},{"name":"o","version":"1","state":"UNAVAILABLE","reason":"unloaded"}]`},
		{"no index", new(pb.RepositoryIndexResponse), ``, `[]`},
		{"regions", new(pb.SystemSharedMemoryStatusResponse), `regions{key:"b" value{name:"b" key:"/k" offset:1 byte_size:2}} regions{key:"a" value{name:"a"}}`, `[{"name":"a","key":"","offset":0,"byte_size":0},{"name":"b","key":"/k","offset":1,"byte_size":2}]`},
		{"CUDA's", new(pb.CudaSharedMemoryStatusResponse), `regions{key:"a" value{name:"a" device_id:1 byte_size:2}}`, `[{"name":"a","device_id":1,"byte_size":2}]`},
		{"trace", new(pb.TraceSettingResponse), `settings{key:"trace_rate" value{value:"1000"}} settings{key:"trace_level" value{value:"OFF"}} settings{key:"z" value{}} settings{key:"trace_mode" value{value:"triton"}}`, `{"trace_level":["OFF"],"trace_rate":"1000","trace_mode":"triton","z":""}`},
		{"log", new(pb.LogSettingsResponse), `settings{key:"log_verbose_level" value{uint32_param:0}} settings{key:"log_info" value{bool_param:true}} settings{key:"log_file" value{string_param:""}} settings{key:"new" value{}}`, `{"log_file":"","log_info":true,"log_verbose_level":0,"new":null}`},
		{"no settings", new(pb.LogSettingsResponse), ``, `{}`},
		{"statistics", new(pb.ModelStatisticsResponse), `model_stats{name:"m" version:"1" last_inference:1700000000000 inference_stats{success{count:18446744073709551615} fail{}} batch_stats{batch_size:1} response_stats{key:"1" value{}} response_stats{key:"0" value{success{ns:5}}}}`, `{"model_stats":[{"name":"m","version":"1","last_inference":1700000000000,"inference_count":0,"execution_count":0,"inference_stats":{"success":{"count":18446744073709551615,"ns":0},"fail":` + duration + `},"response_stats":{"0":{"success":{"count":0,"ns":5}},"1":{}},"batch_stats":[{"batch_size":1}],"memory_usage":[]}]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := prototext.Unmarshal([]byte(c.text), c.m); err != nil {
				t.Fatal(err)
			}
			if got := controlJSON(t, c.m); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestAModelsConfigurationIsWrittenAsTritonWritesIt: testdata holds what a
// Triton 2.51 answered over REST, and over gRPC as text.
func TestAModelsConfigurationIsWrittenAsTritonWritesIt(t *testing.T) {
	for _, name := range []string{"accumulator", "simple", "tokens"} {
		text, err := os.ReadFile("testdata/config/" + name + ".txtpb")
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile("testdata/config/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		config := new(pb.ModelConfig)
		if err := prototext.Unmarshal(text, config); err != nil {
			t.Fatal(err)
		}
		if got := controlJSON(t, &pb.ModelConfigResponse{Config: config}); got != strings.TrimSpace(string(want)) {
			t.Errorf("%s: got  %s\nwant %s", name, got, want)
		}
	}
}

// read reads a control request's body into m.
func read(t testing.TB, m proto.Message, body io.Reader) error {
	t.Helper()
	budget := wire.NewBudget(wire.BudgetConfig{})
	account := budget.Account("p")
	defer account.Close()
	held := new(wire.Message)
	in, err := wire.NewIntake(held, account, mem.DefaultBufferPool(), wire.MaxMessage)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Free()
	return dialect.ReadControl(body, m, in)
}

func TestControlBodiesFillInTheRequest(t *testing.T) {
	for _, c := range []struct {
		name string
		m    proto.Message
		path string // what the path says, as text
		body string
		want string // the request, or the error
	}{
		{"an index", new(pb.RepositoryIndexRequest), ``, `{"ready":true}`, `ready:true`},
		{"an index without a body", new(pb.RepositoryIndexRequest), ``, ``, ``},
		{"an index of nothing", new(pb.RepositoryIndexRequest), ``, `[]`, ``},
		{"the first ready counts", new(pb.RepositoryIndexRequest), ``, `{"ready":false,"ready":true}`, ``},
		{"ready is a bool", new(pb.RepositoryIndexRequest), ``, `{"ready":1}`, "attempt to access JSON non-boolean as boolean"},
		{"no JSON", new(pb.RepositoryIndexRequest), ``, `{`, "failed to parse the request JSON buffer: Missing a name for object member. at 1"},

		{"a load", new(pb.RepositoryModelLoadRequest), `model_name:"m"`, `{"parameters":{"config":"{}","file:1/a":"YQ=="}}`, `model_name:"m" parameters{key:"config" value{string_param:"{}"}} parameters{key:"file:1/a" value{bytes_param:"a"}}`},
		{"a load's first value counts", new(pb.RepositoryModelLoadRequest), `model_name:"m"`, `{"parameters":{"config":"1","config":"2"},"parameters":{"config":"3"},"model_name":"n"}`, `model_name:"m" parameters{key:"config" value{string_param:"1"}}`},
		{"a load without a body", new(pb.RepositoryModelLoadRequest), `model_name:"m"`, ``, `model_name:"m"`},
		{"a load's parameters are strings", new(pb.RepositoryModelLoadRequest), ``, `{"parameters":{"config":1}}`, "attempt to access JSON non-string as string"},
		{"a load's parameters are known", new(pb.RepositoryModelLoadRequest), ``, `{"parameters":{"x":"1"}}`, "unexpected error on creating Triton parameter"},
		{"a file is base64", new(pb.RepositoryModelLoadRequest), ``, `{"parameters":{"file:1/a":"!"}}`, "Unable to decode the base64 content of 'file:1/a'"},
		{"parameters are an object", new(pb.RepositoryModelLoadRequest), ``, `{"parameters":[]}`, "attempt to get members for non-object"},

		{"an unload", new(pb.RepositoryModelUnloadRequest), `model_name:"m"`, `{"parameters":{"unload_dependents":true,"unload_dependents":false}}`, `model_name:"m" parameters{key:"unload_dependents" value{bool_param:true}}`},
		{"an unload's bool", new(pb.RepositoryModelUnloadRequest), ``, `{"parameters":{"unload_dependents":1}}`, "Unable to parse 'unload_dependents': attempt to access JSON non-boolean as boolean"},

		{"a region", new(pb.SystemSharedMemoryRegisterRequest), `name:"r"`, `{"key":"/k","offset":1,"byte_size":2,"key":"/theirs"}`, `name:"r" key:"/k" offset:1 byte_size:2`},
		{"a region without a name", new(pb.SystemSharedMemoryRegisterRequest), ``, `{"key":"/k","byte_size":2}`, "'region name' is necessary to register system shared memory region"},
		{"a region without a key", new(pb.SystemSharedMemoryRegisterRequest), `name:"r"`, `{}`, "Shared memory register request has no 'key' field"},
		{"a region without a size", new(pb.SystemSharedMemoryRegisterRequest), `name:"r"`, `{"key":"/k"}`, "Shared memory register request has no 'byte_size' field"},
		{"a region's size is not negative", new(pb.SystemSharedMemoryRegisterRequest), `name:"r"`, `{"key":"/k","byte_size":-1}`, "attempt to access JSON non-unsigned-integer as unsigned-integer"},
		{"a region needs a body", new(pb.SystemSharedMemoryRegisterRequest), `name:"r"`, ``, "failed to parse the request JSON buffer: The document is empty. at 0"},
		{"a CUDA region", new(pb.CudaSharedMemoryRegisterRequest), `name:"r"`, `{"raw_handle":{"b64":"` + strings.Repeat("A", 86) + `=="},"device_id":1,"byte_size":2}`, `name:"r" raw_handle:"` + strings.Repeat(`\000`, 64) + `" device_id:1 byte_size:2`},
		{"a CUDA handle's size", new(pb.CudaSharedMemoryRegisterRequest), `name:"r"`, `{"raw_handle":{"b64":"AAAA"},"device_id":1,"byte_size":2}`, "'raw_handle' must be a valid base64 encoded cudaIpcMemHandle_t"},
		{"a CUDA region without a handle", new(pb.CudaSharedMemoryRegisterRequest), `name:"r"`, `{}`, "Shared memory register request has no 'raw_handle' field"},
		{"a CUDA handle without base64", new(pb.CudaSharedMemoryRegisterRequest), `name:"r"`, `{"raw_handle":1}`, "attempt to access non-existing object member 'b64'"},

		{"trace", new(pb.TraceSettingRequest), `model_name:"m"`, `{"trace_rate":"5","trace_level":["A","B"],"trace_count":null,"x":1,"trace_mode":"y","trace_rate":"6"}`, `model_name:"m" settings{key:"trace_rate" value{value:"5"}} settings{key:"trace_level" value{value:["A","B"]}} settings{key:"trace_count" value{}}`},
		{"a trace rate is a string", new(pb.TraceSettingRequest), ``, `{"trace_rate":5}`, "attempt to access JSON non-string as string"},
		{"a trace level is a list", new(pb.TraceSettingRequest), ``, `{"trace_level":"A"}`, "attempt to access JSON non-array as array"},
		{"too many trace levels", new(pb.TraceSettingRequest), ``, `{"trace_level":[` + strings.Repeat(`"A",`, 64) + `"A"]}`, "setting 'trace_level' has more than 64 values"},
		{"log", new(pb.LogSettingsRequest), ``, `{"log_info":true,"log_error":null,"log_verbose_level":4,"log_format":"ISO8601","log_file":"f","x":1,"log_info":false}`, `settings{key:"log_info" value{bool_param:true}} settings{key:"log_verbose_level" value{uint32_param:4}} settings{key:"log_format" value{string_param:"ISO8601"}} settings{key:"log_file" value{string_param:"f"}}`},
		{"null is a reading", new(pb.LogSettingsRequest), ``, `{"log_info":null}`, ``},
		{"a log level that 32 bits do not hold", new(pb.LogSettingsRequest), ``, `{"log_verbose_level":4294967296}`, "attempt to access JSON non-unsigned-integer as unsigned-integer"},
		{"an unknown log format", new(pb.LogSettingsRequest), ``, `{"log_format":"X"}`, "invalid argument for --log_format, got: X"},
		{"an unregister has no body", new(pb.SystemSharedMemoryUnregisterRequest), `name:"r"`, `nonsense`, `name:"r"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			checkBuffers(t)
			if err := prototext.Unmarshal([]byte(c.path), c.m); err != nil {
				t.Fatal(err)
			}
			if err := read(t, c.m, strings.NewReader(c.body)); err != nil {
				if err.Error() != c.want {
					t.Errorf("got  %v\nwant %s", err, c.want)
				}
				return
			}
			want := c.m.ProtoReflect().New().Interface()
			if err := prototext.Unmarshal([]byte(c.want), want); err != nil || !proto.Equal(c.m, want) {
				t.Errorf("got  %v\nwant %s (%v)", c.m, c.want, err)
			}
		})
	}
}
