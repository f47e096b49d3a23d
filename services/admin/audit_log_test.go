package admin_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/audittest"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
	"github.com/sluice-gateway/sluice/services/admin"
)

func TestAReadingGoesOnAfterEachCursor(t *testing.T) {
	openLibrary(t, func(l *library) {
		all, cursors, err := l.records(audra(), readRecords, &pb.ReadRecordsRequest{})
		if err != nil || len(all) != 6 || len(cursors) != 6 {
			t.Fatalf("%d records, %d cursors, %v", len(all), len(cursors), err)
		}
		for i, cursor := range cursors {
			rest, _, err := l.records(audra(), readRecords, &pb.ReadRecordsRequest{After: cursor, Limit: 2})
			if want := ids(all[i+1 : min(i+3, 6)]); err != nil || !slices.Equal(ids(rest), want) {
				t.Errorf("after %d come %v, %v, want %v", i, ids(rest), err, want)
			}
		}
		entries, _ := l.log.Entries()
		for i, r := range all {
			if !slices.Equal(r.GetEncoding(), entries[i].Bytes) || !slices.Equal(r.GetLeaf(), entries[i].Leaf[:]) || r.GetFields() != nil {
				t.Errorf("record %d is not as it was written", i)
			}
		}
	})
}

// TestAReadingSaysWhereARecordIs: one that was put in another's place would else
// say itself that it belongs there.
func TestAReadingSaysWhereARecordIs(t *testing.T) {
	openLibrary(t, func(l *library) {
		l.log.Change(func(entries *[]audit.Entry, _ *[]audit.Checkpoint) {
			e := *entries
			e[1].Record, e[1].Bytes = e[4].Record, e[4].Bytes
		})
		all, _, err := l.records(audra(), readRecords, &pb.ReadRecordsRequest{})
		if err != nil || all[1].GetId() != "log/1" {
			t.Errorf("the second record is %s, %v", all[1].GetId(), err)
		}
	})
}

func TestATailEndsWithItsTokenAndTellsOfEachRecord(t *testing.T) {
	openLibrary(t, func(l *library) {
		began := time.Now()
		go func() {
			for range 3 {
				time.Sleep(10 * time.Minute)
				l.write("a-1", "b-1")
			}
		}()
		got, _, err := l.records(hal(), tailRecords, &pb.TailRecordsRequest{Last: 1})
		if reasonOf(err) != access.ReasonTokenExpired || time.Since(began) != time.Hour {
			t.Errorf("ended after %v with %v, want the token's hour", time.Since(began), err)
		}
		if !slices.Equal(ids(got), []string{"4", "6", "8", "10"}) {
			t.Errorf("told was of %v", ids(got))
		}
	})
}

