// Package guards is the step that looks into requests which a role allows: it
// asks the guards of package guard, refuses what they deny, and leaves the
// approvals that they ask for to the step inside. Each message of a stream is
// asked about by itself. A model that no guard is about is not looked into.
package guards

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/interceptors"
	"github.com/sluice-gateway/sluice/policy/guard"
	"github.com/sluice-gateway/sluice/wire"
)

// Gate is the step. It is safe for concurrent use.
type Gate struct {
	Engine *guard.Engine
	// Dependents lists the models that an unload takes along.
	Dependents func(ctx context.Context, model string) ([]string, error)
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

// Step returns the interceptor's two forms.
func (g *Gate) Step() interceptors.Step {
	return interceptors.Step{Name: interceptors.Guards, Unary: g.unary, Stream: g.stream}
}

func (g *Gate) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	r, ok := req.(*wire.Request)
	if !ok {
		return nil, interceptors.ErrNoRequest
	}
	call := access.CallFrom(ctx)
	policy := g.Engine.Policy()
	set := policy.For(call.Verb, call.Model)
	along, err := g.along(ctx, policy, call, r, info.FullMethod)
	if err != nil {
		return nil, err
	}
	if set == nil && along == nil {
		return handler(ctx, req)
	}
	asked, err := g.asked(call, r, info.FullMethod)
	if err != nil {
		return nil, err
	}
	v := set.DecideAll(asked, along)
	call.Guard, call.WouldHave, call.Needs = v.Guard, v.WouldHave, v.Needs
	tell(call, v)
	if v.Refused != nil {
		return nil, v.Refused
	}
	return handler(ctx, req)
}

// asked is a unary call as guards see it.
func (g *Gate) asked(call *access.Call, r *wire.Request, method string) (*guard.Request, error) {
	asked := g.request(call)
	asked.Verb, asked.Model, asked.Version = call.Verb, call.Model, call.Version
	if m, err := r.Message(); err == nil {
		asked.Size = m.Len()
	}
	if method == inference.GRPCInferenceService_ModelInfer_FullMethodName {
		m, err := r.Message()
		if err != nil {
			return nil, err
		}
		view, err := m.InferRequest()
		asked.Infer = &view
		return asked, err
	}
	read, known := controls[method]
	if !known {
		return nil, unread()
	}
	var err error
	asked.Control, err = read(r)
	return asked, err
}

// request is what guards see of the caller.
func (g *Gate) request(call *access.Call) *guard.Request {
	r := &guard.Request{Principal: call.Principal, Client: call.Peer, Metadata: call.Metadata}
	if r.Now = time.Now(); g.Now != nil {
		r.Now = g.Now()
	}
	return r
}

// unread refuses an RPC whose requests nobody here can read: a guard is about it,
// and could say nothing.
func unread() error {
	return &access.Error{
		Kind: access.PermissionDenied, Reason: access.ReasonGuardFailed,
		Message: "a guard is about this call, and this version of the gateway can't show it to guards; ask an administrator of this gateway",
	}
}

// along finds the guards about the models that an unload takes with it. The
// answer may be out of date by the time of the unload, as policy's may.
func (g *Gate) along(ctx context.Context, policy *guard.Policy, call *access.Call, r *wire.Request, method string) ([]guard.Along, error) {
	if method != inference.GRPCInferenceService_RepositoryModelUnload_FullMethodName || policy.For(access.Unload, "") == nil {
		return nil, nil
	}
	m, err := wire.Control[inference.RepositoryModelUnloadRequest](r)
	if err != nil {
		return nil, err
	}
	p, named := m.GetParameters()["unload_dependents"]
	if no, ok := p.GetParameterChoice().(*inference.ModelRepositoryParameter_BoolParam); !named || ok && !no.BoolParam {
		return nil, nil
	}
	models, err := g.Dependents(ctx, call.Model)
	if err != nil {
		return nil, err
	}
	var all []guard.Along
	for _, model := range models {
		if set := policy.For(access.Unload, model); set != nil {
			all = append(all, guard.Along{Model: model, Set: set})
		}
	}
	return all, nil
}

// tell lets metrics and records hear what guards did.
func tell(call *access.Call, v guard.Verdict) {
	if call.OnGuard == nil {
		return
	}
	for _, o := range v.Outcomes {
		call.OnGuard(o)
	}
}

// controls decode the messages of control RPCs, as policy has done already: what
// is looked at is what is sent.
var controls = map[string]func(*wire.Request) (proto.Message, error){
	inference.GRPCInferenceService_ModelReady_FullMethodName:                   control[inference.ModelReadyRequest],
	inference.GRPCInferenceService_ModelMetadata_FullMethodName:                control[inference.ModelMetadataRequest],
	inference.GRPCInferenceService_ModelConfig_FullMethodName:                  control[inference.ModelConfigRequest],
	inference.GRPCInferenceService_ModelStatistics_FullMethodName:              control[inference.ModelStatisticsRequest],
	inference.GRPCInferenceService_RepositoryIndex_FullMethodName:              control[inference.RepositoryIndexRequest],
	inference.GRPCInferenceService_RepositoryModelLoad_FullMethodName:          control[inference.RepositoryModelLoadRequest],
	inference.GRPCInferenceService_RepositoryModelUnload_FullMethodName:        control[inference.RepositoryModelUnloadRequest],
	inference.GRPCInferenceService_TraceSetting_FullMethodName:                 control[inference.TraceSettingRequest],
	inference.GRPCInferenceService_LogSettings_FullMethodName:                  control[inference.LogSettingsRequest],
	inference.GRPCInferenceService_SystemSharedMemoryStatus_FullMethodName:     control[inference.SystemSharedMemoryStatusRequest],
	inference.GRPCInferenceService_SystemSharedMemoryRegister_FullMethodName:   control[inference.SystemSharedMemoryRegisterRequest],
	inference.GRPCInferenceService_SystemSharedMemoryUnregister_FullMethodName: control[inference.SystemSharedMemoryUnregisterRequest],
	inference.GRPCInferenceService_CudaSharedMemoryStatus_FullMethodName:       control[inference.CudaSharedMemoryStatusRequest],
	inference.GRPCInferenceService_CudaSharedMemoryRegister_FullMethodName:     control[inference.CudaSharedMemoryRegisterRequest],
	inference.GRPCInferenceService_CudaSharedMemoryUnregister_FullMethodName:   control[inference.CudaSharedMemoryUnregisterRequest],
}

func control[M any, P interface {
	*M
	proto.Message
}](r *wire.Request) (proto.Message, error) {
	return wire.Control[M, P](r)
}
