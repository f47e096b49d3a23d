package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/audittest"
	"github.com/sluice-gateway/sluice/audit/merkle"
	"github.com/sluice-gateway/sluice/audit/replay"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

// books is a gateway's audit log, of 30 records and honest unless it is told to lie.
type books struct {
	pb.UnimplementedAuditServiceServer

	log *audittest.Memory
	key *merkle.Key
	// breaks is after how many records a reading breaks off, and how; 0 is never.
	breaks int
	how    error
	reads  int
	// lie changes what is sent of a record, leaf of a hash, note of a checkpoint.
	lie  func(r *pb.Record) *pb.Record
	leaf func(seq int, leaf []byte)
	size int64
	torn uint64 // the place of a record that can't be read; 0 is none
}

func newBooks(t *testing.T) *books {
	t.Helper()
	b := &books{log: new(audittest.Memory), how: status.Error(codes.Unavailable, "connection reset")}
	var err error
	if b.key, err = merkle.OpenKey(filepath.Join(t.TempDir(), "audit.key")); err != nil {
		t.Fatal(err)
	}
	o := audit.Options{Log: b.log, Key: b.key}
	o.Config.SetDefaults()
	record(t, o)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	pb.RegisterAuditServiceServer(g, b)
	done := make(chan error, 1)
	go func() { done <- g.Serve(l) }()
	t.Cleanup(func() { g.Stop(); <-done })
	alone(t)
	t.Setenv("SLUICE_SERVER", "http://"+l.Addr().String())
	t.Setenv("SLUICE_TOKEN", "token")
	return b
}

func (b *books) ListLogs(ctx context.Context, _ *pb.ListLogsRequest) (*pb.ListLogsResponse, error) {
	states, err := b.log.States(ctx)
	out := &pb.ListLogsResponse{PublicKeys: []string{b.key.Public()}}
	for _, s := range states {
		out.Logs = append(out.Logs, &pb.Log{Id: s.Replica, Size: int64(s.Size) + b.size, Last: b.checkpoint(s.Last)})
	}
	return out, err
}

func (b *books) checkpoint(c audit.Checkpoint) *pb.Checkpoint {
	return &pb.Checkpoint{Replica: c.Replica, Size: int64(c.Size), Root: c.Root[:], Time: timestamppb.New(c.Time), Note: c.Note}
}

func (b *books) ListCheckpoints(ctx context.Context, q *pb.ListCheckpointsRequest) (*pb.ListCheckpointsResponse, error) {
	out := new(pb.ListCheckpointsResponse)
	for c := range b.log.Checkpoints(ctx, q.GetReplica(), uint64(q.GetMinSize())) {
		out.Checkpoints = append(out.Checkpoints, b.checkpoint(c))
	}
	return out, nil
}

func (b *books) ReadLeaves(_ *pb.ReadLeavesRequest, to grpc.ServerStreamingServer[pb.ReadLeavesResponse]) error {
	entries, _ := b.log.Entries()
	for i, e := range entries {
		leaf := slices.Clone(e.Leaf[:])
		if b.leaf != nil {
			b.leaf(i, leaf)
		}
		if err := to.Send(&pb.ReadLeavesResponse{Leaves: leaf}); err != nil {
			return err
		}
	}
	return nil
}

func (b *books) ReadRecords(q *pb.ReadRecordsRequest, to grpc.ServerStreamingServer[pb.ReadRecordsResponse]) error {
	b.reads++
	sent := 0
	for f, err := range b.log.Search(to.Context(), audit.Query{Oldest: true, After: q.GetAfter(), Limit: int(q.GetLimit())}) {
		if err != nil {
			return err
		}
		if b.breaks > 0 && sent == b.breaks {
			return b.how
		}
		sent++
		r := &pb.Record{Id: f.Record.Replica + "/" + strconv.FormatUint(f.Place, 10), Encoding: f.Bytes, Leaf: f.Leaf[:]}
		if b.torn > 0 && f.Place == b.torn {
			if err := to.Send(&pb.ReadRecordsResponse{Damaged: &pb.Damage{Replica: f.Record.Replica, First: int64(b.torn), Last: int64(b.torn)}}); err != nil {
				return err
			}
			continue
		}
		if b.lie != nil {
			r = b.lie(r)
		}
		if r == nil {
			continue
		}
		if err := to.Send(&pb.ReadRecordsResponse{Records: []*pb.Record{r}, Cursors: []string{f.Cursor}}); err != nil {
			return err
		}
	}
	return nil
}

