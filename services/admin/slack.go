package admin

import (
	"context"
	"errors"
	"time"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
	"github.com/sluice-gateway/sluice/notify"
)

// Links tie users of Slack to callers.
type Links interface {
	Look(ctx context.Context, code string) (notify.Outsider, error)
	Link(ctx context.Context, code string, who *access.Principal) (until time.Time, err error)
	Unlink(ctx context.Context, who *access.Principal) (int, error)
}

var _ Links = (*notify.Links)(nil)

// maxCode is more than a code has, in bytes.
const maxCode = 100

func (s *Service) linkSlack(ctx context.Context, call *access.Call, m *pb.LinkSlackRequest) (*pb.LinkSlackResponse, error) {
	if s.Links == nil {
		return nil, errNoStore
	}
	if m.GetCode() == "" || len(m.GetCode()) > maxCode {
		return nil, malformed("code is missing or too long; it is what Slack has shown when you pressed a button")
	}
	o, err := s.Links.Look(ctx, m.GetCode())
	if err != nil {
		return nil, unlinked(err)
	}
	out := &pb.LinkSlackResponse{Channel: o.Channel, TeamId: o.Team, UserId: o.User, UserName: o.Name}
	if !m.GetConfirm() {
		return out, nil
	}
	until, err := s.Links.Link(ctx, m.GetCode(), call.Principal)
	if err != nil {
		return nil, unlinked(err)
	}
	out.ExpiresAt = timestamp(until)
	return out, nil
}

func (s *Service) unlinkSlack(ctx context.Context, call *access.Call, _ *pb.UnlinkSlackRequest) (*pb.UnlinkSlackResponse, error) {
	if s.Links == nil {
		return nil, errNoStore
	}
	n, err := s.Links.Unlink(ctx, call.Principal)
	if err != nil {
		return nil, unlinked(err)
	}
	return &pb.UnlinkSlackResponse{Unlinked: int32(n)}, nil
}

// unlinked says why somebody was not linked.
func unlinked(err error) error {
	if _, ours := access.AsError(err); ours {
		return err
	}
	if errors.Is(err, notify.ErrNoLink) {
		return &access.Error{Kind: access.NotFound, Reason: access.ReasonNotFound, Message: "there is no such code, or it was used, or it is older than ten minutes; press the button in Slack again for a new one"}
	}
	return &access.Error{
		Kind: access.Unavailable, Reason: access.ReasonStoreAway, RetryAfter: time.Second, Cause: err,
		Message: "links can't be read or made now, since the store that keeps them does not answer; try again in a few seconds",
	}
}
