package server_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/sluice-gateway/sluice/gen/inference"
)

var update = flag.Bool("update", false, "write the tables under docs/ anew")

// samples has, by method, the requests whose verdicts are stated. An RPC
// without one fails the build.
var samples = map[string][]sample{
	"ServerLive":       {{"", &inference.ServerLiveRequest{}}},
	"ServerReady":      {{"", &inference.ServerReadyRequest{}}},
	"ServerMetadata":   {{"", &inference.ServerMetadataRequest{}}},
	"ModelReady":       {{"simple", &inference.ModelReadyRequest{Name: "simple"}}, {"prod-simple", &inference.ModelReadyRequest{Name: "prod-simple"}}},
	"ModelMetadata":    {{"simple", &inference.ModelMetadataRequest{Name: "simple"}}},
	"ModelConfig":      {{"simple", &inference.ModelConfigRequest{Name: "simple"}}},
	"ModelInfer":       {{"simple", add("simple")}, {"prod-simple", add("prod-simple")}},
	"ModelStreamInfer": {{"simple", add("simple")}, {"prod-simple", add("prod-simple")}},
	"ModelStatistics":  {{"simple", &inference.ModelStatisticsRequest{Name: "simple"}}, {"all models", &inference.ModelStatisticsRequest{}}},
	"RepositoryIndex":  {{"", &inference.RepositoryIndexRequest{}}},
	"RepositoryModelLoad": {
		{"simple", &inference.RepositoryModelLoadRequest{ModelName: "simple"}},
		{"simple, with a config", &inference.RepositoryModelLoadRequest{ModelName: "simple", Parameters: map[string]*inference.ModelRepositoryParameter{
			"config": {ParameterChoice: &inference.ModelRepositoryParameter_StringParam{StringParam: `{"max_batch_size": 8}`}},
		}}},
	},
	"RepositoryModelUnload": {{"simple", &inference.RepositoryModelUnloadRequest{ModelName: "simple"}}},
	"TraceSetting": {
		{"reading, all models", &inference.TraceSettingRequest{}},
		{"reading, simple", &inference.TraceSettingRequest{ModelName: "simple"}},
		{"changing, simple", &inference.TraceSettingRequest{ModelName: "simple", Settings: map[string]*inference.TraceSettingRequest_SettingValue{"trace_rate": {Value: []string{"1000"}}}}},
	},
	"LogSettings": {
		{"reading", &inference.LogSettingsRequest{}},
		{"changing", &inference.LogSettingsRequest{Settings: map[string]*inference.LogSettingsRequest_SettingValue{"log_info": {ParameterChoice: &inference.LogSettingsRequest_SettingValue_BoolParam{BoolParam: true}}}}},
	},
	"SystemSharedMemoryStatus":     {{"all regions", &inference.SystemSharedMemoryStatusRequest{}}},
	"SystemSharedMemoryRegister":   {{"a key that is not there", &inference.SystemSharedMemoryRegisterRequest{Name: "r", Key: "/sluice-no-such-key", ByteSize: 64}}},
	"SystemSharedMemoryUnregister": {{"all regions", &inference.SystemSharedMemoryUnregisterRequest{}}, {"another's region", &inference.SystemSharedMemoryUnregisterRequest{Name: "theirs"}}},
	"CudaSharedMemoryStatus":       {{"all regions", &inference.CudaSharedMemoryStatusRequest{}}},
	"CudaSharedMemoryRegister":     {{"no GPU", &inference.CudaSharedMemoryRegisterRequest{Name: "c", RawHandle: []byte("handle"), ByteSize: 64}}},
	"CudaSharedMemoryUnregister":   {{"all regions", &inference.CudaSharedMemoryUnregisterRequest{}}},
	"Check":                        {{"", &healthpb.HealthCheckRequest{}}},
	"List":                         {{"", &healthpb.HealthListRequest{}}},
	"Watch":                        {{"", &healthpb.HealthCheckRequest{}}},
	"ServerReflectionInfo": {{"", &reflectionpb.ServerReflectionRequest{
		MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{ListServices: "*"},
	}}},
}

type sample struct {
	about   string
	request proto.Message
}

// roles are the columns: people of the demo, one with each role, and nobody.
var roles = []struct{ name, role string }{
	{"alice", "model-admin"}, {"bob", "model-viewer"}, {"ci", "simple-caller"}, {"carol", "no role"}, {"", "no token"},
}

