package admin_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/audittest"
	"github.com/sluice-gateway/sluice/audit/payload"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
	"github.com/sluice-gateway/sluice/policy"
	"github.com/sluice-gateway/sluice/services/admin"
)

const (
	searchRecords   = pb.AuditService_SearchRecords_FullMethodName
	getRecord       = pb.AuditService_GetRecord_FullMethodName
	getPayload      = pb.AuditService_GetPayload_FullMethodName
	getStats        = pb.AuditService_GetStats_FullMethodName
	listLogs        = pb.AuditService_ListLogs_FullMethodName
	listCheckpoints = pb.AuditService_ListCheckpoints_FullMethodName
	lookUp          = pb.AuditService_LookUpValue_FullMethodName
	readRecords     = pb.AuditService_ReadRecords_FullMethodName
	readLeaves      = pb.AuditService_ReadLeaves_FullMethodName
	tailRecords     = pb.AuditService_TailRecords_FullMethodName
)

// The people who read: audra all records, hal those of models a-*, rita what was
// said there too, olga all of it.
func hal() *access.Principal  { return somebody("hal", access.User, "half-auditors") }
func rita() *access.Principal { return somebody("rita", access.User, "half-readers") }
func olga() *access.Principal { return somebody("olga", access.User, "readers") }

func readers(t *testing.T) *policy.Policy {
	t.Helper()
	role := func(models string, verbs ...string) []policy.Entry {
		return []policy.Entry{{Models: []string{models}, Verbs: verbs}}
	}
	p, problems := policy.Compile([]policy.File{{Name: "p.yaml", Document: policy.Document{
		Roles: map[string][]policy.Entry{
			"auditor": role("*", "audit_read"), "half": role("a-*", "audit_read"), "half-reader": role("a-*", "audit_read", "payload_read"),
			"reader": role("*", "audit_read", "payload_read"),
		},
		Bindings: []policy.Binding{
			{Role: "auditor", Groups: []string{"auditors"}},
			{Role: "half", Groups: []string{"half-auditors"}},
			{Role: "half-reader", Groups: []string{"half-readers"}},
			{Role: "reader", Groups: []string{"readers"}},
		},
	}}}, policy.Options{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return p
}

// said opens payloads in a test.
type said struct {
	open  func(ref *audit.PayloadRef) (*payload.Content, error)
	asked []string
}

var _ admin.Said = (*said)(nil)

func (s *said) Open(_ context.Context, ref *audit.PayloadRef) (*payload.Content, error) {
	return s.open(ref)
}

func (s *said) Words(_ context.Context, text string) ([][]uint64, int, error) {
	s.asked = append(s.asked, text)
	if text == "a" {
		return nil, 0, nil
	}
	return [][]uint64{{1}}, 0, nil
}

func (s *said) LookUp(value string) ([][]uint64, bool) {
	s.asked = append(s.asked, value)
	return [][]uint64{{2}}, true
}

// library is a desk with an audit log.
type library struct {
	*desk
	log  *audittest.Memory
	said *said
}

// of are the models of the log's first records, in their order.
var of = []string{"a-1", "", "b-1", "a-2", "a-1", "b-2"}

func openLibrary(t *testing.T, f func(l *library)) {
	t.Helper()
	open(t, func(d *desk) {
		l := &library{desk: d, log: new(audittest.Memory), said: &said{open: func(*audit.PayloadRef) (*payload.Content, error) { return nil, audit.ErrNotFound }}}
		d.options.Policy, d.options.Log, d.options.Said, d.options.LogKeys = policy.NewEngine(readers(t)), l.log, l.said, func(context.Context) ([]string, error) { return []string{"log+key"}, nil }
		d.use(d.options)
		l.write(of...)
		f(l)
	})
}

// write writes a record for each model.
func (l *library) write(models ...string) {
	l.t.Helper()
	entries, _ := l.log.Entries()
	var all []*audit.Record
	for i, model := range models {
		r := audittest.Infer(len(entries) + i)
		r.Model, r.Verb, r.Verdict, r.Status = model, "infer", audit.Allowed, 0
		all = append(all, r)
	}
	if err := l.log.Append(l.t.Context(), audit.Batch{Replica: "log", Entries: audittest.Entries("log", uint64(len(entries)), all...)}); err != nil {
		l.t.Fatal(err)
	}
}

func ids(records []*pb.Record) (out []string) {
	for _, r := range records {
		out = append(out, strings.TrimPrefix(r.GetId(), "log/"))
	}
	return out
}

func (l *library) search(who *access.Principal, q *pb.SearchRecordsRequest) *pb.SearchRecordsResponse {
	l.t.Helper()
	return ask[*pb.SearchRecordsResponse](l.desk, who, searchRecords, q)
}

// reading is the server's side of a stream.
type reading struct {
	grpc.ServerStream
	ctx  context.Context //nolint:containedctx // a ServerStream is asked for its context by contract
	asks proto.Message
	got  []proto.Message
}

func (r *reading) Context() context.Context     { return r.ctx }
func (r *reading) SendHeader(metadata.MD) error { return nil }
func (r *reading) RecvMsg(m any) error          { proto.Merge(m.(proto.Message), r.asks); return nil }

func (r *reading) SendMsg(m any) error { r.got = append(r.got, m.(proto.Message)); return nil }

// read reads a stream to its end.
func (l *library) read(ctx context.Context, who *access.Principal, method string, asks proto.Message) ([]proto.Message, error) {
	call := &access.Call{Principal: who, Opened: time.Now(), Stream: true}
	r := &reading{ctx: access.WithCall(ctx, call), asks: asks}
	err := l.Streams()[method](nil, r)
	return r.got, err
}

// records reads ReadRecords or TailRecords to the end.
func (l *library) records(who *access.Principal, method string, asks proto.Message) (all []*pb.Record, cursors []string, err error) {
	got, err := l.read(l.t.Context(), who, method, asks)
	for _, m := range got {
		switch m := m.(type) {
		case *pb.ReadRecordsResponse:
			all, cursors = append(all, m.GetRecords()...), append(cursors, m.GetCursors()...)
		case *pb.TailRecordsResponse:
			all = append(all, m.GetRecord())
		}
	}
	return all, cursors, err
}

func TestAnAuditorSeesHisModelsRecordsAlone(t *testing.T) {
	for name, c := range map[string]struct {
		who  func() *access.Principal
		want []string
	}{
		"all models":  {audra, []string{"5", "4", "3", "2", "1", "0"}},
		"some models": {hal, []string{"4", "3", "0"}}, // and none without a model
	} {
		t.Run(name, func(t *testing.T) {
			openLibrary(t, func(l *library) {
				if got := ids(l.search(c.who(), &pb.SearchRecordsRequest{}).GetRecords()); !slices.Equal(got, c.want) {
					t.Errorf("a search finds %v, want %v", got, c.want)
				}
				read, _, err := l.records(c.who(), readRecords, &pb.ReadRecordsRequest{NewestFirst: true})
				if got := ids(read); err != nil || !slices.Equal(got, c.want) {
					t.Errorf("a reading gives %v, %v, want %v", got, err, c.want)
				}
				tailed, _, _ := l.records(c.who(), tailRecords, &pb.TailRecordsRequest{Last: 100})
				slices.Reverse(tailed)
				if got := ids(tailed); !slices.Equal(got, c.want) {
					t.Errorf("a tail gives %v, want %v", got, c.want)
				}
				stats := ask[*pb.GetStatsResponse](l.desk, c.who(), getStats, &pb.GetStatsRequest{})
				if stats.GetCounted() != int64(len(c.want)) || !stats.GetComplete() {
					t.Errorf("counted are %v", stats)
				}
				for _, n := range stats.GetByModel() {
					if len(c.want) < 6 && !strings.HasPrefix(n.GetName(), "a-") {
						t.Errorf("he is told of %s", n.GetName())
					}
				}
				for i := range of {
					id := fmt.Sprint("log/", i)
					if slices.Contains(c.want, fmt.Sprint(i)) {
						if m := ask[*pb.GetRecordResponse](l.desk, c.who(), getRecord, &pb.GetRecordRequest{Id: id}); m.GetRecord().GetId() != id || len(m.GetRecord().GetEncoding()) == 0 {
							t.Errorf("%s is %v", id, m)
						}
						continue
					}
					l.refused(c.who(), getRecord, &pb.GetRecordRequest{Id: id}, access.NotFound, "no record \"log/"+fmt.Sprint(i)+"\", or not one that you may see")
					l.refused(c.who(), getPayload, &pb.GetPayloadRequest{Id: id}, access.NotFound, "or not one that you may see")
				}
			})
		})
	}
}

func TestWhoIsNoAuditorIsTheSameToEveryRecord(t *testing.T) {
	openLibrary(t, func(l *library) {
		for method, m := range map[string]proto.Message{
			searchRecords: &pb.SearchRecordsRequest{}, getRecord: &pb.GetRecordRequest{Id: "log/0"}, getPayload: &pb.GetPayloadRequest{Id: "log/0"},
			getStats: &pb.GetStatsRequest{}, listLogs: &pb.ListLogsRequest{}, listCheckpoints: &pb.ListCheckpointsRequest{}, lookUp: &pb.LookUpValueRequest{Value: "x"},
		} {
			l.refused(bob(), method, m, access.PermissionDenied, "")
		}
		for method, m := range map[string]proto.Message{readRecords: &pb.ReadRecordsRequest{}, tailRecords: &pb.TailRecordsRequest{}, readLeaves: &pb.ReadLeavesRequest{Replica: "log"}} {
			if got, err := l.read(l.t.Context(), bob(), method, m); reasonOf(err) != access.ReasonNoRole || len(got) > 0 {
				t.Errorf("%s: %v, %v", method, got, err)
			}
		}
		if len(l.said.asked) > 0 {
			t.Errorf("his question was looked for: %v", l.said.asked)
		}
	})
}

// TestTheWholeLogIsForAuditorsOfAllModels: hashes and sizes tell of records that are
// another's.
func TestTheWholeLogIsForAuditorsOfAllModels(t *testing.T) {
	openLibrary(t, func(l *library) {
		for method, m := range map[string]proto.Message{listLogs: &pb.ListLogsRequest{}, listCheckpoints: &pb.ListCheckpointsRequest{Replica: "log"}} {
			l.refused(hal(), method, m, access.PermissionDenied, "audit_read")
		}
		if _, err := l.read(l.t.Context(), hal(), readLeaves, &pb.ReadLeavesRequest{Replica: "log"}); reasonOf(err) != access.ReasonNoRole {
			t.Errorf("hashes: %v", err)
		}
		logs := ask[*pb.ListLogsResponse](l.desk, audra(), listLogs, &pb.ListLogsRequest{})
		if len(logs.GetLogs()) != 1 || logs.GetLogs()[0].GetSize() != 6 || !slices.Equal(logs.GetPublicKeys(), []string{"log+key"}) {
			t.Errorf("the logs are %v", logs)
		}
		got, err := l.read(l.t.Context(), audra(), readLeaves, &pb.ReadLeavesRequest{Replica: "log", From: 2})
		entries, _ := l.log.Entries()
		var leaves, want []byte
		for _, m := range got {
			leaves = append(leaves, m.(*pb.ReadLeavesResponse).GetLeaves()...)
		}
		for _, e := range entries[2:] {
			want = append(want, e.Leaf[:]...)
		}
		if err != nil || !slices.Equal(leaves, want) {
			t.Errorf("the hashes are not the log's: %v", err)
		}
	})
}

func TestWhatWasSaidNeedsAVerbOfItsOwn(t *testing.T) {
	openLibrary(t, func(l *library) {
		l.said.open = func(*audit.PayloadRef) (*payload.Content, error) {
			return &payload.Content{Complete: true, Frames: []payload.Frame{{Kind: payload.Failure, Message: []byte("no"), Masked: true, At: time.Second}}}, nil
		}
		l.refused(audra(), getPayload, &pb.GetPayloadRequest{Id: "log/0"}, access.PermissionDenied, "payload_read")
		l.refused(rita(), getPayload, &pb.GetPayloadRequest{Id: "log/2"}, access.NotFound, "")
		for _, who := range []*access.Principal{rita(), olga()} {
			m := ask[*pb.GetPayloadResponse](l.desk, who, getPayload, &pb.GetPayloadRequest{Id: "log/0"})
			if len(m.GetFrames()) != 1 || string(m.GetFrames()[0].GetMessage()) != "no" || !m.GetFrames()[0].GetMasked() || !m.GetComplete() || m.GetAbsent() != "" {
				t.Errorf("%s gets %v", who.Name, m)
			}
		}
		for what, c := range map[string]struct {
			err  error
			want string
		}{
			"nothing kept":   {audit.ErrNotFound, "nothing of it was to be kept"},
			"its time over":  {payload.ErrShredded, "its time is over"},
			"another's seal": {payload.ErrSealed, ""},
		} {
			l.said.open = func(*audit.PayloadRef) (*payload.Content, error) { return nil, c.err }
			answer, _, err := l.try(olga(), getPayload, &pb.GetPayloadRequest{Id: "log/0"})
			if m, _ := answer.(*pb.GetPayloadResponse); c.want != "" && (err != nil || !strings.Contains(m.GetAbsent(), c.want)) || c.want == "" && err == nil {
				t.Errorf("%s: %v, %v", what, answer, err)
			}
		}
	})
}

// TestReadingIsRecorded: the call's record says what was read, by which verb, and by
// whose decision; of a look-up not the value.
func TestReadingIsRecorded(t *testing.T) {
	openLibrary(t, func(l *library) {
		for name, c := range map[string]struct {
			who           *access.Principal
			method        string
			m             proto.Message
			verb          access.Verb
			model, object string
		}{
			"a search":            {audra(), searchRecords, &pb.SearchRecordsRequest{}, access.AuditRead, "", ""},
			"a record":            {hal(), getRecord, &pb.GetRecordRequest{Id: "log/0"}, access.AuditRead, "", "log/0"},
			"one that he may not": {hal(), getRecord, &pb.GetRecordRequest{Id: "log/2"}, access.AuditRead, "", "log/2"},
			"what was said":       {rita(), getPayload, &pb.GetPayloadRequest{Id: "log/0"}, access.PayloadRead, "a-1", "log/0"},
			"what he may not":     {audra(), getPayload, &pb.GetPayloadRequest{Id: "log/2"}, access.PayloadRead, "b-1", "log/2"},
			"a look-up":           {olga(), lookUp, &pb.LookUpValueRequest{Value: "4111111111111111"}, access.PayloadRead, "", ""},
			"all logs":            {audra(), listLogs, &pb.ListLogsRequest{}, access.AuditRead, "", ""},
		} {
			_, call, _ := l.try(c.who, c.method, c.m)
			if call.Verb != c.verb || call.Model != c.model || call.Object != c.object || call.Decision.Rule == "" {
				t.Errorf("%s: recorded is %v on %q of %q by %q", name, call.Verb, call.Model, call.Object, call.Decision.Rule)
			}
		}
	})
}

func TestPagesOfRecordsNeitherSkipNorRepeat(t *testing.T) {
	for name, c := range map[string]struct {
		who    func() *access.Principal
		oldest bool
		want   string
	}{
		"the newest first":                  {audra, false, "5 4 3 2 1 0"},
		"the oldest first, with what comes": {audra, true, "0 1 2 3 4 5 6 7 8"},
		"of some models":                    {hal, false, "4 3 0"},
		"of some models, the oldest first":  {hal, true, "0 3 4 6 8"},
	} {
		t.Run(name, func(t *testing.T) {
			openLibrary(t, func(l *library) {
				var got []string
				q := &pb.SearchRecordsRequest{PageSize: 1, OldestFirst: c.oldest}
				for page := 0; page < 20; page++ {
					m := l.search(c.who(), q)
					got = append(got, ids(m.GetRecords())...)
					if page == 1 {
						l.write("a-1", "b-1", "a-2")
					}
					if q.PageToken = m.GetNextPageToken(); q.GetPageToken() == "" {
						break
					}
				}
				if text := strings.Join(got, " "); text != c.want {
					t.Errorf("the pages have %s, want %s", text, c.want)
				}
			})
		})
	}
}

func TestForgedPlacesInTheLog(t *testing.T) {
	openLibrary(t, func(l *library) {
		for _, token := range []string{"x", "!", base64.RawURLEncoding.EncodeToString([]byte("sluice1:nonsense")), base64.RawURLEncoding.EncodeToString([]byte("5")), strings.Repeat("A", 5000)} {
			l.refused(audra(), searchRecords, &pb.SearchRecordsRequest{PageToken: token}, access.Malformed, "page_token is not one")
			l.refused(audra(), listCheckpoints, &pb.ListCheckpointsRequest{PageToken: token}, access.Malformed, "page_token is not one")
		}
		for _, after := range []string{"nonsense", strings.Repeat("1", 5000), "\x1b"} {
			if _, _, err := l.records(audra(), readRecords, &pb.ReadRecordsRequest{After: after}); reasonOf(err) != access.ReasonMalformed {
				t.Errorf("after %.20q: %v", after, err)
			}
		}
		// A token is a place and no right: with audra's, hal sees what is his.
		token := l.search(audra(), &pb.SearchRecordsRequest{PageSize: 1}).GetNextPageToken()
		if got := ids(l.search(hal(), &pb.SearchRecordsRequest{PageToken: token}).GetRecords()); !slices.Equal(got, []string{"4", "3", "0"}) {
			t.Errorf("with another's token hal sees %v", got)
		}
		for _, id := range []string{"", "log", "log/", "/1", "log/x", "log/-1", "log/99999999999999999999", strings.Repeat("l", 5000) + "/1"} {
			l.refused(audra(), getRecord, &pb.GetRecordRequest{Id: id}, access.Malformed, "")
			l.refused(olga(), getPayload, &pb.GetPayloadRequest{Id: id}, access.Malformed, "")
		}
		l.refused(audra(), getRecord, &pb.GetRecordRequest{Id: "log/99"}, access.NotFound, "no record")
		for _, size := range []int32{-1, 1001} {
			l.refused(audra(), searchRecords, &pb.SearchRecordsRequest{PageSize: size}, access.Malformed, "page_size")
		}
		for _, last := range []int32{-1, 1001} {
			if _, _, err := l.records(audra(), tailRecords, &pb.TailRecordsRequest{Last: last}); reasonOf(err) != access.ReasonMalformed {
				t.Errorf("a tail of %d: %v", last, err)
			}
		}
	})
}

func TestAQueryIsReadStrictly(t *testing.T) {
	openLibrary(t, func(l *library) {
		for words, q := range map[string]*pb.RecordQuery{
			"kinds[1]":                       {Kinds: []string{"call", "cal"}},
			"did you mean \"denied\"":        {Verdict: "denie"},
			"is not a verb":                  {Verb: "infre"},
			"is no gRPC code":                {Status: "NOPE"},
			"longer than 1024 bytes":         {Principal: strings.Repeat("x", 1025)},
			"control characters":             {Model: "a\x1b[2J"},
			"no word that is kept":           {Words: []string{"a"}},
			"query is longer than 1024 byte": {Kinds: slices.Repeat([]string{"call"}, 300)},
		} {
			l.refused(olga(), searchRecords, &pb.SearchRecordsRequest{Query: q}, access.Malformed, words)
			l.refused(olga(), getStats, &pb.GetStatsRequest{Query: q}, access.Malformed, words)
		}
		if got := ids(l.search(audra(), &pb.SearchRecordsRequest{Query: &pb.RecordQuery{Model: "a-1", Verdict: "allowed", Status: "ok", Verb: "infer", Kinds: []string{"call"}}}).GetRecords()); !slices.Equal(got, []string{"4", "0"}) {
			t.Errorf("found are %v", got)
		}
	})
}

// TestWordsAreOfWhatWasSaid: that a word finds a record tells of its payload.
func TestWordsAreOfWhatWasSaid(t *testing.T) {
	openLibrary(t, func(l *library) {
		q := &pb.RecordQuery{Words: []string{"invoice"}}
		for _, who := range []*access.Principal{audra(), rita()} {
			l.refused(who, searchRecords, &pb.SearchRecordsRequest{Query: q}, access.PermissionDenied, "payload_read")
			l.refused(who, getStats, &pb.GetStatsRequest{Query: q}, access.PermissionDenied, "payload_read")
			for method, m := range map[string]proto.Message{readRecords: &pb.ReadRecordsRequest{Query: q}, tailRecords: &pb.TailRecordsRequest{Query: q}} {
				if _, err := l.read(l.t.Context(), who, method, m); reasonOf(err) != access.ReasonNoRole {
					t.Errorf("%s by %s: %v", method, who.Name, err)
				}
			}
			l.refused(who, lookUp, &pb.LookUpValueRequest{Value: "4111"}, access.PermissionDenied, "payload_read")
		}
		if len(l.said.asked) > 0 {
			t.Errorf("it was looked for: %v", l.said.asked)
		}
		l.search(olga(), &pb.SearchRecordsRequest{Query: q})
		ask[*pb.LookUpValueResponse](l.desk, olga(), lookUp, &pb.LookUpValueRequest{Value: "4111"})
		if !slices.Equal(l.said.asked, []string{"invoice", "4111"}) {
			t.Errorf("looked for was %v", l.said.asked)
		}
		for _, value := range []string{"", strings.Repeat("4", 1025)} {
			l.refused(olga(), lookUp, &pb.LookUpValueRequest{Value: value}, access.Malformed, "value")
		}
	})
}
