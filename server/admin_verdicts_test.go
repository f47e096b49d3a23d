package server_test

import (
	"bytes"
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
	"github.com/sluice-gateway/sluice/server"
)

// adminSample makes a request, anew for each call: what one has decided, the next
// can't decide again.
type adminSample struct {
	about   string
	request func(d *desk) proto.Message
}

func same(m proto.Message) func(*desk) proto.Message {
	return func(*desk) proto.Message { return proto.Clone(m) }
}

// adminSamples has, by method, the requests whose verdicts are stated. An RPC of
// sluice.v1 without one fails the build.
var adminSamples = map[string][]adminSample{
	"ListApprovals": {{"", same(&pb.ListApprovalsRequest{PageSize: 1})}},
	"GetApproval": {
		{"bob's", func(d *desk) proto.Message { return &pb.GetApprovalRequest{Id: d.wish()} }},
		{"not there", same(&pb.GetApprovalRequest{Id: "01aaaaaaaaaaaaaaaaaaaaaaaa"})},
	},
	"Approve":        {{"bob's", func(d *desk) proto.Message { return &pb.ApproveRequest{Id: d.wish()} }}},
	"Deny":           {{"bob's", func(d *desk) proto.Message { return &pb.DenyRequest{Id: d.wish()} }}},
	"WatchApprovals": {{"", same(&pb.WatchApprovalsRequest{})}},
	"RequestAccess":  {{"load simple", same(&pb.RequestAccessRequest{Verb: "load", Model: "simple", Reason: "test"})}},
	"BreakGlass":     {{"unload simple", same(&pb.BreakGlassRequest{Verb: "unload", Model: "simple", Reason: "test"})}},
	"ListGrants":     {{"", same(&pb.ListGrantsRequest{PageSize: 1})}},
	"RevokeGrant":    {{"bob's", func(d *desk) proto.Message { return &pb.RevokeGrantRequest{Id: d.grant()} }}},
	"ListSessions":   {{"", same(&pb.ListSessionsRequest{PageSize: 1})}},
	"KillSession": {
		{"a principal", same(&pb.KillSessionRequest{Target: &pb.KillSessionRequest_Principal{Principal: "https://elsewhere#somebody"}})},
		{"a session not there", same(&pb.KillSessionRequest{Target: &pb.KillSessionRequest_SessionId{SessionId: "made-up"}})},
	},
	"ListEnded": {{"", same(&pb.ListEndedRequest{})}},
	"LiftEnded": {{"nobody", same(&pb.LiftEndedRequest{Id: "https://elsewhere#nobody"})}},
	"GetPolicy": {{"", same(&pb.GetPolicyRequest{})}},
	"Explain":   {{"", same(&pb.ExplainRequest{Subject: &pb.Subject{Groups: []string{"model-viewer"}}, Verb: "infer", Model: "simple"})}},
	"CanI":      {{"infer simple", same(&pb.CanIRequest{Verb: "infer", Model: "simple"})}},
	"WhoCan":    {{"", same(&pb.WhoCanRequest{Verb: "infer", Model: "simple"})}},
	"DryRun":    {{"", same(&pb.DryRunRequest{Files: []*pb.PolicyFile{{Name: "p.yaml", Text: "roles: {}"}}, Calls: []*pb.DryRunCall{{Subject: &pb.Subject{Groups: []string{"model-viewer"}}, Verb: "infer", Model: "simple"}}})}},
	"WhoAmI":    {{"", same(&pb.WhoAmIRequest{})}},

	"SearchRecords":   {{"", same(&pb.SearchRecordsRequest{PageSize: 1})}},
	"GetRecord":       {{"not there", same(&pb.GetRecordRequest{Id: "r/9999999"})}},
	"GetPayload":      {{"not there", same(&pb.GetPayloadRequest{Id: "r/9999999"})}},
	"GetStats":        {{"", same(&pb.GetStatsRequest{})}},
	"ListLogs":        {{"", same(&pb.ListLogsRequest{})}},
	"ListCheckpoints": {{"", same(&pb.ListCheckpointsRequest{Replica: "r"})}},
	"LookUpValue":     {{"", same(&pb.LookUpValueRequest{Value: "a@b.example"})}},
	"TailRecords":     {{"", same(&pb.TailRecordsRequest{})}},
	"ReadRecords":     {{"", same(&pb.ReadRecordsRequest{Limit: 1})}},
	"ReadLeaves":      {{"", same(&pb.ReadLeavesRequest{Replica: "r"})}},
	"GetLogin":        {{"", same(&pb.GetLoginRequest{})}},
	"LinkSlack":       {{"a code made up", same(&pb.LinkSlackRequest{Code: "made-up", Confirm: true})}},
	"UnlinkSlack":     {{"", same(&pb.UnlinkSlackRequest{})}},
	"PutSecret": {{"a new one", func(d *desk) proto.Message {
		d.n++
		return &pb.PutSecretRequest{Id: fmt.Sprint("s", d.n), Value: []byte("v")}
	}}},
	"ListSecrets":  {{"", same(&pb.ListSecretsRequest{})}},
	"RotateSecret": {{"", func(d *desk) proto.Message { return &pb.RotateSecretRequest{Id: d.secret(), Value: []byte("w")} }}},
	"DeleteSecret": {{"", func(d *desk) proto.Message { return &pb.DeleteSecretRequest{Id: d.secret()} }}},
	"RevealTokens": {
		{"of simple", same(&pb.RevealTokensRequest{Tokens: []string{"made-up"}, Reason: "test", Model: "simple"})},
		{"of all models", same(&pb.RevealTokensRequest{Tokens: []string{"made-up"}, Reason: "test"})},
	},
	"ListBackends": {{"", same(&pb.ListBackendsRequest{})}},
}

