package policy

import (
	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
	"github.com/sluice-gateway/sluice/wire"
)

// adminRules has every unary RPC of sluice.v1. Where the answer depends on an
// object that nobody has read yet (whose request, whose session), the RPC asks for
// an identity only, and package services/admin decides; the verb is then what the
// record calls the act.
var adminRules = map[string]rule{
	pb.IdentityService_GetLogin_FullMethodName:    {asks: nothing[pb.GetLoginRequest]}, // open: see IsOpen
	pb.IdentityService_WhoAmI_FullMethodName:      {asks: byService[pb.WhoAmIRequest](access.None)},
	pb.PolicyService_CanI_FullMethodName:          {asks: byService[pb.CanIRequest](access.None)},
	pb.IdentityService_LinkSlack_FullMethodName:   {asks: byService[pb.LinkSlackRequest](access.None)},
	pb.IdentityService_UnlinkSlack_FullMethodName: {asks: byService[pb.UnlinkSlackRequest](access.None)},

	pb.ApprovalService_ListApprovals_FullMethodName: {asks: byService[pb.ListApprovalsRequest](access.None)},
	pb.ApprovalService_GetApproval_FullMethodName:   {asks: byService[pb.GetApprovalRequest](access.None)},
	pb.ApprovalService_Approve_FullMethodName:       {asks: byService[pb.ApproveRequest](access.Approve)},
	pb.ApprovalService_Deny_FullMethodName:          {asks: byService[pb.DenyRequest](access.Approve)},
	pb.AccessService_RequestAccess_FullMethodName:   {asks: byService[pb.RequestAccessRequest](access.None)},
	pb.AccessService_BreakGlass_FullMethodName:      {asks: onModel[pb.BreakGlassRequest](access.BreakGlass)},
	pb.GrantService_ListGrants_FullMethodName:       {asks: byService[pb.ListGrantsRequest](access.None)},
	pb.GrantService_RevokeGrant_FullMethodName:      {asks: byService[pb.RevokeGrantRequest](access.None)},
	pb.SessionService_ListSessions_FullMethodName:   {asks: byService[pb.ListSessionsRequest](access.None)},
	pb.SessionService_KillSession_FullMethodName:    {asks: byService[pb.KillSessionRequest](access.None)},

	pb.SessionService_ListEnded_FullMethodName:    {asks: admin[pb.ListEndedRequest]},
	pb.SessionService_LiftEnded_FullMethodName:    {asks: admin[pb.LiftEndedRequest]},
	pb.PolicyService_GetPolicy_FullMethodName:     {asks: admin[pb.GetPolicyRequest]},
	pb.PolicyService_Explain_FullMethodName:       {asks: admin[pb.ExplainRequest]},
	pb.PolicyService_WhoCan_FullMethodName:        {asks: admin[pb.WhoCanRequest]},
	pb.PolicyService_DryRun_FullMethodName:        {asks: admin[pb.DryRunRequest]},
	pb.SecretService_PutSecret_FullMethodName:     {asks: admin[pb.PutSecretRequest]},
	pb.SecretService_ListSecrets_FullMethodName:   {asks: admin[pb.ListSecretsRequest]},
	pb.SecretService_RotateSecret_FullMethodName:  {asks: admin[pb.RotateSecretRequest]},
	pb.SecretService_DeleteSecret_FullMethodName:  {asks: admin[pb.DeleteSecretRequest]},
	pb.SecretService_RevealTokens_FullMethodName:  {asks: onModel[pb.RevealTokensRequest](access.Reveal)},
	pb.BackendService_ListBackends_FullMethodName: {asks: admin[pb.ListBackendsRequest]},

	pb.AuditService_SearchRecords_FullMethodName:   {asks: byService[pb.SearchRecordsRequest](access.AuditRead)},
	pb.AuditService_GetRecord_FullMethodName:       {asks: byService[pb.GetRecordRequest](access.AuditRead)},
	pb.AuditService_GetPayload_FullMethodName:      {asks: byService[pb.GetPayloadRequest](access.PayloadRead)},
	pb.AuditService_GetStats_FullMethodName:        {asks: byService[pb.GetStatsRequest](access.AuditRead)},
	pb.AuditService_ListLogs_FullMethodName:        {asks: byService[pb.ListLogsRequest](access.AuditRead)},
	pb.AuditService_ListCheckpoints_FullMethodName: {asks: byService[pb.ListCheckpointsRequest](access.AuditRead)},
	pb.AuditService_LookUpValue_FullMethodName:     {asks: byService[pb.LookUpValueRequest](access.PayloadRead)},
}

// IsOpen tells whether a method is served to strangers, however probes are: what
// somebody without a token needs in order to get one.
func IsOpen(method string) bool { return method == pb.IdentityService_GetLogin_FullMethodName }

// byService leaves the decision to the service, on an identity.
func byService[M any, P message[M]](verb access.Verb) func(*wire.Request) (ask, error) {
	return func(r *wire.Request) (ask, error) {
		m, err := wire.Control[M, P](r)
		a := ask{verb: verb, byService: true}
		if about, ok := any(m).(interface{ GetId() string }); ok && err == nil {
			a.object = about.GetId()
		}
		return a, err
	}
}

// admin asks for the verb admin, on the gateway as a whole.
func admin[M any, P message[M]](r *wire.Request) (ask, error) {
	_, err := wire.Control[M, P](r)
	return ask{verb: access.Admin}, err
}

// onModel asks for a verb on the model that the request names, or on all.
func onModel[M any, P interface {
	message[M]
	GetModel() string
}](verb access.Verb) func(*wire.Request) (ask, error) {
	return control(func(m P) (ask, error) { return ask{verb: verb, model: m.GetModel()}, nil })
}
