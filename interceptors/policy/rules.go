package policy

import (
	"context"
	"maps"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	adminpb "github.com/sluice-gateway/sluice/gen/sluice/v1"
	"github.com/sluice-gateway/sluice/wire"
)

// ask is one question to policy. An empty model is a call without one, which
// needs a rule whose models hold "*".
type ask struct {
	verb           access.Verb
	model, version string
	// object is the id that an admin action is about, for the record.
	object string
	// byService tells that no more than an identity is asked for here.
	byService bool
}

// rule says what an RPC's message asks for, and what has to happen around it.
type rule struct {
	asks   func(*wire.Request) (ask, error)
	around around
}

// around runs the handler of an RPC on which more hangs than one answer of
// policy.
type around func(g *Gate, ctx context.Context, call *access.Call, r *wire.Request, handler grpc.UnaryHandler) (any, error)

// rules has every unary RPC that is served, by its full name. One that is not
// here is refused, whatever serves it.
var rules = merged(modelRules, adminRules)

func merged(all ...map[string]rule) map[string]rule {
	out := make(map[string]rule)
	for _, some := range all {
		maps.Copy(out, some)
	}
	return out
}

// modelRules are those of the model servers' protocol, and of probes.
var modelRules = map[string]rule{
	pb.GRPCInferenceService_ServerLive_FullMethodName:     {asks: nothing[pb.ServerLiveRequest]},
	pb.GRPCInferenceService_ServerReady_FullMethodName:    {asks: nothing[pb.ServerReadyRequest]},
	pb.GRPCInferenceService_ServerMetadata_FullMethodName: {asks: nothing[pb.ServerMetadataRequest]},
	grpc_health_v1.Health_Check_FullMethodName:            {asks: nothing[grpc_health_v1.HealthCheckRequest]},
	grpc_health_v1.Health_List_FullMethodName:             {asks: nothing[grpc_health_v1.HealthListRequest]},

	pb.GRPCInferenceService_ModelReady_FullMethodName:    {asks: describe[pb.ModelReadyRequest]},
	pb.GRPCInferenceService_ModelMetadata_FullMethodName: {asks: describe[pb.ModelMetadataRequest]},
	pb.GRPCInferenceService_ModelConfig_FullMethodName:   {asks: describe[pb.ModelConfigRequest]},

	pb.GRPCInferenceService_ModelInfer_FullMethodName:            {asks: infer, around: withRegions},
	pb.GRPCInferenceService_ModelStatistics_FullMethodName:       {asks: control(statistics), around: visibleOnly},
	pb.GRPCInferenceService_RepositoryIndex_FullMethodName:       {asks: control(index), around: visibleOnly},
	pb.GRPCInferenceService_RepositoryModelLoad_FullMethodName:   {asks: control(load)},
	pb.GRPCInferenceService_RepositoryModelUnload_FullMethodName: {asks: control(unload), around: withDependents},
	pb.GRPCInferenceService_TraceSetting_FullMethodName:          {asks: control(trace)},
	pb.GRPCInferenceService_LogSettings_FullMethodName:           {asks: control(logs)},

	pb.GRPCInferenceService_SystemSharedMemoryStatus_FullMethodName:     {shm[pb.SystemSharedMemoryStatusRequest], ownStatus[pb.SystemSharedMemoryStatusRequest]("system")},
	pb.GRPCInferenceService_SystemSharedMemoryRegister_FullMethodName:   {shm[pb.SystemSharedMemoryRegisterRequest], claim(systemRegion)},
	pb.GRPCInferenceService_SystemSharedMemoryUnregister_FullMethodName: {shm[pb.SystemSharedMemoryUnregisterRequest], release(false, systemUnregister, &pb.SystemSharedMemoryUnregisterResponse{})},
	pb.GRPCInferenceService_CudaSharedMemoryStatus_FullMethodName:       {shm[pb.CudaSharedMemoryStatusRequest], ownStatus[pb.CudaSharedMemoryStatusRequest]("cuda")},
	pb.GRPCInferenceService_CudaSharedMemoryRegister_FullMethodName:     {shm[pb.CudaSharedMemoryRegisterRequest], claim(cudaRegion)},
	pb.GRPCInferenceService_CudaSharedMemoryUnregister_FullMethodName:   {shm[pb.CudaSharedMemoryUnregisterRequest], release(true, cudaUnregister, &pb.CudaSharedMemoryUnregisterResponse{})},
}

// streamRule says what opening a stream asks for, or that each of its messages
// is asked about.
type streamRule struct {
	verb       access.Verb
	perMessage bool
	// byService tells that no more than an identity is asked for here.
	byService bool
}

