package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/export"
	"github.com/sluice-gateway/sluice/audit/merkle"
	"github.com/sluice-gateway/sluice/audit/payload"
	"github.com/sluice-gateway/sluice/audit/replay"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

// remoteLog is a running gateway's audit log, as far as its caller may read it. It
// believes nothing that it is told: records are decoded from their encodings, and
// what they are worth is for [audit.Verify] to say. It is for one command, and not
// safe for concurrent use.
type remoteLog struct {
	*remote
	cmd    *cobra.Command
	client pb.AuditServiceClient
	// records has the id of the record that each payload belongs to, by the payload's.
	records map[string]string
}

var (
	_ audit.Evidence = (*remoteLog)(nil)
	_ replay.Source  = (*remoteLog)(nil)
	_ export.Source  = (*remoteLog)(nil)
)

// log makes ready to read the gateway's audit log. The caller closes it.
func (f *clientFlags) log(cmd *cobra.Command) (*remoteLog, error) {
	r, err := f.dial(cmd)
	if err != nil {
		return nil, err
	}
	return &remoteLog{remote: r, cmd: cmd, client: pb.NewAuditServiceClient(r), records: make(map[string]string)}, nil
}

// errOdd is of an answer that no gateway gives.
func (l *remoteLog) errOdd(what string) error {
	return fmt.Errorf("%s answers with %s, which no gateway does", l.server, what)
}

// Search reads the records of a query; an [audit.DamagedError] stands for those that
// the gateway can't read. A reading that breaks off, or whose token runs out, goes on
// behind the last record as long as it gets any further.
func (l *remoteLog) Search(ctx context.Context, q audit.Query) iter.Seq2[audit.Found, error] {
	return func(yield func(audit.Found, error) bool) {
		left, more := q.Limit, true
		told := make(map[audit.DamagedError]bool) // a reading that goes on says it again
		for {
			got := 0
			err := l.read(ctx, q, left, func(f audit.Found, damaged *audit.DamagedError) bool {
				switch {
				case damaged == nil:
					got, q.After = got+1, f.Cursor
					more = yield(f, nil)
				case !told[*damaged]:
					told[*damaged] = true
					more = yield(audit.Found{}, damaged)
				}
				return more
			})
			left -= got
			switch {
			case !more || err == nil || q.Limit > 0 && left <= 0:
				return
			case got == 0 || !resumable(err):
				yield(audit.Found{}, l.explain(ctx, err))
				return
			}
		}
	}
}

// resumable tells whether asking on could help: the connection broke, or the token
// ran out and the next call shows a fresh one.
func resumable(err error) bool {
	reason := reasonOf(err)
	return reason == access.ReasonTokenExpired || reason == "" && status.Code(err) == codes.Unavailable
}

// read is one call of ReadRecords. take tells whether it wants more.
func (l *remoteLog) read(ctx context.Context, q audit.Query, limit int, take func(audit.Found, *audit.DamagedError) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the stream where the reader has enough
	stream, err := l.client.ReadRecords(ctx, &pb.ReadRecordsRequest{Query: recordQuery(q), After: q.After, NewestFirst: !q.Oldest, Limit: int64(max(limit, 0))})
	if err != nil {
		return err
	}
	for {
		m, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case len(m.GetRecords()) != len(m.GetCursors()):
			return l.errOdd("records without cursors")
		}
		if d := m.GetDamaged(); d != nil && !take(audit.Found{}, &audit.DamagedError{Replica: d.GetReplica(), First: uint64(d.GetFirst()), Last: uint64(d.GetLast())}) {
			return nil
		}
		for i, r := range m.GetRecords() {
			found, err := l.found(r, m.GetCursors()[i])
			if err != nil {
				return err
			}
			if !take(found, nil) {
				return nil
			}
		}
	}
}

// found is a record that came. Its leaf is the one that the log keeps, and its place
// the one that the log has it in: that they fit is not looked at here.
func (l *remoteLog) found(r *pb.Record, cursor string) (audit.Found, error) {
	record, err := audit.Decode(r.GetEncoding())
	if err != nil {
		return audit.Found{}, l.errOdd("a record " + shown(r.GetId()) + " that can't be read")
	}
	_, seq, ok := recordPlace(r.GetId())
	if !ok || len(r.GetLeaf()) != len(merkle.Hash{}) {
		return audit.Found{}, l.errOdd("a record without a place or a hash")
	}
	if record.Payload != nil && record.Payload.ID != "" {
		l.records[record.Payload.ID] = r.GetId()
	}
	entry := audit.Entry{Record: record, Bytes: r.GetEncoding(), Leaf: [32]byte(r.GetLeaf()), Place: seq}
	return audit.Found{Entry: entry, Cursor: cursor}, nil
}

// recordPlace reads a record's id.
func recordPlace(id string) (replica string, seq uint64, ok bool) {
	i := strings.LastIndexByte(id, '/')
	if i < 1 {
		return "", 0, false
	}
	seq, err := strconv.ParseUint(id[i+1:], 10, 64)
	return id[:i], seq, err == nil
}

