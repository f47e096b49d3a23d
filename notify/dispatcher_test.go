package notify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/access/accesstest"
	"github.com/sluice-gateway/sluice/notify"
	"github.com/sluice-gateway/sluice/store"
	"github.com/sluice-gateway/sluice/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sink is a channel that remembers what it was sent, and when.
type sink struct {
	SendFunc func(ctx context.Context, m notify.Message) error

	mu   sync.Mutex
	got  []notify.Message
	when []time.Time
}

var _ notify.Channel = (*sink)(nil)

func (s *sink) Send(ctx context.Context, m notify.Message) error {
	s.mu.Lock()
	s.got, s.when = append(s.got, m), append(s.when, time.Now())
	s.mu.Unlock()
	if s.SendFunc != nil {
		return s.SendFunc(ctx, m)
	}
	return nil
}

func (s *sink) ids() (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.got {
		all = append(all, m.ID)
	}
	slices.Sort(all)
	return all
}

func entry(t *testing.T, name string, c notify.Channel, change func(*notify.Config)) *notify.Entry {
	t.Helper()
	cfg := notify.Config{Name: name}
	cfg.SetDefaults()
	if change != nil {
		change(&cfg)
	}
	texts, err := notify.NewTexts(cfg.Title, cfg.Text)
	if err != nil {
		t.Fatal(err)
	}
	return &notify.Entry{Config: cfg, Channel: c, Texts: texts}
}

func post(t *testing.T, s store.Store, id string, n access.Notification) {
	t.Helper()
	body, err := json.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(t.Context(), store.Change{Item: store.Item{Kind: notify.Kind, ID: id, State: notify.Due, Body: body}}); err != nil {
		t.Fatal(err)
	}
}

func left(t *testing.T, s store.Store) (all []string) {
	t.Helper()
	for _, kind := range []store.Kind{notify.Kind, notify.KindDelivery} {
		items, err := s.List(t.Context(), store.Query{Kind: kind})
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range items {
			all = append(all, string(kind)+" "+item.ID+" "+item.State)
		}
	}
	return all
}

// results counts how attempts ended.
type results struct {
	mu sync.Mutex
	n  map[string]int
}

func (r *results) add(channel, result string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n == nil {
		r.n = make(map[string]int)
	}
	r.n[channel+" "+result]++
}

// run runs a dispatcher in a bubble until stop.
func run(t *testing.T, s store.Store, o notify.Options, entries ...*notify.Entry) (d *notify.Dispatcher, stop func()) {
	t.Helper()
	d = notify.New(s, o)
	d.Replace(entries)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.Run(ctx)
	}()
	return d, func() { cancel(); <-done }
}

var asked = access.Notification{Event: access.EventRequested, Request: "r1", Requester: "i#alice", RequesterName: "alice", Verb: "unload", Model: "prod-simple", By: []string{"approvers"}}

func TestDispatcherSendsToWhoWantsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := storetest.NewMemory()
		defer func() { _ = s.Close() }()
		var all, denials, others, approvers sink
		_, stop := run(t, s, notify.Options{}, entry(t, "all", &all, nil),
			entry(t, "denials", &denials, func(c *notify.Config) { c.Events = []string{"denied"} }),
			entry(t, "others", &others, func(c *notify.Config) { c.Groups = []string{"somebody"} }),
			entry(t, "approvers", &approvers, func(c *notify.Config) { c.Groups = []string{"x", "approvers"} }))
		defer stop()
		start := time.Now()
		post(t, s, "1", asked)
		post(t, s, "2", access.Notification{Event: access.EventDenied, By: []string{"approvers"}})
		post(t, s, "3", access.Notification{Event: access.EventBreakGlass})
		synctest.Wait()
		for name, c := range map[string]struct {
			sink *sink
			want []string
		}{"all": {&all, []string{"1", "2", "3"}}, "denials": {&denials, []string{"2"}}, "others": {&others, []string{"3"}}, "approvers": {&approvers, []string{"1", "2", "3"}}} {
			if got := c.sink.ids(); !slices.Equal(got, c.want) {
				t.Errorf("%s got %v, want %v", name, got, c.want)
			}
		}
		if rest := left(t, s); len(rest) > 0 || time.Since(start) > 0 {
			t.Errorf("after %v there is left: %v", time.Since(start), rest)
		}
	})
}