// Reflection tells what the gateway serves, which is what describe on every
// model tells.
var streamRules = map[string]streamRule{
	pb.GRPCInferenceService_ModelStreamInfer_FullMethodName:           {verb: access.Infer, perMessage: true},
	grpc_health_v1.Health_Watch_FullMethodName:                        {verb: access.None},
	reflectionpb.ServerReflection_ServerReflectionInfo_FullMethodName: {verb: access.Describe},
	"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo":  {verb: access.Describe},
	adminpb.ApprovalService_WatchApprovals_FullMethodName:             {byService: true},
	adminpb.AuditService_TailRecords_FullMethodName:                   {verb: access.AuditRead, byService: true},
	adminpb.AuditService_ReadRecords_FullMethodName:                   {verb: access.AuditRead, byService: true},
	adminpb.AuditService_ReadLeaves_FullMethodName:                    {verb: access.AuditRead, byService: true},
}

// IsProbe tells whether a method asks for no verb: what a load balancer calls.
func IsProbe(method string) bool {
	switch method {
	case pb.GRPCInferenceService_ServerLive_FullMethodName, pb.GRPCInferenceService_ServerReady_FullMethodName,
		pb.GRPCInferenceService_ServerMetadata_FullMethodName, grpc_health_v1.Health_Check_FullMethodName,
		grpc_health_v1.Health_List_FullMethodName, grpc_health_v1.Health_Watch_FullMethodName:
		return true
	}
	return false
}

type message[M any] interface {
	*M
	proto.Message
}

// control decodes a control message and asks what it means.
func control[M any, P message[M]](asks func(P) (ask, error)) func(*wire.Request) (ask, error) {
	return func(r *wire.Request) (ask, error) {
		m, err := wire.Control[M, P](r)
		if err != nil {
			return ask{}, err
		}
		a, err := asks(m)
		if err == nil && a.model != "" {
			err = checkName(a.model)
		}
		if err != nil {
			return ask{}, err
		}
		return a, nil
	}
}

func checkName(model string) error {
	if refused := access.CheckModelName(model); refused != nil {
		return refused
	}
	return nil
}

func nothing[M any, P message[M]](r *wire.Request) (ask, error) {
	_, err := wire.Control[M, P](r)
	return ask{}, err
}

func describe[M any, P interface {
	message[M]
	GetName() string
	GetVersion() string
}](r *wire.Request) (ask, error) {
	m, err := wire.Control[M, P](r)
	if err != nil {
		return ask{}, err
	}
	return ask{verb: access.Describe, model: m.GetName(), version: m.GetVersion()}, checkName(m.GetName())
}

func infer(r *wire.Request) (ask, error) {
	m, err := r.Message()
	if err != nil {
		return ask{}, err
	}
	view, err := m.InferRequest()
	if err != nil {
		return ask{}, err
	}
	model := view.ModelName().String()
	return ask{verb: access.Infer, model: model, version: view.ModelVersion().String()}, checkName(model)
}

func statistics(m *pb.ModelStatisticsRequest) (ask, error) {
	if m.GetName() == "" {
		return ask{verb: access.List}, nil
	}
	return ask{verb: access.Stats, model: m.GetName(), version: m.GetVersion()}, nil
}

func index(m *pb.RepositoryIndexRequest) (ask, error) {
	return ask{verb: access.List}, checkRepository(m.GetRepositoryName())
}

// load is load_override as soon as there is any parameter: a key that this
// version does not know could be one that pushes code to the backend.
func load(m *pb.RepositoryModelLoadRequest) (ask, error) {
	a := ask{verb: access.Load, model: m.GetModelName()}
	if len(m.GetParameters()) > 0 {
		a.verb = access.LoadOverride
	}
	return a, checkRepositoryAndName(m)
}

func unload(m *pb.RepositoryModelUnloadRequest) (ask, error) {
	return ask{verb: access.Unload, model: m.GetModelName()}, checkRepositoryAndName(m)
}

func checkRepositoryAndName(m interface {
	GetRepositoryName() string
	GetModelName() string
},
) error {
	if err := checkRepository(m.GetRepositoryName()); err != nil {
		return err
	}
	return checkName(m.GetModelName())
}

// checkRepository refuses a repository's name in Triton's own words: KServe's
// server would read it as the model's (protocol/kserve-v2.md, section 10).
func checkRepository(name string) error {
	if name == "" {
		return nil
	}
	return &access.Error{Kind: access.Unimplemented, Reason: access.ReasonRepositoryName, Message: "'repository_name' specification is not supported"}
}

// trace changes as soon as a setting is named: an empty value clears it.
func trace(m *pb.TraceSettingRequest) (ask, error) {
	if len(m.GetSettings()) > 0 {
		return ask{verb: access.Trace, model: m.GetModelName()}, nil
	}
	return ask{verb: access.TraceRead, model: m.GetModelName()}, nil
}

func logs(m *pb.LogSettingsRequest) (ask, error) {
	if len(m.GetSettings()) > 0 {
		return ask{verb: access.Log}, nil
	}
	return ask{verb: access.LogRead}, nil
}

func shm[M any, P message[M]](r *wire.Request) (ask, error) {
	_, err := wire.Control[M, P](r)
	return ask{verb: access.Shm}, err
}
