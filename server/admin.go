package server

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/config"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
	"github.com/sluice-gateway/sluice/interceptors"
	"github.com/sluice-gateway/sluice/policy"
	"github.com/sluice-gateway/sluice/services/admin"
)

// adminServices are those of sluice.v1 that the console's door serves.
var adminServices = []grpc.ServiceDesc{
	pb.ApprovalService_ServiceDesc, pb.AccessService_ServiceDesc, pb.GrantService_ServiceDesc, pb.SessionService_ServiceDesc,
	pb.PolicyService_ServiceDesc, pb.IdentityService_ServiceDesc, pb.SecretService_ServiceDesc, pb.BackendService_ServiceDesc,
	pb.AuditService_ServiceDesc,
}

// adminService answers sluice.v1 with what is in force at each call; its watches end
// when done does.
func (s *Server) adminService(done <-chan struct{}) *admin.Service {
	o := admin.Options{
		Policy: s.engine, Sessions: s.gate.Registry, Secrets: s.secrets.adminSecrets(), Tokens: s.secrets.adminTokens(),
		Logins: s.logins, Backends: s.backendsNow, Rules: s.rulesNow, Compile: s.compile, Done: done,
	}
	if s.approvals != nil { // a nil engine would be an interface that is not nil
		o.Approvals = s.approvals
	}
	if s.notifying != nil {
		o.Links = s.notifying.links
	}
	if s.audit != nil {
		o.Log, o.LogKeys = s.audit.Log(), s.auditKeys
	}
	if s.payloads != nil {
		o.Said = s.payloads.reader
	}
	return admin.New(o)
}

// adminHandlers are the services with the chain in front of each method.
func adminHandlers(chain *interceptors.Chain, service *admin.Service) []*grpc.ServiceDesc {
	handlers, watching := service.Handlers(), service.Streams()
	var all []*grpc.ServiceDesc
	for _, desc := range adminServices {
		all = append(all, streams(desc, func(method string) grpc.StreamHandler {
			if stream := watching[method]; stream != nil {
				return chain.Stream(method, stream)
			}
			return chain.Unary(method, handlers[method])
		}))
	}
	return all
}

// logins are the issuers where people log in by device flow. The endpoints are the
// issuer's to tell, by discovery.
func (s *Server) logins() []*pb.LoginSource {
	var all []*pb.LoginSource
	for _, c := range s.state.Load().cfg.Identity.OIDC {
		if c.Login != nil {
			all = append(all, &pb.LoginSource{Id: c.Name, Issuer: c.Issuer, ClientId: c.Login.ClientID, Scopes: c.Login.Scopes, Audience: c.Login.Audience})
		}
	}
	return all
}

// healths are what a replica's health is called in sluice.v1.
var healths = map[string]pb.ReplicaHealth{
	"ready": pb.ReplicaHealth_REPLICA_HEALTH_READY, "unready": pb.ReplicaHealth_REPLICA_HEALTH_UNREADY, "away": pb.ReplicaHealth_REPLICA_HEALTH_AWAY,
}

// backendsNow are the backends as their pools know them; it asks no server.
func (s *Server) backendsNow() []*pb.Backend {
	var all []*pb.Backend
	for _, p := range s.state.Load().pool.open {
		st := p.Status()
		b := &pb.Backend{
			Id: st.Backend, Type: st.Type, Watched: st.Watched, Limited: st.Limited, OpenCalls: int32(st.Inside), WaitingCalls: int32(st.Waiting),
			RefusedCalls: st.Refused, RepeatedCalls: st.Repeated, Sequences: int32(st.Sequences),
		}
		for _, r := range st.Replicas {
			b.Replicas = append(b.Replicas, &pb.Replica{
				Id: r.Address, Health: healths[r.Health], Ejected: r.Ejected, OpenCalls: r.Outstanding, Mismatch: r.Mismatch,
			})
		}
		all = append(all, b)
	}
	return all
}

// rulesNow are the parts of the policy beside roles, as written.
func (s *Server) rulesNow() (out admin.Rules) {
	rules := s.state.Load().cfg.Rules
	for i := range rules.Guarding {
		g := &rules.Guarding[i]
		shown := &pb.Guard{Id: g.Name, Verbs: g.Verbs, Models: g.Models, Observe: g.Observe, Outcome: pb.GuardOutcome_GUARD_OUTCOME_DENY}
		if a := g.Approve; a != nil {
			shown.Outcome = pb.GuardOutcome_GUARD_OUTCOME_APPROVE
			shown.Terms = admin.Terms(access.Terms{By: a.By, Count: a.Count, Within: a.Within, Grant: a.Grant, Mode: a.Mode, Scope: a.Scope, Uses: a.Uses})
		}
		out.Guards = append(out.Guards, shown)
	}
	for i := range rules.Entries {
		e := &rules.Entries[i]
		out.Access = append(out.Access, &pb.AccessEntry{
			Id: fmt.Sprintf("access[%d]", i), Models: e.Models, Verbs: e.Verbs, Groups: e.For, By: e.By, Max: durationpb.New(e.Max),
		})
	}
	return out
}

// compile reads policy files that were sent. What one of them names (a list of words,
// say) has to be sent too: nothing of this machine is read.
func (s *Server) compile(files []*pb.PolicyFile) (*policy.Policy, []*pb.PolicyProblem) {
	texts := make(map[string]string, len(files))
	names := make([]string, 0, len(files))
	for i, f := range files {
		name := filepath.Clean(f.GetName())
		if _, twice := texts[name]; f.GetName() == "" || twice {
			return nil, []*pb.PolicyProblem{{Place: fmt.Sprintf("files[%d]", i), Message: "each file needs a name of its own"}}
		}
		texts[name] = f.GetText()
		if ext := filepath.Ext(name); ext == ".yaml" || ext == ".yml" || ext == "" {
			names = append(names, name)
		}
	}
	cfg := s.state.Load().cfg
	options := config.RulesOptions{
		Analyzer: config.Presidio, Stateless: s.store == nil, Unread: true,
		ReadFile: func(path string) ([]byte, error) {
			if text, ok := texts[filepath.Clean(path)]; ok {
				return []byte(text), nil
			}
			return nil, errors.New("this file was not sent along")
		},
	}
	for _, c := range cfg.Identity.OIDC {
		options.Sources = append(options.Sources, c.Name)
	}
	rules, wrong := config.ReadRules(names, options)
	var problems []*pb.PolicyProblem
	for _, p := range wrong {
		place := p.File
		if p.Line > 0 {
			place = fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
		}
		problems = append(problems, &pb.PolicyProblem{Place: place, Message: strings.TrimPrefix(p.Path+": "+p.Message, ": ")})
	}
	if rules == nil {
		if len(problems) == 0 {
			problems = []*pb.PolicyProblem{{Message: "there is no policy file among the files: none ends in .yaml"}}
		}
		return nil, problems
	}
	return rules.Policy, nil
}
