package admin_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
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

func (torn) Search(context.Context, audit.Query) iter.Seq2[audit.Found, error] {
	return func(yield func(audit.Found, error) bool) {
		yield(audit.Found{}, &audit.DamagedError{Replica: "log", First: 3, Last: 5, Cause: fmt.Errorf("page 7 of /var/lib/x is torn")})
	}
}

func TestADamagedLogSaysWhere(t *testing.T) {
	openLibrary(t, func(l *library) {
		l.options.Log = torn{l.log}
		l.use(l.options)
		l.refused(audra(), searchRecords, &pb.SearchRecordsRequest{}, access.Unavailable, "records 3 to 5 of log log are damaged on disk")
		_, _, err := l.try(audra(), getStats, &pb.GetStatsRequest{})
		if e, ok := access.AsError(err); !ok || strings.Contains(e.Message, "/var/lib") {
			t.Errorf("the path is told: %v", err)
		}
		if _, _, err := l.records(audra(), readRecords, &pb.ReadRecordsRequest{}); reasonOf(err) != access.ReasonAuditAway {
			t.Errorf("a reading: %v", err)
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