func (b *books) SearchRecords(context.Context, *pb.SearchRecordsRequest) (*pb.SearchRecordsResponse, error) {
	text := structpb.NewStringValue("\x1b[2J\u202egone")
	fields := map[string]*structpb.Value{"sluice.verb": text, "user.name": text, "sluice.approval": text, "sluice.masked": text, "sluice.verdict": text}
	out := &pb.SearchRecordsResponse{Records: []*pb.Record{{Id: "x\x1b/1", Fields: &structpb.Struct{Fields: fields}}, {}}}
	out.Damaged, out.DamagedRecords = b.damaged()
	return out, nil
}

func (b *books) GetStats(context.Context, *pb.GetStatsRequest) (*pb.GetStatsResponse, error) {
	out := &pb.GetStatsResponse{Complete: true}
	out.Damaged, out.DamagedRecords = b.damaged()
	return out, nil
}

// damaged is a place of more records than one, where any is torn.
func (b *books) damaged() ([]*pb.Damage, int64) {
	if b.torn == 0 {
		return nil, 0
	}
	return []*pb.Damage{{Replica: "sluice/1\x1b[2J", First: int64(b.torn), Last: int64(b.torn) + 1}}, 2
}

func TestWhatCanNotBeReadIsToldOf(t *testing.T) {
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(policy, []byte("roles: { viewer: [ { models: [\"*\"], verbs: [infer] } ] }\nbindings: [ { role: viewer, groups: [all] } ]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"search": {"audit", "search"}, "lines": {"audit", "search", "--output", "jsonl"}, "stats": {"audit", "stats"},
		"tail": {"audit", "tail"}, "diff": {"policy", "diff", policy, policy, "--audit"},
		"export": {"audit", "export", "--format", "jsonl", "--no-proofs"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBooks(t)
			run := func() (string, int) {
				if name == "export" {
					args = append(args[:len(args):len(args)], "--to", t.TempDir())
				}
				_, errs, code := typed(t, args...)
				return errs, code
			}
			if errs, code := run(); code != 0 || strings.Contains(errs, "can't be read") {
				t.Errorf("of a whole log: %d: %s", code, errs)
			}
			b.torn = 7
			errs, code := run()
			noticed := map[bool]int{true: 1}[name == "export"] // by who runs it each night, too
			if code != noticed || !strings.Contains(errs, "can't be read any more") || !strings.Contains(errs, "7 to ") || strings.Contains(errs, "\x1b") {
				t.Errorf("of a torn one: %d: %s", code, errs)
			}
		})
	}
}

