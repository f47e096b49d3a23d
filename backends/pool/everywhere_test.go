package pool_test

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends/backendstest"
	pb "github.com/sluice-gateway/sluice/gen/inference"
)

// answers is the script of a control RPC.
func answers(rpc string, m proto.Message) backendstest.Script {
	return backendstest.Script{rpc: {backendstest.Receive(), backendstest.Send(m)}}
}

func fails(rpc string, code codes.Code, text string) backendstest.Script {
	return backendstest.Script{rpc: {backendstest.Receive(), backendstest.Fail(code, text)}}
}

func count(s *server, rpc string) (n int) {
	for _, c := range s.double.Calls() {
		if c.Method == rpc {
			n++
		}
	}
	return n
}

func TestALoadIsDoneEverywhere(t *testing.T) {
	const rpc = "RepositoryModelLoad"
	well, bad := answers(rpc, &pb.RepositoryModelLoadResponse{}), fails(rpc, codes.Internal, "failed to load 'm', no such model")
	for name, tt := range map[string]struct {
		scripts []backendstest.Script
		dead    int // from 1
		code    codes.Code
		want    string
	}{
		"well":                {[]backendstest.Script{well, well, well}, 0, codes.OK, ""},
		"fails everywhere":    {[]backendstest.Script{bad, bad}, 0, codes.Internal, "failed to load 'm', no such model"},
		"fails at one":        {[]backendstest.Script{well, bad, well}, 0, codes.Internal, "RepositoryModelLoad was done at 2 of 3 replicas; replica 2 failed: failed to load 'm', no such model"},
		"fails at two":        {[]backendstest.Script{bad, well, bad}, 0, codes.Internal, "RepositoryModelLoad was done at 1 of 3 replicas; replica 1, 3 failed: failed to load 'm', no such model"},
		"fails, each its way": {[]backendstest.Script{bad, fails(rpc, codes.InvalidArgument, "other")}, 0, codes.Internal, "RepositoryModelLoad was done at 0 of 2 replicas; replica 1, 2 failed: failed to load 'm', no such model"},
		"one is away":         {[]backendstest.Script{well, well}, 2, codes.Unavailable, "RepositoryModelLoad was done at 1 of 2 replicas; replica 2 failed: the model's server is away; try again later"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var servers []*server
				for i, script := range tt.scripts {
					servers = append(servers, newServer(t, string(rune('a'+i))+":1", script))
				}
				p := newPool(t, nil, servers...)
				time.Sleep(time.Second)
				if tt.dead > 0 {
					servers[tt.dead-1].kill()
				}
				_, err := pb.NewGRPCInferenceServiceClient(p).RepositoryModelLoad(t.Context(), &pb.RepositoryModelLoadRequest{ModelName: "m"})
				if status.Code(err) != tt.code || status.Convert(err).Message() != tt.want {
					t.Errorf("got %v", err)
				}
				for i, s := range servers {
					if got := count(s, rpc); got != 1 && tt.dead != i+1 {
						t.Errorf("replica %d was told %d times", i+1, got)
					}
				}
			})
		})
	}
}

func TestSettings(t *testing.T) {
	bubble(t, func(t *testing.T) {
		script := answers("LogSettings", &pb.LogSettingsResponse{})
		script["TraceSetting"] = []backendstest.Step{backendstest.Receive(), backendstest.Send(&pb.TraceSettingResponse{})}
		a, b := newServer(t, "a:1", script), newServer(t, "b:1", script)
		p := newPool(t, nil, a, b)
		time.Sleep(time.Second)
		client := pb.NewGRPCInferenceServiceClient(p)
		if _, err := client.LogSettings(t.Context(), &pb.LogSettingsRequest{}); err != nil {
			t.Fatal(err)
		}
		if _, err := client.TraceSetting(t.Context(), &pb.TraceSettingRequest{}); err != nil {
			t.Fatal(err)
		}
		if n := count(a, "LogSettings") + count(b, "LogSettings") + count(a, "TraceSetting") + count(b, "TraceSetting"); n != 2 {
			t.Errorf("reading both asked %d times", n)
		}
		if _, err := client.LogSettings(t.Context(), &pb.LogSettingsRequest{Settings: map[string]*pb.LogSettingsRequest_SettingValue{"log_verbose_level": {}}}); err != nil {
			t.Fatal(err)
		}
		if count(a, "LogSettings") < 1 || count(b, "LogSettings") < 1 {
			t.Error("a change was not made everywhere")
		}
	})
}

