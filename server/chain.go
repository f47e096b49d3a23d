package server

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"

	mwrecovery "github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"

	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/interceptors"
	"github.com/sluice-gateway/sluice/interceptors/approval"
	"github.com/sluice-gateway/sluice/interceptors/guards"
	"github.com/sluice-gateway/sluice/interceptors/identity"
	"github.com/sluice-gateway/sluice/interceptors/limits"
	"github.com/sluice-gateway/sluice/interceptors/masking"
	"github.com/sluice-gateway/sluice/interceptors/policy"
	"github.com/sluice-gateway/sluice/interceptors/record"
	"github.com/sluice-gateway/sluice/interceptors/telemetry"
	rules "github.com/sluice-gateway/sluice/masking"
)

// Chain builds the interceptors; interceptors.New checks their order.
func (s *Server) Chain() (*interceptors.Chain, error) {
	recovered := mwrecovery.WithRecoveryHandlerContext(s.recovered)
	byRole := &policy.Gate{Engine: s.engine, Regions: s.regions, Dependents: s.dependents}
	if s.approvals != nil {
		byRole.Grants = s.approvals
	}
	decide := []interceptors.Step{byRole.Step(), (&guards.Gate{Engine: s.guards, Dependents: s.dependents}).Step()}
	return interceptors.New(
		interceptors.Step{
			Name:   interceptors.Recovery,
			Unary:  mwrecovery.UnaryServerInterceptor(recovered),
			Stream: mwrecovery.StreamServerInterceptor(recovered),
		},
		(&telemetry.Telemetry{
			Metrics: telemetry.NewMetrics(s.registry),
			Proxies: func() telemetry.Proxies { return s.state.Load().cfg.Server.TrustedProxies },
		}).Step(),
		(&record.Recorder{Log: s.log, Audit: s.audit, Payloads: s.payloads.keep(), Mask: s.maskName}).Step(),
		(&identity.Gate{Authenticator: &s.vouchers, Open: s.isOpen}).Step(),
		s.gate.Step(),
		(&limits.Limits{Budget: s.budget, Calls: s.started.Server.Limits.CallsPerPrincipal, Message: int(s.started.Server.Limits.MaxMessage)}).Step(),
		decide[0],
		decide[1],
		(&approval.Gate{Engine: s.approvals, Again: decide, Backend: s.backendsOf, Mask: s.maskShown}).Step(),
		record.Intent(),
		(&masking.Gate{Engine: s.masking, Facts: s.facts, Mark: s.payloads.mark()}).Step(),
	)
}

// dependents lists the models that an unload takes along.
func (s *Server) dependents(ctx context.Context, model string) ([]string, error) {
	return s.state.Load().service.Dependents(ctx, model)
}

// facts are what masking has to know of a model.
func (s *Server) facts(ctx context.Context, model, version string) (rules.Facts, error) {
	config, err := s.state.Load().service.ModelConfig(ctx, model, version)
	if err != nil {
		return rules.Facts{}, err
	}
	outputs := make(map[string]string, len(config.GetOutput()))
	for _, o := range config.GetOutput() {
		outputs[o.GetName()] = datatype(o.GetDataType())
	}
	return rules.Facts{Decoupled: config.GetModelTransactionPolicy().GetDecoupled(), Backend: config.GetBackend(), Outputs: outputs}, nil
}

// datatype is the name that tensors have for a configuration's datatype.
func datatype(t inference.DataType) string {
	if t == inference.DataType_TYPE_STRING {
		return "BYTES"
	}
	return strings.TrimPrefix(t.String(), "TYPE_")
}

// isOpen tells whether a method is served without a token.
func (s *Server) isOpen(method string) bool {
	return policy.IsOpen(method) || policy.IsProbe(method) && s.state.Load().cfg.Server.Probes != "authenticated"
}

// recovered logs a panic with its stack, which has code's names and no payload,
// and answers INTERNAL.
func (s *Server) recovered(ctx context.Context, p any) error {
	s.log.LogAttrs(ctx, slog.LevelError, "panic", slog.String("panic", fmt.Sprintf("%T", p)), slog.String("stack", string(debug.Stack())))
	return interceptors.ErrInternal
}