func TestAReadingGoesOnWhereItBrokeOff(t *testing.T) {
	for name, c := range map[string]struct {
		breaks int
		how    error
		reads  int
		code   int
		says   string
	}{
		"not at all":             {0, nil, 1, 0, ""},
		"a broken connection":    {7, status.Error(codes.Unavailable, "connection reset"), 5, 0, ""},
		"a token that ran out":   {7, refused(codes.Unauthenticated, access.ReasonTokenExpired, "it has expired"), 5, 0, ""},
		"a damaged log":          {7, refused(codes.Unavailable, access.ReasonAuditAway, "records 7 to 9 are damaged"), 1, 1, "records 7 to 9 are damaged (AUDIT_UNAVAILABLE)"},
		"a gateway that says no": {7, refused(codes.PermissionDenied, access.ReasonNoRole, "no more"), 1, 1, "no more (NO_ROLE_ALLOWS)"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBooks(t)
			b.breaks, b.how = c.breaks, c.how
			dir := t.TempDir()
			_, errs, code := typed(t, "audit", "export", "--format", "jsonl", "--to", dir, "--no-proofs")
			if code != c.code || b.reads != c.reads || !strings.Contains(errs, c.says) {
				t.Fatalf("ended with %d after %d readings: %s", code, b.reads, errs)
			}
			if text, err := os.ReadFile(filepath.Join(dir, "records-00000.jsonl")); code == 0 && (err != nil || strings.Count(string(text), "\n") != 30) {
				t.Errorf("exported are %d records, %v, want each once", strings.Count(string(text), "\n"), err)
			}
		})
	}
}

func TestAReadingThatGetsNowhereEnds(t *testing.T) {
	b := newBooks(t)
	b.breaks = 30
	b.log.Change(func(entries *[]audit.Entry, _ *[]audit.Checkpoint) { *entries = nil })
	b.lie = func(r *pb.Record) *pb.Record { return nil }
	if _, errs, code := typed(t, "audit", "verify"); code != 1 || b.reads > 2 {
		t.Errorf("ended with %d after %d readings: %s", code, b.reads, errs)
	}
}