func TestStatisticsAreSummed(t *testing.T) {
	stats := func(count, last uint64, batches ...uint64) *pb.ModelStatisticsResponse {
		s := &pb.ModelStatistics{
			Name: "m", Version: "1", InferenceCount: count, LastInference: last,
			InferenceStats: &pb.InferStatistics{Success: &pb.StatisticDuration{Count: count, Ns: 10 * count}},
			ResponseStats:  map[string]*pb.InferResponseStatistics{"0": {Success: &pb.StatisticDuration{Count: count}}},
		}
		for _, size := range batches {
			s.BatchStats = append(s.BatchStats, &pb.InferBatchStatistics{BatchSize: size, ComputeInfer: &pb.StatisticDuration{Count: count, Ns: count}})
		}
		return &pb.ModelStatisticsResponse{ModelStats: []*pb.ModelStatistics{s}}
	}
	bubble(t, func(t *testing.T) {
		a, b := newServer(t, "a:1", answers("ModelStatistics", stats(3, 700, 1, 2))), newServer(t, "b:1", answers("ModelStatistics", stats(4, 600, 2, 4)))
		p := newPool(t, nil, a, b, newServer(t, "c:1", nil)) // which has none
		time.Sleep(time.Second)
		got, err := pb.NewGRPCInferenceServiceClient(p).ModelStatistics(t.Context(), &pb.ModelStatisticsRequest{Name: "m"})
		if err != nil {
			t.Fatal(err)
		}
		want := stats(7, 700, 1, 2, 4)
		for i, n := range []uint64{3, 7, 4} {
			want.ModelStats[0].BatchStats[i].ComputeInfer = &pb.StatisticDuration{Count: n, Ns: n}
		}
		if !proto.Equal(got, want) {
			t.Errorf("got %v", got)
		}
	})
}

func TestAModelIsReadyWhereOneHasIt(t *testing.T) {
	for name, tt := range map[string]struct {
		missing []string
		want    bool
	}{
		"at one":  {[]string{"m", ""}, true},
		"at none": {[]string{"m", "m"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				a, b := newServer(t, "a:1", nil), newServer(t, "b:1", nil)
				a.missing.Store(tt.missing[0])
				b.missing.Store(tt.missing[1])
				p := newPool(t, nil, a, b)
				got, err := pb.NewGRPCInferenceServiceClient(p).ModelReady(t.Context(), &pb.ModelReadyRequest{Name: "m"})
				if err != nil || got.GetReady() != tt.want {
					t.Errorf("got %v, %v", got, err)
				}
				a.kill()
				b.kill()
				if _, err := pb.NewGRPCInferenceServiceClient(p).ModelReady(t.Context(), &pb.ModelReadyRequest{Name: "m"}); err == nil {
					t.Error("the dead answered")
				}
			})
		})
	}
}

func TestSharedMemory(t *testing.T) {
	ofRegion := func(r *pb.ModelInferRequest) {
		region := &pb.InferParameter{ParameterChoice: &pb.InferParameter_StringParam{StringParam: "r"}}
		r.Inputs = []*pb.ModelInferRequest_InferInputTensor{{Name: "x", Parameters: map[string]*pb.InferParameter{"shared_memory_region": region}}}
	}
	toRegion := func(r *pb.ModelInferRequest) {
		ofRegion(r)
		r.Outputs = []*pb.ModelInferRequest_InferRequestedOutputTensor{{Name: "y", Parameters: r.Inputs[0].Parameters}}
		r.Inputs = nil
	}
	for name, tt := range map[string]struct {
		addresses []string
		want      bool
	}{
		"loopback":     {[]string{"127.0.0.1:1"}, true},
		"unix":         {[]string{"unix:///run/triton.sock"}, true},
		"another host": {[]string{"10.0.0.1:1"}, false},
		"replicas":     {[]string{"127.0.0.1:1", "127.0.0.1:2"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var servers []*server
				for _, address := range tt.addresses {
					servers = append(servers, newServer(t, address, answers("SystemSharedMemoryRegister", &pb.SystemSharedMemoryRegisterResponse{})))
				}
				p := newPool(t, nil, servers...)
				_, err := pb.NewGRPCInferenceServiceClient(p).SystemSharedMemoryRegister(t.Context(), &pb.SystemSharedMemoryRegisterRequest{Name: "r"})
				if (err == nil) != tt.want {
					t.Errorf("register: %v", err)
				}
				if !tt.want && reasonOf(t, err) != access.ReasonUnsupported {
					t.Errorf("refused with %v", err)
				}
				for _, tensor := range []func(*pb.ModelInferRequest){ofRegion, toRegion} {
					if _, err := infer(t.Context(), p, tensor); len(servers) > 1 && reasonOf(t, err) != access.ReasonUnsupported {
						t.Errorf("infer: %v", err)
					}
				}
			})
		})
	}
}
