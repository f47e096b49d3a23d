package record_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/audittest"
	"github.com/sluice-gateway/sluice/audit/merkle"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/interceptors/record"
	"github.com/sluice-gateway/sluice/wire"
)

// desk records into memory, inside a bubble of time.
type desk struct {
	t     *testing.T
	log   *audittest.Memory
	audit *audit.Recorder
	step  *record.Recorder
	fails atomic.Bool
	call  *access.Call
}

func newDesk(t *testing.T, strict ...string) *desk {
	t.Helper()
	d := &desk{t: t}
	d.log = &audittest.Memory{Before: func(context.Context, audit.Batch) error {
		if d.fails.Load() {
			return errors.New("disk full")
		}
		return nil
	}}
	key, err := merkle.OpenKey(filepath.Join(t.TempDir(), "audit.key"))
	if err != nil {
		t.Fatal(err)
	}
	o := audit.Options{Log: d.log, Key: key, Logger: slog.New(slog.DiscardHandler)}
	o.Config.SetDefaults()
	o.Config.Strict = append(o.Config.Strict, strict...)
	if d.audit, err = audit.NewRecorder(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	d.step = &record.Recorder{Log: slog.New(slog.DiscardHandler), Audit: d.audit}
	d.call = &access.Call{ID: "cafe", RPC: "ModelInfer", Door: "grpc", Opened: time.Now(), Principal: alice, Verb: access.Infer, Model: "m", Decision: access.Decision{Rule: "role r"}}
	return d
}

// unary makes a call whose request is decided on and goes on to backend.
func (d *desk) unary(request proto.Message, backend func() (any, error)) (any, error) {
	d.t.Helper()
	ctx := access.WithCall(d.t.Context(), d.call)
	req := wire.RequestOf(request)
	return d.step.Step().Unary(ctx, req, nil, func(ctx context.Context, req any) (any, error) {
		return record.Intent().Unary(ctx, req, nil, func(context.Context, any) (any, error) { return backend() })
	})
}

// close ends the recorder and gives what was recorded.
func (d *desk) close() (all []*audit.Record) {
	d.t.Helper()
	if err := d.audit.Close(); err != nil && !d.fails.Load() {
		d.t.Error(err)
	}
	entries, _ := d.log.Entries()
	for _, e := range entries {
		r, err := audit.Decode(e.Bytes)
		if err != nil {
			d.t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

func TestAStrictCallIsWrittenBeforeItIsDoneAndBeforeItIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.call.Verb, d.call.RPC = access.Load, "RepositoryModelLoad"
		meanwhile := 0
		if _, err := d.unary(nil, func() (any, error) {
			entries, _ := d.log.Entries()
			meanwhile = len(entries)
			return &pb.RepositoryModelLoadResponse{}, nil
		}); err != nil {
			t.Fatal(err)
		}
		entries, syncs := d.log.Entries()
		if meanwhile != 1 || len(entries) != 2 || syncs != 2 || entries[0].Record.Kind != audit.KindIntent || entries[1].Record.Kind != audit.KindCall {
			t.Errorf("%d records when it was done, %d (%d synced) when it was answered", meanwhile, len(entries), syncs)
		}
		d.close()
	})
}

func TestAStrictCallThatCantBeWrittenIsNotDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.call.Verb = access.Unload
		d.fails.Store(true)
		done := false
		_, err := d.unary(nil, func() (any, error) { done = true; return nil, nil })
		if e, ok := access.AsError(err); !ok || e.Reason != access.ReasonAuditAway || done {
			t.Errorf("got %v, done is %v", err, done)
		}
		d.close()
	})
}

// What has no verb is done all the same: whose session is ended, who is asked for access.
func TestWhatHasNoVerbIsNotDoneUnrecorded(t *testing.T) {
	for rpc, want := range map[string]bool{"KillSession": false, "RequestAccess": false, "ServerLive": true, "GetLogin": true} {
		t.Run(rpc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t)
				d.call.Verb, d.call.RPC, d.call.Door = access.None, rpc, "admin"
				d.fails.Store(true)
				d.audit.Record(&audit.Record{Kind: audit.KindReload}, nil)
				time.Sleep(11 * time.Second)
				done := false
				_, err := d.unary(nil, func() (any, error) { done = true; return &pb.ServerLiveResponse{}, nil })
				if done != want || (err == nil) != want {
					t.Errorf("done is %v, %v", done, err)
				}
				d.fails.Store(false)
				d.close()
			})
		})
	}
}

// Who reads the log is in it from the beginning, and does not read what can't tell of
// him.
func TestAReadingIsKnownFromItsBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.call.Stream, d.call.RPC, d.call.Verb, d.call.Door, d.call.Model = true, "TailRecords", access.AuditRead, "admin", ""
		read := func(within func(err error)) {
			s := &streamed{desk: d, requests: make(chan *pb.ModelInferRequest, 1)}
			s.requests <- &pb.ModelInferRequest{}
			_ = d.step.Step().Stream(nil, s, nil, func(srv any, ss grpc.ServerStream) error {
				return record.Intent().Stream(srv, ss, nil, func(_ any, ss grpc.ServerStream) error {
					m := new(wire.Message)
					defer m.Free()
					within(ss.RecvMsg(m))
					return nil
				})
			})
		}
		read(func(err error) {
			time.Sleep(time.Second)
			entries, _ := d.log.Entries()
			if err != nil || len(entries) != 1 || entries[0].Record.Kind != audit.KindIntent || entries[0].Record.Verb != "audit_read" {
				t.Errorf("%d are recorded while it is read, %v", len(entries), err)
			}
		})
		d.fails.Store(true)
		time.Sleep(11 * time.Second)
		read(func(err error) {
			if e, ok := access.AsError(err); !ok || e == nil || e.Reason != access.ReasonAuditAway {
				t.Errorf("got %v", err)
			}
		})
		d.fails.Store(false)
		d.close()
	})
}