// Open reads what was said in a call whose record Search has given.
func (l *remoteLog) Open(ctx context.Context, ref *audit.PayloadRef) (*payload.Content, error) {
	if ref == nil || l.records[ref.ID] == "" {
		return nil, audit.ErrNotFound
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	m, err := l.client.GetPayload(ctx, &pb.GetPayloadRequest{Id: l.records[ref.ID]})
	switch {
	case err != nil:
		return nil, l.explain(l.cmd.Context(), err)
	case m.GetAbsent() != "":
		return nil, absentError(m.GetAbsent())
	}
	return contentOf(m), nil
}

// absentError says why there is no payload of a call.
type absentError string

func (e absentError) Error() string { return string(e) }

// contentOf is what was said, as replays take it.
func contentOf(m *pb.GetPayloadResponse) *payload.Content {
	out := &payload.Content{Complete: m.GetComplete()}
	for _, f := range m.GetFrames() {
		out.Frames = append(out.Frames, payload.Frame{
			Kind: payload.Kind(f.GetKind()), At: f.GetAt().AsDuration(), Size: int(f.GetSizeBytes()), Message: f.GetMessage(),
			Type: f.GetType(), Cut: f.GetCut(), Masked: f.GetMasked(),
		})
	}
	return out
}

// States tells of each log that the gateway has.
func (l *remoteLog) States(context.Context) ([]audit.State, error) {
	m, err := l.logs()
	if err != nil {
		return nil, err
	}
	var out []audit.State
	for _, s := range m.GetLogs() {
		last, err := l.checkpoint(s.GetLast())
		if err != nil {
			return nil, err
		}
		out = append(out, audit.State{Replica: s.GetId(), Size: uint64(s.GetSize()), First: uint64(s.GetFirst()), Last: last})
	}
	return out, nil
}

func (l *remoteLog) logs() (*pb.ListLogsResponse, error) {
	return ask(l.cmd, l.remote, l.client.ListLogs, &pb.ListLogsRequest{})
}

func (l *remoteLog) checkpoint(c *pb.Checkpoint) (audit.Checkpoint, error) {
	if c == nil {
		return audit.Checkpoint{}, nil
	}
	if len(c.GetRoot()) != len(merkle.Hash{}) {
		return audit.Checkpoint{}, l.errOdd("a checkpoint without a root")
	}
	return audit.Checkpoint{
		Replica: c.GetReplica(), Size: uint64(c.GetSize()), Root: [32]byte(c.GetRoot()), Time: c.GetTime().AsTime(), Note: c.GetNote(),
	}, nil
}

// Leaves reads the hashes of a log's records.
func (l *remoteLog) Leaves(ctx context.Context, replica string, from uint64) iter.Seq2[[][32]byte, error] {
	return func(yield func([][32]byte, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := l.client.ReadLeaves(ctx, &pb.ReadLeavesRequest{Replica: replica, From: int64(from)})
		for err == nil {
			var m *pb.ReadLeavesResponse
			if m, err = stream.Recv(); err != nil {
				break
			}
			var piece [][32]byte
			rest := m.GetLeaves()
			for ; len(rest) >= 32; rest = rest[32:] {
				piece = append(piece, [32]byte(rest[:32]))
			}
			if len(rest) > 0 {
				err = l.errOdd("half a hash")
			} else if !yield(piece, nil) {
				return
			}
		}
		if !errors.Is(err, io.EOF) {
			yield(nil, l.explain(l.cmd.Context(), err))
		}
	}
}

// Checkpoints reads a log's checkpoints, page by page.
func (l *remoteLog) Checkpoints(_ context.Context, replica string, size uint64) iter.Seq2[audit.Checkpoint, error] {
	return func(yield func(audit.Checkpoint, error) bool) {
		q := &pb.ListCheckpointsRequest{Replica: replica, PageSize: pageSize, MinSize: int64(size)}
		for {
			m, err := ask(l.cmd, l.remote, l.client.ListCheckpoints, q)
			if err != nil {
				yield(audit.Checkpoint{}, err)
				return
			}
			for _, c := range m.GetCheckpoints() {
				if one, err := l.checkpoint(c); !yield(one, err) || err != nil {
					return
				}
			}
			if m.GetNextPageToken() == "" || m.GetNextPageToken() == q.GetPageToken() {
				return
			}
			q.PageToken = m.GetNextPageToken()
		}
	}
}

// recordQuery is a query as the API has it. Words are not in it: the API takes them as
// they are, and the log as hashes.
func recordQuery(q audit.Query) *pb.RecordQuery {
	out := &pb.RecordQuery{
		Principal: q.Principal, Group: q.Group, Model: q.Model, Verb: q.Verb, Verdict: q.Verdict.String(), Rule: q.Rule, Guard: q.Guard,
		Approval: q.Approval, Approver: q.Approver, Entity: q.Entity, Session: q.Session, Call: q.Call, Replica: q.Replica, Object: q.Object,
	}
	if !q.Since.IsZero() {
		out.Since = timestamppb.New(q.Since)
	}
	if !q.Until.IsZero() {
		out.Until = timestamppb.New(q.Until)
	}
	if q.Status != nil {
		out.Status = code.Code_name[int32(*q.Status)]
	}
	for _, k := range q.Kinds {
		out.Kinds = append(out.Kinds, k.String())
	}
	return out
}