// adminRoles are the columns: one of the demo's people for each part, and nobody.
var adminRoles = []struct{ name, role string }{
	{"alice", "admin"}, {"dana", "audit_read"}, {"carol", "approver"}, {"bob", "requester"}, {"ci", "service"}, {"", "no token"},
}

const adminVerdictsHead = `
## The admin API

At ` + "`server.console`" + `, over gRPC and REST. The roles are: ` + "`admin`" + ` also has ` + "`break_glass`" + ` and ` + "`reveal`" + `; the approver has the verb
` + "`approve`" + ` and is in the group that the request names; the requester is bob, whose requests and grants these are; the service may infer on one model.

| RPC | request | door | admin | audit_read | approver | requester | service | no token |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
`

// writeAdminVerdicts calls every RPC of sluice.v1 as every role at both doors.
func writeAdminVerdicts(t *testing.T, table *bytes.Buffer) {
	t.Helper()
	d := openDesk(t)
	table.WriteString(adminVerdictsHead)
	for _, method := range adminMethods(t) {
		for _, s := range adminSamples[string(method.Name())] {
			for _, door := range []struct {
				name string
				ask  func(string, protoreflect.MethodDescriptor, proto.Message) answered
			}{{"gRPC", d.overGRPC}, {"REST", d.overREST}} {
				fmt.Fprintf(table, "| %s | %s | %s |", method.Name(), s.about, door.name)
				for _, r := range adminRoles {
					fmt.Fprintf(table, " %s |", door.ask(r.name, method, s.request(d)).verdict())
				}
				table.WriteString("\n")
			}
		}
	}
}

// adminMethods are those that the console serves, each with a sample.
func adminMethods(t *testing.T) (all []protoreflect.MethodDescriptor) {
	t.Helper()
	for _, served := range server.AdminServices {
		found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(served.ServiceName))
		if err != nil {
			t.Fatal(err)
		}
		methods := found.(protoreflect.ServiceDescriptor).Methods()
		for i := range methods.Len() {
			if len(adminSamples[string(methods.Get(i).Name())]) == 0 {
				t.Errorf("RPC %s has no stated verdict: add a sample", methods.Get(i).FullName())
			}
			all = append(all, methods.Get(i))
		}
	}
	return all
}

// TestBothDoorsOfTheConsoleAnswerAlike: each sample as each role gets the same code,
// reason and words over gRPC as over REST, and the record has the same line.
func TestBothDoorsOfTheConsoleAnswerAlike(t *testing.T) {
	d := openDesk(t)
	for _, method := range adminMethods(t) {
		for _, s := range adminSamples[string(method.Name())] {
			for _, r := range adminRoles {
				t.Run(string(method.Name())+" "+s.about+" "+r.role, func(t *testing.T) { d.alike(t, r.name, method, s) })
			}
		}
	}
}

func (d *desk) alike(t *testing.T, as string, method protoreflect.MethodDescriptor, s adminSample) {
	t.Helper()
	rpc := string(method.Name())
	one, other := s.request(d), s.request(d)
	from := len(d.Log.String())
	a := d.overGRPC(as, method, one)
	said := d.recordedOf(t, from, rpc)
	from = len(d.Log.String())
	b := d.overREST(as, method, other)
	saidREST := d.recordedOf(t, from, rpc)
	if a.code != b.code || a.reason != b.reason || proto.Equal(one, other) && a.message != b.message {
		t.Errorf("gRPC: %v\nREST: %v", a, b)
	}
	if said != saidREST {
		t.Errorf("recorded: %s\nover REST: %s", said, saidREST)
	}
}