// What was done and can't be recorded is not answered as if all were well.
func TestAStrictCallWhoseEndCantBeWrittenIsNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.call.Verb = access.Unload
		resp, err := d.unary(nil, func() (any, error) {
			d.fails.Store(true)
			return wire.FromBytes([]byte("x")), nil
		})
		if e, ok := access.AsError(err); !ok || e.Reason != access.ReasonAuditAway || resp != nil {
			t.Errorf("got %v, %v", resp, err)
		}
		d.fails.Store(false)
		if all := d.close(); len(all) != 2 || all[0].Kind != audit.KindIntent || all[1].Verdict != audit.Allowed {
			t.Errorf("recorded are %v", all)
		}
	})
}

// A caller who goes away does not keep his call out of the log.
func TestACallerWhoIsGoneIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.call.Verb = access.Load
		ctx, cancel := context.WithCancel(access.WithCall(t.Context(), d.call))
		_, _ = d.step.Step().Unary(ctx, wire.RequestOf(nil), nil, func(ctx context.Context, req any) (any, error) {
			return record.Intent().Unary(ctx, req, nil, func(context.Context, any) (any, error) {
				cancel()
				return nil, context.Canceled
			})
		})
		all := d.close()
		if len(all) != 2 || all[1].Verdict != audit.Failed || codes.Code(all[1].Status) != codes.Canceled {
			t.Errorf("recorded are %+v", all)
		}
	})
}

func TestVerdicts(t *testing.T) {
	refuse := func(k access.ErrorKind, reason string) error { return &access.Error{Kind: k, Reason: reason} }
	for name, c := range map[string]struct {
		err  error
		want audit.Verdict
		kind audit.Kind
	}{
		"well":                       {nil, audit.Allowed, audit.KindCall},
		"no role":                    {refuse(access.PermissionDenied, access.ReasonNoRole), audit.Denied, audit.KindCall},
		"malformed":                  {refuse(access.Malformed, access.ReasonMalformed), audit.Denied, audit.KindCall},
		"a limit":                    {refuse(access.Exhausted, access.ReasonStreams), audit.Denied, audit.KindCall},
		"needs a person":             {refuse(access.NeedsApproval, access.ReasonNeedsApproval), audit.Held, audit.KindCall},
		"a person said no":           {refuse(access.NeedsApproval, access.ReasonApprovalDenied), audit.Denied, audit.KindCall},
		"the backend is away":        {refuse(access.Unavailable, access.ReasonBackendAway), audit.Failed, audit.KindCall},
		"the backend's own":          {status.Error(codes.InvalidArgument, "no such input"), audit.Failed, audit.KindCall},
		"the deadline":               {context.DeadlineExceeded, audit.Failed, audit.KindCall},
		"a mistake in the program":   {errors.New("oops"), audit.Failed, audit.KindCall},
		"the person's admin request": {nil, audit.Allowed, audit.KindAdmin},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t)
				if c.kind == audit.KindAdmin {
					d.call.Verb = access.AuditRead
				}
				_, _ = d.unary(nil, func() (any, error) { return nil, c.err })
				all := d.close()
				if len(all) != 1 || all[0].Verdict != c.want || all[0].Kind != c.kind {
					t.Errorf("recorded are %+v", all)
				}
			})
		})
	}
}

// What somebody else chose is bounded, and is text.
func TestTextsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		groups := make([]string, 500)
		for i := range groups {
			groups[i] = strings.Repeat("g", 1000) + fmt.Sprint(i)
		}
		d.call.Principal = &access.Principal{Issuer: "https://iss", Subject: strings.Repeat("s", 4000), Name: "\xff\xfe", Groups: groups}
		d.call.Model = strings.Repeat("m", 1<<20)
		_, _ = d.unary(nil, func() (any, error) { return nil, nil })
		r := d.close()[0]
		if n := len(r.Append(nil)); n > audit.MaxRecord/4 || len(r.Groups) != audit.MaxList || !r.Cut || len(r.Model) != audit.MaxText || r.Name != "\uFFFD" {
			t.Errorf("%d bytes, %d groups, model of %d", n, len(r.Groups), len(r.Model))
		}
		if groups[0] != strings.Repeat("g", 1000)+"0" {
			t.Error("the principal's own groups were changed")
		}
	})
}

// stream runs a stream's handler between record, a policy that allows, and intent.
func (d *desk) stream(handler func(ss grpc.ServerStream, ask func(id string) error)) error {
	d.call.Stream, d.call.RPC = true, "ModelStreamInfer"
	s := &streamed{desk: d, requests: make(chan *pb.ModelInferRequest, 1)}
	return d.step.Step().Stream(nil, s, nil, func(srv any, ss grpc.ServerStream) error {
		return record.Intent().Stream(srv, &deciding{ss, d.call}, nil, func(_ any, ss grpc.ServerStream) error {
			handler(ss, func(id string) error {
				s.requests <- &pb.ModelInferRequest{ModelName: "m", Id: id}
				m := new(wire.Message)
				defer m.Free()
				return ss.RecvMsg(m)
			})
			return nil
		})
	})
}
