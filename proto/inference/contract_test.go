// Package inference_test holds the compiled contract of gen/inference to the
// public field tables. It lives beside the sources of the contract, since gen/
// is wiped by each generation.
package inference_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/sluice-gateway/sluice/gen/inference"
)

const pkg = "inference"

// TestContract compares both ways: a declaration that the tables have and the
// descriptors lack fails as surely as one that nobody wrote down.
func TestContract(t *testing.T) {
	for _, d := range differences(fixture(t), declarations(compiled()...)) {
		t.Error(d)
	}
}

// TestContractSize pins the fixture itself, so that it cannot shrink along
// with the contract unnoticed.
func TestContractSize(t *testing.T) {
	counts := map[string]int{}
	for _, line := range fixture(t) {
		kind, _, _ := strings.Cut(line, " ")
		counts[kind]++
	}
	want := map[string]int{"rpc": 20, "message": 105, "field": 311, "enum": 9, "value": 39}
	for kind, n := range want {
		if counts[kind] != n {
			t.Errorf("fixture has %d %s lines, want %d", counts[kind], kind, n)
		}
	}
}

// TestContractIsProto3 matters on the wire: proto3 packs repeated numbers and
// leaves zero values out, as every server and client of the protocol does.
func TestContractIsProto3(t *testing.T) {
	files := compiled()
	if len(files) != 2 {
		t.Fatalf("package %s has %d files, want 2", pkg, len(files))
	}
	for _, fd := range files {
		if fd.Syntax() != protoreflect.Proto3 {
			t.Errorf("%s is %v, want proto3", fd.Path(), fd.Syntax())
		}
	}
}

// TestFullMethodNames checks the text that clients send as :path.
func TestFullMethodNames(t *testing.T) {
	for got, want := range map[string]string{
		inference.GRPCInferenceService_ModelInfer_FullMethodName:       "/inference.GRPCInferenceService/ModelInfer",
		inference.GRPCInferenceService_ModelStreamInfer_FullMethodName: "/inference.GRPCInferenceService/ModelStreamInfer",
	} {
		if got != want {
			t.Errorf("method %q, want %q", got, want)
		}
	}
}