func TestReadingsEndWithTheirCallerAndTheGateway(t *testing.T) {
	openLibrary(t, func(l *library) {
		ctx, cancel := context.WithCancel(l.t.Context())
		over := make(chan error)
		go func() {
			_, err := l.read(ctx, audra(), tailRecords, &pb.TailRecordsRequest{})
			over <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-over; err != context.Canceled {
			t.Errorf("ended by its caller with %v", err)
		}
		done := make(chan struct{})
		l.options.Done = done
		l.use(l.options)
		go func() {
			_, err := l.read(l.t.Context(), audra(), tailRecords, &pb.TailRecordsRequest{})
			over <- err
		}()
		synctest.Wait()
		close(done)
		if err := <-over; reasonOf(err) != access.ReasonAuditAway {
			t.Errorf("ended by the gateway with %v", err)
		}
	})
}

// torn is a log of which some records can't be read.
type torn struct{ *audittest.Memory }

func (l torn) Search(ctx context.Context, q audit.Query) iter.Seq2[audit.Found, error] {
	return func(yield func(audit.Found, error) bool) {
		for f, err := range l.Memory.Search(ctx, q) {
			switch {
			case f.Place == 3 && !yield(audit.Found{}, &audit.DamagedError{Replica: "log", First: 3, Last: 4, Cause: errors.New("page 7 of /var/lib/x is torn")}):
				return
			case f.Place == 3 || f.Place == 4:
			case !yield(f, err):
				return
			}
		}
	}
}

func TestADamagedLogSaysWhere(t *testing.T) {
	openLibrary(t, func(l *library) {
		l.options.Log = torn{l.log}
		l.use(l.options)
		places := func(all []*pb.Damage, records int64) string {
			return fmt.Sprintf("%d: %s:%d-%d", records, all[0].GetReplica(), all[0].GetFirst(), all[0].GetLast())
		}
		for _, oldest := range []bool{true, false} {
			found, _, err := l.try(audra(), searchRecords, &pb.SearchRecordsRequest{OldestFirst: oldest})
			if err != nil {
				t.Fatal(err)
			}
			page := found.(*pb.SearchRecordsResponse)
			if at := places(page.GetDamaged(), page.GetDamagedRecords()); len(page.GetRecords()) != 4 || at != "2: log:3-4" {
				t.Errorf("oldest %v: %v are found, and damaged are %s", oldest, ids(page.GetRecords()), at)
			}
		}
		got, _, err := l.try(audra(), getStats, &pb.GetStatsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		stats := got.(*pb.GetStatsResponse)
		if at := places(stats.GetDamaged(), stats.GetDamagedRecords()); stats.GetCounted() != 4 || at != "2: log:3-4" {
			t.Errorf("%d are counted, and damaged are %s", stats.GetCounted(), at)
		}
		// A reading says it in its place, and goes on behind it.
		read, err := l.read(l.t.Context(), audra(), readRecords, &pb.ReadRecordsRequest{})
		var order []string
		for _, m := range read {
			m := m.(*pb.ReadRecordsResponse)
			if d := m.GetDamaged(); d != nil {
				order = append(order, fmt.Sprintf("%s:%d-%d", d.GetReplica(), d.GetFirst(), d.GetLast()))
			}
			order = append(order, ids(m.GetRecords())...)
		}
		if err != nil || !slices.Equal(order, []string{"0", "1", "2", "log:3-4", "5"}) {
			t.Errorf("a reading gives %v, %v", order, err)
		}
	})
}

func TestAGatewayWithoutALogSaysSo(t *testing.T) {
	openLibrary(t, func(l *library) {
		l.options.Said = nil
		l.use(l.options)
		l.refused(olga(), getPayload, &pb.GetPayloadRequest{Id: "log/0"}, access.Unavailable, "no key to open payloads with")
		l.refused(olga(), lookUp, &pb.LookUpValueRequest{Value: "x"}, access.Unavailable, "no key to open payloads with")
		l.options.Log = nil
		l.use(l.options)
		for method, m := range map[string]proto.Message{searchRecords: &pb.SearchRecordsRequest{}, getRecord: &pb.GetRecordRequest{Id: "log/0"}, listLogs: &pb.ListLogsRequest{}} {
			l.refused(olga(), method, m, access.Unavailable, "records no calls")
		}
	})
}

func TestFewReadingsOfOneAreOpenAtOnce(t *testing.T) {
	openLibrary(t, func(l *library) {
		ctx, cancel := context.WithCancel(l.t.Context())
		over := make(chan error, admin.MaxWatchesPerPrincipal)
		for range admin.MaxWatchesPerPrincipal {
			go func() {
				_, err := l.read(ctx, audra(), tailRecords, &pb.TailRecordsRequest{})
				over <- err
			}()
		}
		synctest.Wait()
		if _, _, err := l.records(audra(), readRecords, &pb.ReadRecordsRequest{}); reasonOf(err) != access.ReasonStreams {
			t.Errorf("one more: %v", err)
		}
		if _, _, err := l.records(olga(), readRecords, &pb.ReadRecordsRequest{}); err != nil {
			t.Errorf("another's: %v", err)
		}
		cancel()
		for range admin.MaxWatchesPerPrincipal {
			<-over
		}
		if _, _, err := l.records(audra(), readRecords, &pb.ReadRecordsRequest{}); err != nil {
			t.Errorf("when those have ended: %v", err)
		}
	})
}