// TestReplicasSendOnce: each of many is sent by one of the replicas, once.
func TestReplicasSendOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many = 300
		s := storetest.NewMemory()
		var one, other sink
		for _, c := range []*sink{&one, &other} {
			c.SendFunc = func(context.Context, notify.Message) error { time.Sleep(50 * time.Millisecond); return nil }
		}
		replica := s.Again()
		defer func() { _, _ = s.Close(), replica.Close() }()
		_, stop := run(t, s, notify.Options{}, entry(t, "a", &one, nil))
		defer stop()
		_, stop2 := run(t, replica, notify.Options{}, entry(t, "a", &other, nil))
		defer stop2()
		for i := range many {
			post(t, s, fmt.Sprintf("%04d", i), asked)
		}
		time.Sleep(time.Minute)
		got := slices.Sorted(slices.Values(append(one.ids(), other.ids()...)))
		if len(got) != many || len(slices.Compact(slices.Clone(got))) != many {
			t.Errorf("%d were sent %d times", many, len(got))
		}
		if rest := left(t, s); len(rest) > 0 {
			t.Errorf("left: %v", rest)
		}
	})
}

// TestFailingChannel: one that fails is tried again after longer and longer
// pauses, and the others get nothing twice.
func TestFailingChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := storetest.NewMemory()
		defer func() { _ = s.Close() }()
		good, bad := sink{}, sink{SendFunc: func(context.Context, notify.Message) error { return errors.New("the answer is 503") }}
		var r results
		var log accesstest.Log
		_, stop := run(t, s, notify.Options{Sent: r.add, Logger: slog.New(slog.NewTextHandler(&log, nil))}, entry(t, "good", &good, nil),
			entry(t, "bad", &bad, func(c *notify.Config) { c.GiveUp = 2 * time.Hour }))
		post(t, s, "1", asked)
		time.Sleep(3 * time.Hour)
		stop()
		if len(good.ids()) != 1 {
			t.Errorf("the good channel got %v", good.ids())
		}
		n := len(bad.when)
		if n < 10 || n > 30 {
			t.Errorf("%d attempts in two hours", n)
		}
		for i := 1; i < n; i++ {
			pause := bad.when[i].Sub(bad.when[i-1])
			most := min(5*time.Second<<(i-1), 15*time.Minute)
			// A watch polls every 5 s, which is added to the pause at most.
			if pause < most/2 || pause > most+2*store.Poll {
				t.Errorf("pause %d is %v, want up to %v", i, pause, most)
			}
		}
		if want := []string{"notification_delivery 1.bad failed"}; !slices.Equal(left(t, s), want) {
			t.Errorf("left: %v", left(t, s))
		}
		if r.n["good sent"] != 1 || r.n["bad failed"] != n || r.n["bad gave_up"] != 1 {
			t.Errorf("results: %v", r.n)
		}
		if !strings.Contains(log.String(), "will not be") || strings.Contains(log.String(), "prod-simple") {
			t.Errorf("log: %s", log.String())
		}
	})
}

// TestFailedIsKeptForAWhile: somebody can see why, and then it goes.
func TestFailedIsKeptForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := storetest.NewMemory()
		defer func() { _ = s.Close() }()
		bad := sink{SendFunc: func(context.Context, notify.Message) error { return errors.New("no") }}
		_, stop := run(t, s, notify.Options{}, entry(t, "bad", &bad, func(c *notify.Config) { c.GiveUp = time.Minute }))
		defer stop()
		post(t, s, "1", asked)
		if err := s.Apply(t.Context(), store.Change{Item: store.Item{Kind: notify.Kind, ID: "2", State: notify.Due, Body: []byte("{")}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if want := []string{"notification 2 failed", "notification_delivery 1.bad failed"}; !slices.Equal(left(t, s), want) {
			t.Errorf("after an hour: %v", left(t, s))
		}
		time.Sleep(8 * 24 * time.Hour)
		if rest := left(t, s); len(rest) > 0 {
			t.Errorf("after a week: %v", rest)
		}
	})
}