// TestDifferencesAreSeen shows that the comparison notices each kind of slip,
// on descriptors that were changed on purpose.
func TestDifferencesAreSeen(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(svc, config *descriptorpb.FileDescriptorProto)
		want   []string
	}{
		{"nothing", func(_, _ *descriptorpb.FileDescriptorProto) {}, nil},
		{"field forgotten", func(svc, _ *descriptorpb.FileDescriptorProto) {
			m := message(svc, "ModelReadyRequest")
			m.Field = m.Field[:1]
		}, []string{"missing: field ModelReadyRequest version 2 string singular -"}},
		{"field added", func(svc, _ *descriptorpb.FileDescriptorProto) {
			m := message(svc, "ServerLiveRequest")
			m.Field = append(m.Field, &descriptorpb.FieldDescriptorProto{
				Name: proto.String("extra"), Number: proto.Int32(1),
				Type: descriptorpb.FieldDescriptorProto_TYPE_BOOL.Enum(), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
			})
		}, []string{"not in the contract: field ServerLiveRequest extra 1 bool singular -"}},
		{"field renumbered", func(svc, _ *descriptorpb.FileDescriptorProto) {
			message(svc, "ServerLiveResponse").Field[0].Number = proto.Int32(2)
		}, []string{
			"missing: field ServerLiveResponse live 1 bool singular -",
			"not in the contract: field ServerLiveResponse live 2 bool singular -",
		}},
		{"field renamed", func(svc, _ *descriptorpb.FileDescriptorProto) {
			message(svc, "ServerLiveResponse").Field[0].Name = proto.String("alive")
		}, []string{
			"missing: field ServerLiveResponse live 1 bool singular -",
			"not in the contract: field ServerLiveResponse alive 1 bool singular -",
		}},
		{"presence added", func(svc, _ *descriptorpb.FileDescriptorProto) {
			m := message(svc, "ServerLiveResponse")
			m.Field[0].Proto3Optional = proto.Bool(true)
			m.Field[0].OneofIndex = proto.Int32(0)
			m.OneofDecl = []*descriptorpb.OneofDescriptorProto{{Name: proto.String("_live")}}
		}, []string{
			"missing: field ServerLiveResponse live 1 bool singular -",
			"not in the contract: field ServerLiveResponse live 1 bool optional -",
		}},
		{"field out of its oneof", func(svc, _ *descriptorpb.FileDescriptorProto) {
			message(svc, "InferParameter").Field[4].OneofIndex = nil
		}, []string{
			"missing: field InferParameter uint64_param 5 uint64 singular parameter_choice",
			"not in the contract: field InferParameter uint64_param 5 uint64 singular -",
		}},
		{"map value of another type", func(svc, _ *descriptorpb.FileDescriptorProto) {
			entry := message(svc, "RepositoryModelLoadRequest").NestedType[0]
			entry.Field[1].TypeName = proto.String(".inference.InferParameter")
		}, []string{
			"missing: field RepositoryModelLoadRequest parameters 3 map<string,ModelRepositoryParameter> map -",
			"not in the contract: field RepositoryModelLoadRequest parameters 3 map<string,InferParameter> map -",
		}},
		{"stream lost", func(svc, _ *descriptorpb.FileDescriptorProto) {
			svc.Service[0].Method[6].ClientStreaming = nil
		}, []string{
			"missing: rpc GRPCInferenceService ModelStreamInfer stream ModelInferRequest stream ModelStreamInferResponse",
			"not in the contract: rpc GRPCInferenceService ModelStreamInfer one ModelInferRequest stream ModelStreamInferResponse",
		}},
		{"rpc forgotten", func(svc, _ *descriptorpb.FileDescriptorProto) {
			svc.Service[0].Method = svc.Service[0].Method[:19]
		}, []string{"missing: rpc GRPCInferenceService LogSettings one LogSettingsRequest one LogSettingsResponse"}},
		{"enum value renumbered", func(_, config *descriptorpb.FileDescriptorProto) {
			config.EnumType[0].Value[14].Number = proto.Int32(15)
		}, []string{
			"missing: value DataType TYPE_BF16 14",
			"not in the contract: value DataType TYPE_BF16 15",
		}},
		{"message and enum value added", func(_, config *descriptorpb.FileDescriptorProto) {
			m := message(config, "ModelInput")
			m.EnumType[0].Value = append(m.EnumType[0].Value, &descriptorpb.EnumValueDescriptorProto{
				Name: proto.String("FORMAT_NCDHW"), Number: proto.Int32(3),
			})
			config.MessageType = append(config.MessageType, &descriptorpb.DescriptorProto{Name: proto.String("Added")})
		}, []string{
			"not in the contract: message Added",
			"not in the contract: value ModelInput.Format FORMAT_NCDHW 3",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := differences(fixture(t), declarations(changed(t, tc.change)...))
			if !slices.Equal(got, tc.want) {
				t.Errorf("differences:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}
		})
	}
}

// fixture reads the contract's lines, sorted.
func fixture(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("testdata/contract.txt")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return lines
}

// differences lists what only one of two sorted lists has, each line once for
// every time that it is there too often or not often enough.
func differences(want, got []string) []string {
	var diffs []string
	balance := map[string]int{}
	for _, l := range want {
		balance[l]++
	}
	for _, l := range got {
		balance[l]--
	}
	for l, n := range balance {
		for ; n > 0; n-- {
			diffs = append(diffs, "missing: "+l)
		}
		for ; n < 0; n++ {
			diffs = append(diffs, "not in the contract: "+l)
		}
	}
	slices.Sort(diffs)
	return diffs
}

// compiled gives the descriptors that gen/inference registered.
func compiled() []protoreflect.FileDescriptor {
	var files []protoreflect.FileDescriptor
	protoregistry.GlobalFiles.RangeFilesByPackage(pkg, func(fd protoreflect.FileDescriptor) bool {
		files = append(files, fd)
		return true
	})
	return files
}

// changed gives the descriptors after a change to copies of their sources.
func changed(t *testing.T, change func(svc, config *descriptorpb.FileDescriptorProto)) []protoreflect.FileDescriptor {
	t.Helper()
	svc := protodesc.ToFileDescriptorProto(inference.File_inference_grpc_service_proto)
	config := protodesc.ToFileDescriptorProto(inference.File_inference_model_config_proto)
	change(svc, config)
	set := []*descriptorpb.FileDescriptorProto{config, svc}
	for _, options := range []protoreflect.FileDescriptor{
		annotations.File_google_api_annotations_proto, annotations.File_google_api_http_proto, descriptorpb.File_google_protobuf_descriptor_proto,
	} {
		set = append(set, protodesc.ToFileDescriptorProto(options))
	}
	files, err := protodesc.NewFiles(&descriptorpb.FileDescriptorSet{File: set})
	if err != nil {
		t.Fatal(err)
	}
	var out []protoreflect.FileDescriptor
	files.RangeFilesByPackage(pkg, func(fd protoreflect.FileDescriptor) bool {
		out = append(out, fd)
		return true
	})
	return out
}

func message(fd *descriptorpb.FileDescriptorProto, name string) *descriptorpb.DescriptorProto {
	i := slices.IndexFunc(fd.MessageType, func(m *descriptorpb.DescriptorProto) bool { return m.GetName() == name })
	return fd.MessageType[i]
}

// declarations writes descriptors as the fixture does, sorted.
func declarations(files ...protoreflect.FileDescriptor) []string {
	var lines []string
	for _, fd := range files {
		for i := range fd.Services().Len() {
			lines = append(lines, serviceLines(fd.Services().Get(i))...)
		}
		lines = append(lines, typeLines(fd)...)
	}
	slices.Sort(lines)
	return lines
}

func serviceLines(sd protoreflect.ServiceDescriptor) []string {
	var lines []string
	for i := range sd.Methods().Len() {
		m := sd.Methods().Get(i)
		lines = append(lines, fmt.Sprintf("rpc %s %s %s %s %s %s", relative(sd), m.Name(),
			cardinality(m.IsStreamingClient()), relative(m.Input()), cardinality(m.IsStreamingServer()), relative(m.Output())))
	}
	return lines
}

func cardinality(stream bool) string {
	if stream {
		return "stream"
	}
	return "one"
}

// typeLines writes the messages and enums of a file or message, and all that
// is nested in them. Extensions have no place in the contract.
func typeLines(in interface {
	Messages() protoreflect.MessageDescriptors
	Enums() protoreflect.EnumDescriptors
	Extensions() protoreflect.ExtensionDescriptors
},
) []string {
	var lines []string
	for i := range in.Messages().Len() {
		if m := in.Messages().Get(i); !m.IsMapEntry() {
			lines = append(lines, messageLines(m)...)
		}
	}
	for i := range in.Enums().Len() {
		e := in.Enums().Get(i)
		lines = append(lines, "enum "+relative(e))
		for j := range e.Values().Len() {
			v := e.Values().Get(j)
			lines = append(lines, fmt.Sprintf("value %s %s %d", relative(e), v.Name(), v.Number()))
		}
	}
	for i := range in.Extensions().Len() {
		lines = append(lines, "extension "+relative(in.Extensions().Get(i)))
	}
	return lines
}

func messageLines(m protoreflect.MessageDescriptor) []string {
	lines := append(typeLines(m), "message "+relative(m))
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		oneof := "-"
		if o := f.ContainingOneof(); o != nil && !o.IsSynthetic() {
			oneof = string(o.Name())
		}
		lines = append(lines, fmt.Sprintf("field %s %s %d %s %s %s", relative(m), f.Name(), f.Number(), fieldType(f), label(f), oneof))
	}
	return lines
}

func label(f protoreflect.FieldDescriptor) string {
	switch {
	case f.IsMap():
		return "map"
	case f.IsList():
		return "repeated"
	case f.HasOptionalKeyword():
		return "optional"
	default:
		return "singular"
	}
}

func fieldType(f protoreflect.FieldDescriptor) string {
	switch {
	case f.IsMap():
		return fmt.Sprintf("map<%s,%s>", fieldType(f.MapKey()), fieldType(f.MapValue()))
	case f.Message() != nil:
		return relative(f.Message())
	case f.Enum() != nil:
		return relative(f.Enum())
	default:
		return f.Kind().String()
	}
}

// relative is a name without the package, if it is that of the contract.
func relative(d protoreflect.Descriptor) string {
	return strings.TrimPrefix(string(d.FullName()), pkg+".")
}