// TestVerifyBelievesNothing: what a gateway says of its log is compared here, with
// the key that is known here.
func TestVerifyBelievesNothing(t *testing.T) {
	at := func(r *pb.Record, seq int) bool { return strings.HasSuffix(r.GetId(), "/"+strconv.Itoa(seq)) }
	for name, c := range map[string]struct {
		lies func(b *books)
		want string
	}{
		"the truth": {func(*books) {}, "OK"},
		"a record is changed": {func(b *books) {
			b.lie = func(r *pb.Record) *pb.Record {
				if at(r, 7) {
					r.Encoding = slices.Clone(audittest.Entries("x", 7, audittest.Infer(99))[0].Bytes)
				}
				return r
			}
		}, "record 7: edited"},
		"a record and its hash are changed": {func(b *books) {
			other := audittest.Entries("x", 7, audittest.Infer(99))[0]
			b.lie = func(r *pb.Record) *pb.Record {
				if at(r, 7) {
					r.Encoding, r.Leaf = other.Bytes, other.Leaf[:]
				}
				return r
			}
			b.leaf = func(seq int, leaf []byte) {
				if seq == 7 {
					copy(leaf, other.Leaf[:])
				}
			}
		}, ": rewritten"},
		"a record is left out": {func(b *books) {
			b.lie = func(r *pb.Record) *pb.Record {
				if at(r, 7) {
					return nil
				}
				return r
			}
		}, "record 7: dropped"},
		"two records change places": {func(b *books) {
			entries, _ := b.log.Entries()
			b.lie = func(r *pb.Record) *pb.Record {
				if at(r, 7) {
					r.Encoding = entries[8].Bytes
				}
				return r
			}
		}, "record 7: reordered"},
		"a record can't be read":             {func(b *books) { b.torn = 7 }, "record 7: unreadable"},
		"nor when the reading breaks off":    {func(b *books) { b.torn, b.breaks = 7, 7 }, "record 7: unreadable"},
		"nor when it breaks off right there": {func(b *books) { b.torn, b.breaks = 15, 15 }, "record 15: unreadable"},
		"the end is cut off": {func(b *books) {
			b.log.Change(func(entries *[]audit.Entry, _ *[]audit.Checkpoint) { *entries = (*entries)[:20] })
		}, ": truncated"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBooks(t)
			key := filepath.Join(t.TempDir(), "audit.pub")
			if err := os.WriteFile(key, []byte(b.key.Public()+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			c.lies(b)
			out, errs, code := typed(t, "audit", "verify", "--key", key)
			if !strings.Contains(out, c.want) || (code == 0) != (c.want == "OK") || code != 0 && !strings.Contains(errs, "1 finding") {
				t.Errorf("ended with %d: %s%s", code, out, errs)
			}
		})
	}
}

func TestVerifyWithAKeyFromElsewhere(t *testing.T) {
	newBooks(t)
	other, err := merkle.OpenKey(filepath.Join(t.TempDir(), "other.key"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "other.pub")
	if err := os.WriteFile(file, []byte(other.Public()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, _, code := typed(t, "audit", "verify", "--key", file); code != 1 || !strings.Contains(out, "not signed") {
		t.Errorf("ended with %d: %s", code, out)
	}
	if _, errs, code := typed(t, "audit", "verify", "--key", os.DevNull); code != 1 || !strings.Contains(errs, "holds no key") {
		t.Errorf("ended with %d: %s", code, errs)
	}
}

func TestAnswersThatNoGatewayGives(t *testing.T) {
	for name, lie := range map[string]func(b *books){
		"no encoding":   func(b *books) { b.lie = func(r *pb.Record) *pb.Record { r.Encoding = []byte{0xff}; return r } },
		"no place":      func(b *books) { b.lie = func(r *pb.Record) *pb.Record { r.Id = "7"; return r } },
		"half a leaf":   func(b *books) { b.lie = func(r *pb.Record) *pb.Record { r.Leaf = r.Leaf[:7]; return r } },
		"a longer log":  func(b *books) { b.size = 1 << 40 },
		"a negative id": func(b *books) { b.lie = func(r *pb.Record) *pb.Record { r.Id = "x/-1"; return r } },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBooks(t)
			lie(b)
			if out, errs, code := typed(t, "audit", "verify"); code != 1 || strings.Contains(out, "OK") {
				t.Errorf("ended with %d: %s%s", code, out, errs)
			}
		})
	}
}

func TestRecordsMoveNoTerminal(t *testing.T) {
	newBooks(t)
	for _, args := range [][]string{{"search"}, {"tail"}, {"search", "-o", "json"}, {"search", "-o", "jsonl"}} {
		out, errs, code := typed(t, append([]string{"audit"}, args...)...)
		if code != 0 || strings.ContainsAny(out, "\x1b\u202e") {
			t.Errorf("%v ended with %d: %q%s", args, code, out, errs)
		}
	}
}

func TestTimesAsPeopleWriteThem(t *testing.T) {
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"":                          "0001-01-01T00:00:00Z",
		"24h":                       "2026-03-09T12:00:00Z",
		"90m":                       "2026-03-10T10:30:00Z",
		"7d":                        "2026-03-03T12:00:00Z",
		"2026-03-01":                "2026-03-01T00:00:00Z",
		"2026-03-01T09:30:00Z":      "2026-03-01T09:30:00Z",
		"2026-03-01T09:30:00+02:00": "2026-03-01T07:30:00Z",
	} {
		if got, err := timeOf("--since", text, now); err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("%q is %v, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"yesterday", "-1h", "7dd", "-3d", "2026-13-01", "7 d", "d", "9999999999d"} {
		if got, err := timeOf("--since", text, now); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

func TestKeysOfATerminal(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got []replay.Key
	for key := range keysFrom(ctx, strings.NewReader(" n\r+\x03\x04q")) {
		got = append(got, key)
	}
	want := []replay.Key{replay.Pause, replay.Step, replay.Step, replay.Faster, replay.Quit, replay.Quit, replay.Quit}
	if !slices.Equal(got, want) {
		t.Errorf("heard are %q, want %q", got, want)
	}
	var b strings.Builder
	if n, err := (rawLines{&b}).Write([]byte("a\nb")); n != 3 || err != nil || b.String() != "a\r\nb" {
		t.Errorf("written is %q, %d, %v", b.String(), n, err)
	}
}