// TestReplicaDies: what one had begun to send another sends when its lease ends.
func TestReplicaDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := storetest.NewMemory()
		replica := s.Again()
		defer func() { _, _ = s.Close(), replica.Close() }()
		dying := sink{SendFunc: func(ctx context.Context, _ notify.Message) error { <-ctx.Done(); return ctx.Err() }}
		var alive sink
		_, stop := run(t, s, notify.Options{}, entry(t, "a", &dying, nil))
		post(t, s, "1", asked)
		synctest.Wait()
		stop()
		start := time.Now()
		_, stop = run(t, replica, notify.Options{}, entry(t, "a", &alive, nil))
		defer stop()
		time.Sleep(time.Minute)
		if !slices.Equal(alive.ids(), []string{"1"}) || alive.when[0].Sub(start) > 40*time.Second {
			t.Errorf("got %v at %v", alive.ids(), alive.when)
		}
	})
}

// TestSlowChannel: one that hangs is given up each time, and keeps nobody else.
func TestSlowChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := storetest.NewMemory()
		defer func() { _ = s.Close() }()
		hangs := sink{SendFunc: func(ctx context.Context, _ notify.Message) error { <-ctx.Done(); return ctx.Err() }}
		var good sink
		_, stop := run(t, s, notify.Options{}, entry(t, "hangs", &hangs, nil), entry(t, "good", &good, nil))
		defer stop()
		for i := range 50 {
			post(t, s, fmt.Sprint(i), asked)
		}
		time.Sleep(time.Second)
		if len(good.ids()) != 50 {
			t.Errorf("the good channel got %d", len(good.ids()))
		}
		if len(hangs.ids()) > 4 {
			t.Errorf("%d at once to one channel", len(hangs.ids()))
		}
	})
}

func TestStoreAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := storetest.NewMemory()
		defer func() { _ = s.Close() }()
		var c sink
		var log accesstest.Log
		_, stop := run(t, s, notify.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}, entry(t, "a", &c, nil))
		defer stop()
		synctest.Wait()
		s.SetAway(true)
		time.Sleep(time.Minute)
		s.SetAway(false)
		post(t, s, "1", asked)
		synctest.Wait()
		if len(c.ids()) != 1 || strings.Count(log.String(), "wait in the store") != 1 {
			t.Errorf("got %v; log: %s", c.ids(), log.String())
		}
		// One that can be read and not written is not asked again and again.
		var calls atomic.Int64
		s.Before(func(op string, changes []store.Change) error {
			calls.Add(1)
			if op == "apply" && changes[0].Kind != "other" {
				return store.Away(errors.New("the disk is full"))
			}
			return nil
		})
		if err := s.Again().Apply(t.Context(), store.Change{Item: store.Item{
			Kind: notify.KindDelivery, ID: "2.a", Owner: "a", State: notify.Due, Expires: time.Now(), Body: []byte(`{"id":"2"}`),
		}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if calls.Load() > 200 || len(c.ids()) != 1 {
			t.Errorf("%d calls in a minute, sent %v", calls.Load(), c.ids())
		}
	})
}

func TestNobodyIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := storetest.NewMemory()
		defer func() { _ = s.Close() }()
		d, stop := run(t, s, notify.Options{})
		defer stop()
		post(t, s, "1", asked)
		synctest.Wait()
		if rest := left(t, s); len(rest) > 0 {
			t.Errorf("without channels the outbox grows: %v", rest)
		}
		// A channel that a reload takes away leaves nothing for ever.
		bad := sink{SendFunc: func(context.Context, notify.Message) error { return errors.New("no") }}
		d.Replace([]*notify.Entry{entry(t, "bad", &bad, nil)})
		post(t, s, "2", asked)
		synctest.Wait()
		d.Replace(nil)
		time.Sleep(31 * 24 * time.Hour)
		if rest := left(t, s); len(rest) > 0 {
			t.Errorf("left of a channel that is gone: %v", rest)
		}
	})
}
