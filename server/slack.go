package server

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
	"github.com/sluice-gateway/sluice/identity"
	"github.com/sluice-gateway/sluice/interceptors"
	"github.com/sluice-gateway/sluice/notify"
	"github.com/sluice-gateway/sluice/notify/slack"
	"github.com/sluice-gateway/sluice/rest/inprocess"
)

// slackDoor is how records call what was decided by a button.
const slackDoor = "slack"

// vouchers let the gateway itself call in the name of a person whom Slack has
// vouched for, through the same chain as everybody: the person's call shows a
// word that only this process knows, once.
type vouchers struct {
	next identity.Authenticator

	mu    sync.Mutex
	known map[string]*access.Principal
}

// voucherPrefix is of no token that an issuer makes, and spares those the lock.
const voucherPrefix = "sluice-voucher:"

// Authenticate is [identity.Authenticator]'s.
func (v *vouchers) Authenticate(ctx context.Context, token string) (*access.Principal, error) {
	if !strings.HasPrefix(token, voucherPrefix) {
		return v.next.Authenticate(ctx, token)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	who := v.known[token]
	delete(v.known, token)
	door := access.DoorFrom(ctx)
	if who == nil || door == nil || door.Name != slackDoor {
		return nil, &access.Error{Kind: access.Unauthenticated, Reason: access.ReasonTokenInvalid, Message: "the token is not valid; get a new one"}
	}
	return who, nil
}

// vouch makes a word for who, which end takes back.
func (v *vouchers) vouch(who *access.Principal) (token string, end func()) {
	token = voucherPrefix + rand.Text()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.known == nil {
		v.known = make(map[string]*access.Principal)
	}
	v.known[token] = who
	return token, func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		delete(v.known, token)
	}
}

// slackHandler answers the buttons of Slack by calls of sluice.v1; nil without a
// store.
func (s *Server) slackHandler(handlers map[string]grpc.StreamHandler, chain *interceptors.Chain) http.Handler {
	if s.notifying == nil {
		return nil
	}
	client := pb.NewApprovalServiceClient(inprocess.New(handlers))
	return slack.NewHandler(slack.Options{
		Apps: s.slackApps, Links: s.notifying.links, Client: s.notifying.client, Logger: s.log,
		Decide: func(ctx context.Context, who *access.Principal, request string, approve bool) error {
			token, end := s.vouchers.vouch(who)
			defer end()
			ctx = inprocess.WithCaller(ctx, &inprocess.Caller{
				Peer: access.PeerFrom(ctx), Door: &access.Door{Name: slackDoor}, Metadata: metadata.Pairs("authorization", "Bearer "+token),
			})
			var err error
			if approve {
				_, err = client.Approve(ctx, &pb.ApproveRequest{Id: request, Reason: "approved by a button in Slack"})
			} else {
				_, err = client.Deny(ctx, &pb.DenyRequest{Id: request, Reason: "denied by a button in Slack"})
			}
			return shown(err)
		},
		Refused: func(ctx context.Context, who notify.Outsider, request string, err error) {
			refusePress(ctx, chain, who, request, err)
		},
	})
}

// refusePress records a press by somebody who is known to Slack alone.
func refusePress(ctx context.Context, chain *interceptors.Chain, who notify.Outsider, request string, err error) {
	why := &access.Error{Kind: access.Unauthenticated, Reason: access.ReasonTokenMissing}
	if !errors.Is(err, notify.ErrNoLink) {
		why = &access.Error{Kind: access.Unavailable, Reason: access.ReasonStoreAway, Cause: err}
	}
	inner := access.WithDoor(context.Background(), &access.Door{Name: slackDoor})
	inner = peer.NewContext(inner, &peer.Peer{Addr: access.PeerFrom(ctx)})
	chain.Refuse(inner, unknown, func(call *access.Call) {
		call.Verb, call.Object = access.Approve, request
		call.Detail = "Slack's user " + who.User + " of " + who.Team
	}, why)
}

// shown makes of what the chain answers something that may be shown: all that it
// says to callers may be.
func shown(err error) error {
	if err == nil || status.Code(err) == codes.Internal {
		return err
	}
	return &access.Error{Kind: access.PermissionDenied, Message: status.Convert(err).Message(), Cause: err}
}

// slackApps are the entries of notify with buttons, as they are in force.
func (s *Server) slackApps() (all []slack.App) {
	for _, c := range s.state.Load().cfg.Notify {
		if c.Slack != nil && !c.Slack.SigningSecret.IsZero() {
			all = append(all, slack.App{Name: c.Name, Config: *c.Slack, Page: c.Page})
		}
	}
	return all
}
