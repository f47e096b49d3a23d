package admin

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
	"github.com/sluice-gateway/sluice/session"
)

const (
	// maxPrincipal bounds "issuer#subject", in bytes.
	maxPrincipal = 1 << 10
	hintSessions = "`sluice sessions list` shows the live ones"
)

func (s *Service) listSessions(ctx context.Context, call *access.Call, m *pb.ListSessionsRequest) (*pb.ListSessionsResponse, error) {
	p, refused := pageOf(m)
	if refused != nil {
		return nil, refused
	}
	if refused := checkText("principal", m.GetPrincipal(), maxPrincipal); refused != nil {
		return nil, refused
	}
	own := call.Principal.ID()
	f := session.Filter{Principal: m.GetPrincipal()}
	if m.GetMine() || !s.holds(call.Principal, access.Admin) {
		if f.Principal != "" && f.Principal != own {
			return &pb.ListSessionsResponse{}, nil
		}
		f.Principal = own
	}
	listing := s.Sessions.List(ctx, f)
	// By id, so that a page's place stays where it is while sessions come and go.
	slices.SortFunc(listing.Sessions, func(a, b session.Info) int { return strings.Compare(a.ID, b.ID) })
	found, next := slicePage(p, func(i session.Info) string { return i.ID }, listing.Sessions)
	out := &pb.ListSessionsResponse{NextPageToken: next, Partial: listing.Partial}
	for _, i := range found {
		out.Sessions = append(out.Sessions, &pb.Session{
			Id: i.ID, Principal: who(i.Who), Door: i.Door, ClientAddress: i.Peer, StartedAt: timestamp(i.Since), LastUsedAt: timestamp(i.Last),
			Calls: i.Calls, OpenCalls: int32(i.Open), Replica: i.Replica, Rpc: i.RPC, Models: i.Models,
		})
	}
	return out, nil
}

// killSession lets administrators end anything, and everybody one of his own
// sessions.
func (s *Service) killSession(ctx context.Context, call *access.Call, m *pb.KillSessionRequest) (*pb.KillSessionResponse, error) {
	if refused := checkReason(m.GetReason(), ""); refused != nil {
		return nil, refused
	}
	lasts, refused := duration(m.GetDuration())
	if refused != nil {
		return nil, refused
	}
	call.Object, call.Detail = cmp.Or(m.GetSessionId(), m.GetPrincipal()), m.GetReason()
	o := session.Order{By: session.WhoIs(call.Principal), Session: m.GetSessionId(), Principal: m.GetPrincipal(), For: lasts, Reason: m.GetReason()}
	switch {
	case (o.Session == "") == (o.Principal == ""):
		return nil, malformed("set session_id or principal")
	case o.Session != "" && lasts != 0:
		return nil, malformed("duration is how long a principal is kept out; set principal, or no duration")
	}
	if !s.isOwn(ctx, call.Principal, o.Session) {
		call.Verb, call.Decision = access.Admin, s.Policy.Decide(call.Principal, access.Admin, "")
		if refused := s.Policy.Refusal(call.Principal, access.Admin, "", call.Decision); refused != nil {
			return nil, refused
		}
	}
	killed, err := s.Sessions.Kill(ctx, o)
	if err != nil {
		return nil, asNotFound(err, "live session", o.Session, hintSessions)
	}
	out := &pb.KillSessionResponse{Killed: int32(killed.Sessions), Everywhere: killed.Everywhere}
	if killed.Ended != nil {
		out.Ended = endedOf(*killed.Ended)
	}
	return out, nil
}

func (s *Service) isOwn(ctx context.Context, who *access.Principal, id string) bool {
	if id == "" {
		return false
	}
	return len(s.Sessions.List(ctx, session.Filter{ID: id, Principal: who.ID()}).Sessions) > 0
}

func endedOf(e session.Ended) *pb.Ended {
	return &pb.Ended{Id: e.Principal, EndedAt: timestamp(e.At), ExpiresAt: timestamp(e.Until), EndedBy: who(e.By), Reason: e.Reason}
}

func (s *Service) listEnded(_ context.Context, _ *access.Call, m *pb.ListEndedRequest) (*pb.ListEndedResponse, error) {
	p, refused := pageOf(m)
	if refused != nil {
		return nil, refused
	}
	found, next := slicePage(p, func(e session.Ended) string { return e.Principal }, s.Sessions.Ended())
	out := &pb.ListEndedResponse{NextPageToken: next}
	for _, e := range found {
		out.Ended = append(out.Ended, endedOf(e))
	}
	return out, nil
}

func (s *Service) liftEnded(ctx context.Context, call *access.Call, m *pb.LiftEndedRequest) (*pb.LiftEndedResponse, error) {
	if m.GetId() == "" {
		return nil, malformed("id is missing: the principal, as issuer#subject")
	}
	if refused := checkText("id", m.GetId(), maxPrincipal); refused != nil {
		return nil, refused
	}
	if refused := checkReason(m.GetReason(), ""); refused != nil {
		return nil, refused
	}
	call.Object, call.Detail = m.GetId(), m.GetReason()
	if err := s.Sessions.Lift(ctx, m.GetId()); err != nil {
		return nil, err
	}
	return &pb.LiftEndedResponse{}, nil
}
