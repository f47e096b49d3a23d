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

// feed is what a stream sends.
type feed struct{ grpc.ServerStream }

// begin tells the client that it may read, before there is anything to read.
func (f feed) begin() error { return f.SendHeader(metadata.Pairs(WatchHeader, "open")) }

// reading makes a stream's handler of one that sends what its request asks for,
// until it is done or the caller, his token or the gateway ends; away is the reason of
// the last.
func reading[M any, P message[M]](s *Service, away string, send func(ctx context.Context, call *access.Call, m P, to feed) error) grpc.StreamHandler {
	return func(_ any, ss grpc.ServerStream) error {
		call, m := access.CallFrom(ss.Context()), P(new(M))
		if err := ss.RecvMsg(m); err != nil {
			return err
		}
		if refused := checkKnown(m); refused != nil {
			return refused
		}
		id := call.Principal.ID()
		if refused := s.watches.open(id); refused != nil {
			return refused
		}
		defer s.watches.close(id)
		ctx, cancel := context.WithCancelCause(ss.Context())
		defer cancel(nil)
		expiry := time.AfterFunc(call.Principal.Expires.Sub(s.Now()), func() { cancel(errExpired) })
		defer expiry.Stop()
		ended := make(chan struct{})
		defer close(ended)
		go func() { // ends with this handler
			select {
			case <-s.Done:
				cancel(over(away))
			case <-ended:
			}
		}()
		err := send(ctx, call, m, feed{ss})
		if cause := context.Cause(ctx); err != nil && cause != nil {
			return cause
		}
		return err
	}
}

var errExpired = &access.Error{
	Kind: access.Unauthenticated, Reason: access.ReasonTokenExpired,
	Message: "the token has expired since the reading began; go on with a fresh one",
}

// over is why a reading ends before it is done.
func over(away string) *access.Error {
	return &access.Error{
		Kind: access.Unavailable, Reason: away, RetryAfter: time.Second,
		Message: "the gateway is shutting down; begin anew",
	}
}

// watchApprovals sends what the caller may see.
func (s *Service) watchApprovals(ctx context.Context, call *access.Call, m *pb.WatchApprovalsRequest, to feed) error {
	if s.Approvals == nil {
		return errNoStore
	}
	if err := to.begin(); err != nil {
		return err
	}
	w := watch{Service: s, call: call, asked: m, stream: to, told: make(map[string]bool)}
	for r := range s.Approvals.Watch(ctx) {
		if err := w.tell(r); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return over(access.ReasonStoreAway) // its source has ended first
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
