package audit_test

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/audit"
)

// kept is a log and its marks, in memory: as much of them as a forwarder asks for.
type kept struct {
	audit.Log
	mu      sync.Mutex
	entries []audit.Entry
	marks   map[string]string
	broken  error
	damaged *audit.DamagedError // comes before its place in the log
}

func (k *kept) add(from, n uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for seq := from; seq < from+n; seq++ {
		k.entries = append(k.entries, audit.Entry{Record: &audit.Record{Replica: "r1", Seq: seq}})
	}
}

func (k *kept) Search(_ context.Context, q audit.Query) iter.Seq2[audit.Found, error] {
	k.mu.Lock()
	defer k.mu.Unlock()
	all, err, damaged := slices.Clone(k.entries), k.broken, k.damaged
	return func(yield func(audit.Found, error) bool) {
		if err != nil {
			yield(audit.Found{}, err)
			return
		}
		given := 0
		for _, e := range all {
			cursor := strconv.FormatUint(e.Record.Seq, 10)
			after, _ := strconv.Atoi(q.After)
			if q.After != "" && int(e.Record.Seq) <= after || given == q.Limit {
				continue
			}
			given++
			if d := damaged; d != nil && e.Record.Seq == d.Last+1 && !yield(audit.Found{}, d) {
				return
			}
			if !yield(audit.Found{Entry: e, Cursor: cursor}, nil) {
				return
			}
		}
	}
}

func (k *kept) Mark(_ context.Context, name string) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.marks[name], nil
}

func (k *kept) SetMark(_ context.Context, name, cursor string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.marks[name] = cursor
	return nil
}

// place is a sink that keeps the seqs it takes.
type place struct {
	mu    sync.Mutex
	seqs  []uint64
	fails func(try int, ctx context.Context) error
	tries int
}

func (p *place) Name() string { return "place" }
func (p *place) Close() error { return nil }

func (p *place) Send(ctx context.Context, batch []audit.Entry) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tries++
	if p.fails != nil {
		if err := p.fails(p.tries, ctx); err != nil {
			return err
		}
	}
	for _, e := range batch {
		p.seqs = append(p.seqs, e.Record.Seq)
	}
	return nil
}

func (p *place) got() []uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.seqs)
}

// forward runs a forwarder in a bubble, beside what the test does.
func forward(t *testing.T, p *place, test func(k *kept, f *audit.Forwarder)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		k := &kept{marks: map[string]string{}}
		f := &audit.Forwarder{Log: k, Marks: k, Replica: "r1", Sink: p, Logger: slog.New(slog.DiscardHandler)}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { f.Run(ctx) })
		test(k, f)
		cancel()
		running.Wait()
	})
}

func want(t *testing.T, p *place, n uint64) {
	t.Helper()
	got := p.got()
	if uint64(len(got)) != n || !slices.IsSorted(got) || len(slices.Compact(got)) != int(n) {
		t.Errorf("the sink has %d records, want %d, each once and in order", len(got), n)
	}
}

func TestWhatIsInTheLogGetsToTheSink(t *testing.T) {
	p := new(place)
	forward(t, p, func(k *kept, f *audit.Forwarder) {
		k.add(0, 2000)
		time.Sleep(2 * time.Second)
		want(t, p, 2000)
		k.add(2000, 1)
		time.Sleep(2 * time.Second)
		want(t, p, 2001)
		if s := f.Status(); s.Sent != 2001 || s.Lost != 0 || s.Next != 2001 || !s.Failing.IsZero() {
			t.Errorf("status %+v", s)
		}
	})
}

func TestAProcessGoesOnWhereTheOneBeforeWas(t *testing.T) {
	p := new(place)
	forward(t, p, func(k *kept, _ *audit.Forwarder) {
		k.marks["place"] = "9"
		k.add(0, 20)
		time.Sleep(2 * time.Second)
		if got := p.got(); len(got) != 10 || got[0] != 10 {
			t.Errorf("got %v", got)
		}
	})
}

func TestASinkThatFailsGetsTheSameAgain(t *testing.T) {
	p := &place{fails: func(try int, _ context.Context) error {
		if try <= 5 {
			return errors.New("away")
		}
		return nil
	}}
	forward(t, p, func(k *kept, f *audit.Forwarder) {
		k.add(0, 10)
		time.Sleep(time.Second)
		if f.Status().Failing.IsZero() {
			t.Error("is not said to fail")
		}
		time.Sleep(time.Minute)
		want(t, p, 10)
		if !f.Status().Failing.IsZero() {
			t.Error("is said to fail for ever")
		}
	})
}

func TestASinkThatHangsIsTriedAnew(t *testing.T) {
	p := &place{fails: func(try int, ctx context.Context) error {
		if try == 1 {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}}
	forward(t, p, func(k *kept, _ *audit.Forwarder) {
		k.add(0, 10)
		time.Sleep(time.Minute)
		want(t, p, 10)
	})
}

func TestWhatWasPrunedBeforeItWasSentIsCounted(t *testing.T) {
	p := new(place)
	forward(t, p, func(k *kept, f *audit.Forwarder) {
		k.add(0, 10)
		time.Sleep(2 * time.Second)
		k.add(25, 5)
		time.Sleep(2 * time.Second)
		if s := f.Status(); s.Lost != 15 || s.Sent != 15 {
			t.Errorf("status %+v", s)
		}
	})
}

func TestWhatIsDamagedInTheLogIsPassedOver(t *testing.T) {
	p := new(place)
	forward(t, p, func(k *kept, f *audit.Forwarder) {
		k.add(0, 10)
		time.Sleep(2 * time.Second)
		k.mu.Lock()
		k.damaged = &audit.DamagedError{Replica: "r1", First: 10, Last: 14}
		k.mu.Unlock()
		k.add(15, 5)
		time.Sleep(2 * time.Second)
		if s := f.Status(); s.Lost != 5 || s.Sent != 15 || !s.Failing.IsZero() {
			t.Errorf("status %+v", s)
		}
	})
}

func TestALogThatCantBeReadIsReadAgain(t *testing.T) {
	p := new(place)
	forward(t, p, func(k *kept, _ *audit.Forwarder) {
		k.mu.Lock()
		k.broken = errors.New("disk")
		k.mu.Unlock()
		k.add(0, 3)
		time.Sleep(5 * time.Second)
		want(t, p, 0)
		k.mu.Lock()
		k.broken = nil
		k.mu.Unlock()
		time.Sleep(time.Minute)
		want(t, p, 3)
	})
}