// TestEveryRPCHasAStatedVerdict calls every RPC of every service that is served
// as every role, and compares with docs/VERDICTS.md.
func TestEveryRPCHasAStatedVerdict(t *testing.T) {
	g := start(t, setup{})
	var table bytes.Buffer
	table.WriteString(verdictsHead)
	for _, method := range methods() {
		name := string(method.Name())
		if len(samples[name]) == 0 {
			t.Errorf("RPC %s has no stated verdict: add a sample", method.FullName())
		}
		for _, s := range samples[name] {
			fmt.Fprintf(&table, "| %s | %s | gRPC |", name, s.about)
			for _, r := range roles {
				fmt.Fprintf(&table, " %s |", verdict(g.call(r.name, method, s.request)))
			}
			table.WriteString("\n")
			if web, ok := overREST(name, s.request); ok {
				fmt.Fprintf(&table, "| %s | %s | REST |", name, s.about)
				for _, r := range roles {
					fmt.Fprintf(&table, " %s |", g.webVerdict(r.name, web))
				}
				table.WriteString("\n")
			}
		}
	}
	writeAdminVerdicts(t, &table)
	compareWithDocs(t, "../docs/VERDICTS.md", table.Bytes())
}

const verdictsHead = `# Who may call what

Made by a test that calls every RPC through the gateway as every role of the demo: ` + "`go test ./server -run Verdict -update`" + `.
Roles as in the demo (` + "`model-admin`" + ` has ` + "`shm`" + ` here too). "yes" is an answer of the backend, errors about what does not exist among them.

| RPC | request | door | model-admin | model-viewer | simple-caller | no role | no token |
| --- | --- | --- | --- | --- | --- | --- | --- |
`

func compareWithDocs(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the gateway does (go test -update writes it):\n%s", path, difference(string(want), string(got)))
	}
}

func difference(want, got string) string {
	var out strings.Builder
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			for sign, side := range map[string][]string{"-": a, "+": b} {
				if i < len(side) {
					fmt.Fprintln(&out, sign, side[i])
				}
			}
		}
	}
	return out.String()
}

// methods are those of every service that the gateway serves.
func methods() []protoreflect.MethodDescriptor {
	var all []protoreflect.MethodDescriptor
	for _, file := range []protoreflect.FileDescriptor{
		inference.File_inference_grpc_service_proto, healthpb.File_grpc_health_v1_health_proto, reflectionpb.File_grpc_reflection_v1_reflection_proto,
	} {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				all = append(all, service.Methods().Get(j))
			}
		}
	}
	return all
}

// call makes one call as somebody and returns what it ended with, or what the
// only answer on its stream says.
func (g *gateway) call(as string, method protoreflect.MethodDescriptor, req proto.Message) error {
	full := fmt.Sprintf("/%s/%s", method.Parent().FullName(), method.Name())
	answer := dynamicpb.NewMessage(method.Output())
	if !method.IsStreamingServer() {
		return g.conn.Invoke(g.as(as), full, req, answer)
	}
	ctx, cancel := context.WithCancel(g.as(as))
	defer cancel()
	stream, err := g.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, full)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(req); err != nil && err != io.EOF {
		return err
	}
	if err := stream.RecvMsg(answer); err != nil {
		return err
	}
	if field := method.Output().Fields().ByName("error_message"); field != nil {
		if text := answer.Get(field).String(); text != "" {
			return status.Error(codes.Unknown, text)
		}
	}
	return nil
}

// verdict is "yes" where the backend was asked, else Sluice's refusal.
func verdict(err error) string {
	st := status.Convert(err)
	reason := reasonOf(err)
	switch {
	case st.Code() == codes.Unknown && strings.Contains(st.Message(), "may not use verb"):
		return "no: in the stream"
	case reason == "" && st.Code() == codes.Unimplemented && st.Message() == "":
		return "not served"
	case reason == "":
		return "yes"
	default:
		return "no: " + reason
	}
}

func add(model string) *inference.ModelInferRequest {
	row := make([]byte, 64)
	return &inference.ModelInferRequest{
		ModelName: model,
		Inputs: []*inference.ModelInferRequest_InferInputTensor{
			{Name: "INPUT0", Datatype: "INT32", Shape: []int64{1, 16}}, {Name: "INPUT1", Datatype: "INT32", Shape: []int64{1, 16}},
		},
		RawInputContents: [][]byte{row, slices.Clone(row)},
	}
}
