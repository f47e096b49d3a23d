package admin

import (
	"context"
	"errors"
	"slices"
	"time"

	"google.golang.org/grpc"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

func (s *Service) listLogs(ctx context.Context, call *access.Call, _ *pb.ListLogsRequest) (*pb.ListLogsResponse, error) {
	if refused := s.whole(call, access.AuditRead); refused != nil {
		return nil, refused
	}
	states, err := s.Log.States(ctx)
	if err != nil {
		return nil, unreadable(err)
	}
	out := new(pb.ListLogsResponse)
	if s.LogKeys != nil {
		if out.PublicKeys, err = s.LogKeys(ctx); err != nil {
			return nil, unreadable(err)
		}
	}
	for _, st := range states {
		l := &pb.Log{Id: st.Replica, Size: int64(st.Size), First: int64(st.First)}
		if st.Last.Size > 0 {
			l.Last = checkpointOf(st.Last)
		}
		out.Logs = append(out.Logs, l)
	}
	return out, nil
}

func checkpointOf(c audit.Checkpoint) *pb.Checkpoint {
	return &pb.Checkpoint{
		Id: recordID(&audit.Record{Replica: c.Replica, Seq: c.Size}), Replica: c.Replica, Size: int64(c.Size), Root: c.Root[:],
		Time: timestamp(c.Time), Note: c.Note,
	}
}

func (s *Service) listCheckpoints(ctx context.Context, call *access.Call, m *pb.ListCheckpointsRequest) (*pb.ListCheckpointsResponse, error) {
	if refused := s.whole(call, access.AuditRead); refused != nil {
		return nil, refused
	}
	p, refused := pageOf(m)
	if refused != nil {
		return nil, refused
	}
	from := uint64(max(m.GetMinSize(), 0))
	if p.after != "" {
		_, size, refused := place(p.after)
		if refused != nil {
			return nil, malformed("page_token is not one that this gateway gave; begin without one")
		}
		from = max(from, size+1)
	}
	out := new(pb.ListCheckpointsResponse)
	for c, err := range s.Log.Checkpoints(ctx, m.GetReplica(), from) {
		if err != nil {
			return nil, unreadable(err)
		}
		out.Checkpoints = append(out.Checkpoints, checkpointOf(c))
		if len(out.Checkpoints) == p.size {
			out.NextPageToken = tokenAfter(out.Checkpoints[p.size-1].GetId())
			break
		}
	}
	return out, nil
}

// Streams has the handler of every stream by its full name.
func (s *Service) Streams() map[string]grpc.StreamHandler {
	return map[string]grpc.StreamHandler{
		pb.ApprovalService_WatchApprovals_FullMethodName: reading(s, access.ReasonStoreAway, s.watchApprovals),
		pb.AuditService_TailRecords_FullMethodName:       reading(s, access.ReasonAuditAway, s.tailRecords),
		pb.AuditService_ReadRecords_FullMethodName:       reading(s, access.ReasonAuditAway, s.readRecords),
		pb.AuditService_ReadLeaves_FullMethodName:        reading(s, access.ReasonAuditAway, s.readLeaves),
	}
}

const (
	// readAtOnce is how many records a message of ReadRecords has.
	readAtOnce = 500
	// tailEvery is how often the log is looked at for more.
	tailEvery = 250 * time.Millisecond
	maxLast   = 1000
)

func (s *Service) readRecords(ctx context.Context, call *access.Call, m *pb.ReadRecordsRequest, to feed) error {
	a, refused := s.auditor(call)
	if refused != nil {
		return refused
	}
	if refused := checkText("after", m.GetAfter(), maxCursor); refused != nil {
		return refused
	}
	q, err := s.query(ctx, call, m.GetQuery())
	if err != nil {
		return err
	}
	q.Oldest, q.After = !m.GetNewestFirst(), m.GetAfter()
	if err := to.begin(); err != nil {
		return err
	}
	left := m.GetLimit()
	batch := new(pb.ReadRecordsResponse)
	for found, err := range s.Log.Search(ctx, q) {
		var damaged *audit.DamagedError
		if errors.As(err, &damaged) { // said in its place: the reader goes on with what is whole
			if err := sendAll(to, batch, damage(damaged)); err != nil {
				return err
			}
			batch = new(pb.ReadRecordsResponse)
			continue
		}
		if err != nil {
			return unreadable(err)
		}
		if !a.sees(found.Record) {
			continue
		}
		batch.Records = append(batch.Records, &pb.Record{
			Id:   recordID(&audit.Record{Replica: found.Record.Replica, Seq: found.Place}), // where it is, whatever it says: a verification compares the two
			Time: timestamp(found.Record.Time), Kind: found.Record.Kind.String(), Encoding: found.Bytes, Leaf: found.Leaf[:],
		})
		batch.Cursors = append(batch.Cursors, found.Cursor)
		if left--; left == 0 {
			break
		}
		if len(batch.Records) == readAtOnce {
			if err := to.SendMsg(batch); err != nil {
				return err
			}
			batch = new(pb.ReadRecordsResponse)
		}
	}
	return sendAll(to, batch)
}

func damage(d *audit.DamagedError) *pb.ReadRecordsResponse {
	return &pb.ReadRecordsResponse{Damaged: damageOf(d)}
}

func damageOf(d *audit.DamagedError) *pb.Damage {
	return &pb.Damage{Replica: d.Replica, First: int64(d.First), Last: int64(d.Last)}
}

// damages says what a search went past.
func damages(past *audit.Damage) (places []*pb.Damage, records int64) {
	for i := range past.Places {
		places = append(places, damageOf(&past.Places[i]))
	}
	return places, int64(past.Records)
}

// sendAll sends what of messages is not empty.
func sendAll(to feed, all ...*pb.ReadRecordsResponse) error {
	for _, m := range all {
		if len(m.GetRecords()) == 0 && m.GetDamaged() == nil {
			continue
		}
		if err := to.SendMsg(m); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) readLeaves(ctx context.Context, call *access.Call, m *pb.ReadLeavesRequest, to feed) error {
	if refused := s.whole(call, access.AuditRead); refused != nil {
		return refused
	}
	if err := to.begin(); err != nil {
		return err
	}
	for leaves, err := range s.Log.Leaves(ctx, m.GetReplica(), uint64(max(m.GetFrom(), 0))) {
		if err != nil {
			return unreadable(err)
		}
		out := new(pb.ReadLeavesResponse)
		for _, leaf := range leaves {
			out.Leaves = append(out.Leaves, leaf[:]...)
		}
		if err := to.SendMsg(out); err != nil {
			return err
		}
	}
	return nil
}

// tailRecords sends the last records and then each new one. The caller's own
// reading of it is not among them until it ends.
func (s *Service) tailRecords(ctx context.Context, call *access.Call, m *pb.TailRecordsRequest, to feed) error {
	a, refused := s.auditor(call)
	if refused != nil {
		return refused
	}
	if m.GetLast() < 0 || m.GetLast() > maxLast {
		return malformed("last must be from 0 to %d", maxLast)
	}
	q, err := s.query(ctx, call, m.GetQuery())
	if err != nil {
		return err
	}
	last, cursor, err := s.last(ctx, a, q, int(m.GetLast()))
	if err != nil {
		return err
	}
	if err := to.begin(); err != nil {
		return err
	}
	for _, r := range last {
		if err := to.SendMsg(&pb.TailRecordsResponse{Record: fieldsOf(r)}); err != nil {
			return err
		}
	}
	q.Oldest, q.After = true, cursor
	var past audit.Damage // which a search tells of: here is what is new
	tick := time.NewTicker(tailEvery)
	defer tick.Stop()
	for {
		for found, err := range s.Log.Search(ctx, q) {
			if past.Take(err) {
				continue
			}
			if err != nil {
				return unreadable(err)
			}
			q.After = found.Cursor
			if !a.sees(found.Record) {
				continue
			}
			if err := to.SendMsg(&pb.TailRecordsResponse{Record: fieldsOf(found.Record)}); err != nil {
				return err
			}
		}
		select {
		case <-tick.C:
			clear(a.known) // by the policy of this moment
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// last finds the newest records of a query, the oldest of them first, and where to
// go on behind them.
func (s *Service) last(ctx context.Context, a *auditor, q audit.Query, n int) (all []*audit.Record, cursor string, err error) {
	newest := audit.Query{Replica: q.Replica, Limit: 1} // of any kind: what matches may come right behind it
	var past audit.Damage
	for found, err := range s.Log.Search(ctx, newest) {
		if past.Take(err) {
			continue
		}
		if err != nil {
			return nil, "", unreadable(err)
		}
		cursor = found.Cursor
	}
	looked := 0
	for found, err := range s.Log.Search(ctx, q) {
		if past.Take(err) {
			continue
		}
		if err != nil {
			return nil, "", unreadable(err)
		}
		if looked++; len(all) == n || looked > maxScan {
			break
		}
		if a.sees(found.Record) {
			all = append(all, found.Record)
		}
	}
	slices.Reverse(all)
	return all, cursor, nil
}
