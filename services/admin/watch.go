package admin

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/approval"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

// How many watches may be open, in all and of one principal.
const (
	MaxWatches             = 1000
	MaxWatchesPerPrincipal = 10
)

// WatchHeader is the header by which a client knows that its watch has begun, before
// there is anything to tell.
const WatchHeader = "sluice-watch"

// watches counts those that are open.
type watches struct {
	mu   sync.Mutex
	all  int
	each map[string]int
}

// open counts one more, or says why there are too many.
func (w *watches) open(id string) *access.Error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all >= MaxWatches || w.each[id] >= MaxWatchesPerPrincipal {
		return &access.Error{
			Kind: access.Exhausted, Reason: access.ReasonStreams, RetryAfter: 5 * time.Second,
			Message: fmt.Sprintf("too many watches are open, of %d in all and %d of one principal; end some", MaxWatches, MaxWatchesPerPrincipal),
		}
	}
	if w.each == nil {
		w.each = make(map[string]int)
	}
	w.all++
	w.each[id]++
	return nil
}

func (w *watches) close(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all--
	if w.each[id]--; w.each[id] == 0 {
		delete(w.each, id)
	}
}

// WatchApprovals sends what the caller may see until he or his token ends. It is a
// [grpc.StreamHandler].
func (s *Service) WatchApprovals(_ any, ss grpc.ServerStream) error {
	call := access.CallFrom(ss.Context())
	m := new(pb.WatchApprovalsRequest)
	if err := ss.RecvMsg(m); err != nil {
		return err
	}
	if refused := checkKnown(m); refused != nil {
		return refused
	}
	if s.Approvals == nil {
		return errNoStore
	}
	id := call.Principal.ID()
	if refused := s.watches.open(id); refused != nil {
		return refused
	}
	defer s.watches.close(id)

	if err := ss.SendHeader(metadata.Pairs(WatchHeader, "open")); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ss.Context())
	defer cancel()
	expiry := time.NewTimer(call.Principal.Expires.Sub(s.Now()))
	defer expiry.Stop()
	w := watch{Service: s, call: call, asked: m, stream: ss, told: make(map[string]bool)}
	requests := s.Approvals.Watch(ctx)
	for {
		select {
		case r, open := <-requests:
			if !open {
				return over(ctx)
			}
			if err := w.tell(r); err != nil {
				return err
			}
		case <-expiry.C:
			return &access.Error{
				Kind: access.Unauthenticated, Reason: access.ReasonTokenExpired,
				Message: "the token has expired since the watch began; begin another with a fresh one",
			}
		case <-s.Done:
			return over(ctx)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// over is why a watch ended whose source did.
func over(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &access.Error{
		Kind: access.Unavailable, Reason: access.ReasonStoreAway, RetryAfter: time.Second,
		Message: "the gateway is shutting down; begin the watch anew",
	}
}

// watch is one watch.
type watch struct {
	*Service
	call   *access.Call
	asked  *pb.WatchApprovalsRequest
	stream grpc.ServerStream
	// told are the pending requests that were sent: how they end is sent too.
	told map[string]bool
}

// tell sends one request if it is for the caller, by the policy of this moment.
func (w *watch) tell(r *approval.Request) error {
	who := w.call.Principal
	if !seesRequest(who, w.seesAll(who), r) || w.asked.GetMine() && !r.Requester.Is(who) {
		return nil
	}
	told := w.told[r.ID]
	if w.asked.GetApprovable() && !told && w.mayDecide(who, r) != nil {
		return nil
	}
	if r.State == approval.Pending {
		w.told[r.ID] = true
	} else {
		delete(w.told, r.ID)
	}
	return w.stream.SendMsg(&pb.WatchApprovalsResponse{
		Approval: w.listed(w.call, r),
		Existing: !told && r.State == approval.Pending && r.Created.Before(w.call.Opened),
	})
}
