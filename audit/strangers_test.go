package audit_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/audittest"
)

func TestStrangersCantFillTheDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := new(audittest.Memory)
		r := newRecorder(t, l)
		knock := func(peer string) {
			r.Stranger(&audit.Record{Kind: audit.KindLoginFailed, Verdict: audit.Denied, Time: time.Now(), Peer: netip.MustParseAddr(peer)})
		}
		for range 1000 {
			knock("10.0.0.1")
		}
		knock("10.0.0.2")
		for i := range 500 {
			knock(fmt.Sprintf("2001:db8::%x", i)) // one network: one caller
		}
		for i := range 5000 {
			knock(fmt.Sprintf("11.%d.%d.1", i/256, i%256))
		}
		time.Sleep(2 * time.Minute)
		entries, _ := l.Entries()
		single, counted := map[netip.Addr]int{}, map[netip.Addr]uint64{}
		total := uint64(0)
		for _, e := range entries {
			if e.Record.Kind == audit.KindStrangers {
				counted[e.Record.Peer] += e.Record.Count
				total += e.Record.Count
			} else {
				single[e.Record.Peer]++
				total++
			}
		}
		if total != 6501 || len(entries) > 1100 {
			t.Errorf("%d records stand for %d refusals", len(entries), total)
		}
		one, network := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("2001:db8::")
		if single[one] != 10 || counted[one] != 990 || counted[network] != 490 || counted[netip.Addr{}] < 3000 {
			t.Errorf("single %d, counted %v", single[one], counted)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Probes that are answered are no refusals, and don't use up what is told of those
// one by one; and what is only counted is told of before the process ends.
func TestProbesAreNotRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := new(audittest.Memory)
		r := newRecorder(t, l)
		from := netip.MustParseAddr("10.0.0.1") // a load balancer, say
		for range 30 {
			r.Stranger(&audit.Record{Kind: audit.KindCall, Verdict: audit.Allowed, Time: time.Now(), Peer: from})
		}
		for range 15 {
			r.Stranger(&audit.Record{Kind: audit.KindLoginFailed, Verdict: audit.Denied, Time: time.Now(), Peer: from})
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		got := map[string]uint64{}
		entries, _ := l.Entries()
		for _, e := range entries {
			got[fmt.Sprint(e.Record.Kind, " ", e.Record.Verdict)] += max(e.Record.Count, 1)
		}
		want := map[string]uint64{"call allowed": 10, "strangers allowed": 20, "login_failed denied": 10, "strangers denied": 5}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("recorded are %v, want %v", got, want)
		}
	})
}

// A full queue of strangers' refusals must not refuse those who are known.
func TestStrangersLeaveRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		l := &audittest.Memory{Before: func(context.Context, audit.Batch) error { <-hang; return nil }}
		r := newRecorder(t, l, queueOf(100))
		for i := range 1000 {
			r.Stranger(&audit.Record{Kind: audit.KindLoginFailed, Peer: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})})
		}
		if err := r.Admit(t.Context()); err != nil {
			t.Errorf("got %v", err)
		}
		close(hang)
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

// What is refused to somebody known takes no room that others need either: he has half
// of the queue, the rest is counted under his name; what others have done is written.
func TestRefusalsOfOneLeaveRoomForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		l := &audittest.Memory{Before: func(context.Context, audit.Batch) error { <-hang; return nil }}
		r := newRecorder(t, l, queueOf(100))
		refuse := func(who string, verdict audit.Verdict, change ...func(*audit.Record)) {
			record := &audit.Record{Kind: audit.KindCall, Issuer: "https://issuer", Subject: who, Verdict: verdict, Time: time.Now()}
			for _, f := range change {
				f(record)
			}
			r.Record(record, nil)
		}
		for range 1000 {
			refuse("mallory", audit.Denied)
		}
		if n := r.Status().Queued; n != 51 {
			t.Errorf("%d wait", n)
		}
		began := time.Now()
		for range 30 {
			if err := r.Admit(t.Context()); err != nil {
				t.Fatalf("another's call: %v", err)
			}
			r.Record(&audit.Record{Kind: audit.KindCall, Issuer: "https://issuer", Subject: "bob", Verdict: audit.Allowed}, nil)
		}
		refuse("bob", audit.Denied)
		refuse("mallory", audit.Failed, func(r *audit.Record) { r.Backend = "gpu" }) // it was done, as far as anybody knows
		if waited := time.Since(began); waited > 0 {
			t.Errorf("others waited for %v", waited)
		}
		close(hang)
		synctest.Wait()
		time.Sleep(time.Second)
		refuse("mallory", audit.Denied) // there is room again
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		got := map[string]uint64{}
		entries, _ := l.Entries()
		for _, e := range entries {
			got[fmt.Sprint(e.Record.Kind, " ", e.Record.Subject, " ", e.Record.Verdict)] += max(e.Record.Count, 1)
		}
		want := map[string]uint64{"call bob allowed": 30, "call bob denied": 1, "call mallory denied": 52, "call mallory failed": 1, "strangers mallory denied": 949}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("recorded are %v, want %v", got, want)
		}
	})
}
