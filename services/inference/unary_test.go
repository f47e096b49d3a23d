package inference_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/backends/backendstest"
	pb "github.com/sluice-gateway/sluice/gen/inference"
)

// say1 answers one request with one message.
func say1(m proto.Message) []backendstest.Step {
	return []backendstest.Step{backendstest.Receive(), backendstest.Send(m)}
}

func TestServerReadyIsAnyOrAll(t *testing.T) {
	up, down := backendstest.Script{"ServerReady": say1(&pb.ServerReadyResponse{Ready: true})}, backendstest.Script{"ServerReady": say1(&pb.ServerReadyResponse{})}
	away := backendstest.Script{"ServerReady": {backendstest.Receive(), backendstest.Reset()}}
	hangs := backendstest.Script{"ServerReady": {backendstest.Receive(), backendstest.Hang()}}
	for _, c := range []struct {
		name string
		a, b backendstest.Script
		any  bool
	}{
		{"both", up, up, true},
		{"one", up, down, true},
		{"one away", away, up, true},
		{"none", down, down, false},
		{"none and away", down, away, false},
		{"one hangs", up, hangs, true},
		{"the other hangs", down, hangs, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, map[string]backendstest.Script{"a": c.a, "b": c.b})
				resp, err := r.client.ServerReady(t.Context(), &pb.ServerReadyRequest{})
				if err != nil || resp.GetReady() != c.any {
					t.Errorf("ready is %v, %v; want %v", resp.GetReady(), err, c.any)
				}
			})
		})
	}
}

func TestServerMetadataIsTheFirstTritonsAndTheUnionOfWhatWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, map[string]backendstest.Script{
			"a": {"ServerMetadata": say1(&pb.ServerMetadataResponse{Name: "triton", Version: "2.51.0", Extensions: []string{"sequence", "system_shared_memory", "unheard_of"}})},
			"b": {"ServerMetadata": say1(&pb.ServerMetadataResponse{Name: "triton", Version: "2.51.0", Extensions: []string{"sequence", "statistics"}})},
		})
		resp, err := r.client.ServerMetadata(t.Context(), &pb.ServerMetadataRequest{})
		if err != nil {
			t.Fatal(err)
		}
		got := slices.Sorted(slices.Values(resp.GetExtensions()))
		if want := []string{"sequence", "statistics"}; resp.GetName() != "triton" || resp.GetVersion() != "2.51.0" || !slices.Equal(got, want) {
			t.Errorf("got %v, want triton 2.51.0 with %q: shared memory needs one backend alone", resp, want)
		}
	})
}

func TestListsSpanBackends(t *testing.T) {
	index := func(names ...string) *pb.RepositoryIndexResponse {
		resp := &pb.RepositoryIndexResponse{}
		for _, n := range names {
			resp.Models = append(resp.Models, &pb.RepositoryIndexResponse_ModelIndex{Name: n})
		}
		return resp
	}
	stats := func(names ...string) *pb.ModelStatisticsResponse {
		resp := &pb.ModelStatisticsResponse{}
		for _, n := range names {
			resp.ModelStats = append(resp.ModelStats, &pb.ModelStatistics{Name: n})
		}
		return resp
	}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, map[string]backendstest.Script{
			"a": {"RepositoryIndex": say1(index("x@a", "stray@b")), "ModelStatistics": say1(stats("x@a", "stray@b"))},
			"b": {"RepositoryIndex": say1(index("y@b")), "ModelStatistics": {backendstest.Receive(), backendstest.Fail(codes.Unimplemented, "")}},
		})
		listed, err := r.client.RepositoryIndex(t.Context(), &pb.RepositoryIndexRequest{})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, m := range listed.GetModels() {
			names = append(names, m.GetName())
		}
		slices.Sort(names)
		if want := []string{"x@a", "y@b"}; !slices.Equal(names, want) {
			t.Errorf("index has %q, want %q: a model is listed where its calls go", names, want)
		}
		counted, err := r.client.ModelStatistics(t.Context(), &pb.ModelStatisticsRequest{})
		if err != nil || len(counted.GetModelStats()) != 1 || counted.GetModelStats()[0].GetName() != "x@a" {
			t.Errorf("statistics are %v, %v; want those of x@a: a backend without them is passed over", counted, err)
		}
	})
}

func TestABackendsAnswerGoesThroughUnchanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := &pb.ModelInferResponse{ModelName: "m@a", Id: "7", RawOutputContents: [][]byte{{1, 2, 3}}}
		answer.ProtoReflect().SetUnknown([]byte{0xfa, 0x07, 1, 'x'}) // field 127, of a newer server
		r := newRig(t, map[string]backendstest.Script{"a": {
			"ModelInfer":    {backendstest.Receive(), backendstest.Header("x-head", "h"), backendstest.Trailer("x-tail", "t"), backendstest.Send(answer)},
			"ModelMetadata": {backendstest.Receive(), backendstest.Fail(codes.NotFound, "Request for unknown model: 'm@a' is not found")},
		}})
		ask := request("m@a", "7")
		ask.ProtoReflect().SetUnknown([]byte{0xfa, 0x07, 1, 'y'})
		var header, trailer metadata.MD
		got, err := r.client.ModelInfer(t.Context(), ask, grpc.Header(&header), grpc.Trailer(&trailer))
		if err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(got, answer) || !slices.Equal(header["x-head"], []string{"h"}) || !slices.Equal(trailer["x-tail"], []string{"t"}) {
			t.Errorf("got %v with %v and %v, want %v with the backend's metadata", got, header, trailer, answer)
		}
		want, err := proto.Marshal(ask)
		if err != nil {
			t.Fatal(err)
		}
		if sent := r.backends["a"].Calls()[0].Messages()[0]; !slices.Equal(sent, want) {
			t.Errorf("the backend got %x, want the client's own bytes %x", sent, want)
		}
		_, err = r.client.ModelMetadata(t.Context(), &pb.ModelMetadataRequest{Name: "m@a"})
		if st := status.Convert(err); st.Code() != codes.NotFound || st.Message() != "Request for unknown model: 'm@a' is not found" {
			t.Errorf("got %v, want the backend's own status", err)
		}
	})
}

func TestDeadlineAndCancellationReachTheBackend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, map[string]backendstest.Script{"a": {"ModelInfer": {backendstest.Receive(), backendstest.Hang()}}})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		began := time.Now()
		_, err := r.client.ModelInfer(ctx, request("m@a", ""))
		if status.Code(err) != codes.DeadlineExceeded || time.Since(began) != 5*time.Second {
			t.Errorf("got %v after %v, want DEADLINE_EXCEEDED after 5s", err, time.Since(began))
		}
		synctest.Wait()
		call := r.backends["a"].Calls()[0]
		if at, ok := call.Context().Deadline(); !ok || at.Sub(began) > 5*time.Second || !call.Ended() {
			t.Errorf("the backend's call has deadline %v (%v), ended %v; want the client's", at.Sub(began), ok, call.Ended())
		}
	})
}

func TestRequestsThatKillAnOldTritonAreKeptFromIt(t *testing.T) {
	bytesOutput := backendstest.Step(backendstest.Each(func([]byte) [][]byte {
		return encode(&pb.ModelConfigResponse{Config: &pb.ModelConfig{Output: []*pb.ModelOutput{
			{Name: "TEXT", DataType: pb.DataType_TYPE_STRING}, {Name: "SCORES", DataType: pb.DataType_TYPE_FP32},
		}}})
	}))
	classify := func(output string) *pb.ModelInferRequest {
		m := request("m@a", "1")
		m.Outputs = []*pb.ModelInferRequest_InferRequestedOutputTensor{{Name: output, Parameters: map[string]*pb.InferParameter{
			"classification": {ParameterChoice: &pb.InferParameter_Int64Param{Int64Param: 2}},
		}}}
		return m
	}
	load := func(file string) *pb.RepositoryModelLoadRequest {
		return &pb.RepositoryModelLoadRequest{ModelName: "m@a", Parameters: map[string]*pb.ModelRepositoryParameter{
			file: {ParameterChoice: &pb.ModelRepositoryParameter_BytesParam{BytesParam: []byte("x")}},
		}}
	}
	for _, c := range []struct {
		name string
		call func(pb.GRPCInferenceServiceClient, context.Context) error
		want codes.Code
	}{
		{"classification of numbers passes", func(cl pb.GRPCInferenceServiceClient, ctx context.Context) error {
			_, err := cl.ModelInfer(ctx, classify("SCORES"))
			return err
		}, codes.OK},
		{"classification of BYTES is refused", func(cl pb.GRPCInferenceServiceClient, ctx context.Context) error {
			_, err := cl.ModelInfer(ctx, classify("TEXT"))
			return err
		}, codes.InvalidArgument},
		{"a file name of 255 bytes passes", func(cl pb.GRPCInferenceServiceClient, ctx context.Context) error {
			_, err := cl.RepositoryModelLoad(ctx, load("file:1/"+strings.Repeat("a", 255)))
			return err
		}, codes.OK},
		{"a longer one is refused", func(cl pb.GRPCInferenceServiceClient, ctx context.Context) error {
			_, err := cl.RepositoryModelLoad(ctx, load("file:1/"+strings.Repeat("a", 256)))
			return err
		}, codes.InvalidArgument},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, map[string]backendstest.Script{"a": {
					"ModelConfig": {bytesOutput}, "ModelInfer": say1(&pb.ModelInferResponse{}), "RepositoryModelLoad": say1(&pb.RepositoryModelLoadResponse{}),
				}})
				if err := c.call(r.client, t.Context()); status.Code(err) != c.want {
					t.Errorf("got %v, want %v", err, c.want)
				}
			})
		})
	}
}

func TestNamesWithSlashesAreForServersThatTakeThem(t *testing.T) {
	r := newRig(t, map[string]backendstest.Script{"a": {}})
	_, err := r.client.ModelInfer(t.Context(), &pb.ModelInferRequest{ModelName: "meta/@a"})
	if st := status.Convert(err); st.Code() != codes.NotFound || st.Message() != "Request for unknown model: 'meta/@a' is not found" {
		t.Errorf("a server that keeps models in folders was asked: %v", err)
	}
}
