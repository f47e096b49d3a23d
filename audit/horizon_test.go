package audit_test

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/access/accesstest"
	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/audittest"
	"github.com/sluice-gateway/sluice/audit/merkle"
)

const retained = 30 * 24 * time.Hour

// machine is one whose clock can be set; the time that it counts itself can't.
type machine struct {
	t     *testing.T
	log   audit.Log
	key   string
	ahead atomic.Int64
	said  accesstest.Log
	trust string
	// forever keeps the log's records for ever; watch has the clock watched all the same.
	forever, watch bool
}

func newMachine(t *testing.T, log audit.Log) *machine {
	return &machine{t: t, log: log, key: filepath.Join(t.TempDir(), "audit.key")}
}

func (m *machine) now() time.Time          { return time.Now().Add(time.Duration(m.ahead.Load())) }
func (m *machine) set(ahead time.Duration) { m.ahead.Store(int64(ahead)) }

// start starts the gateway, which records its start.
func (m *machine) start() *audit.Recorder {
	m.t.Helper()
	key, err := merkle.OpenKey(m.key)
	if err != nil {
		m.t.Fatal(err)
	}
	o := audit.Options{Log: m.log, Key: key, Logger: slog.New(slog.NewTextHandler(&m.said, nil)), Now: m.now}
	o.Config.SetDefaults()
	o.Config.Retain, o.Config.TrustClock, o.WatchClock = retained, m.trust, m.watch
	if m.forever {
		o.Config.Retain = 0
	}
	r, err := audit.NewRecorder(m.t.Context(), o)
	if err != nil {
		m.t.Fatal(err)
	}
	m.record(r, audit.KindStart)
	return r
}

func (m *machine) record(r *audit.Recorder, kind audit.Kind) {
	m.t.Helper()
	if err := r.Write(m.t.Context(), &audit.Record{Kind: kind, Time: m.now(), Verdict: audit.Allowed}, nil); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) stop(r *audit.Recorder) {
	m.t.Helper()
	if err := r.Close(); err != nil {
		m.t.Error(err)
	}
}

// wantHeld wants nothing to be destroyed, or everything as ever.
func (m *machine) wantHeld(r *audit.Recorder, when string, held bool) {
	m.t.Helper()
	before, ok := r.Horizon()
	if ok == held || (r.Status().Doubt > 0) != held || !before.Equal(m.now().Add(-retained)) {
		m.t.Errorf("%s: destroyed: %v (before %v), in doubt for %v more", when, ok, before, r.Status().Doubt)
	}
}

// TestAClockInDoubtDestroysNothing for a day in which the gateway runs.
func TestAClockInDoubtDestroysNothing(t *testing.T) {
	for name, c := range map[string]struct {
		steps []time.Duration // how far the clock is ahead, an hour after the step before
		held  bool
	}{
		"right":                         {nil, false},
		"a little ahead":                {[]time.Duration{time.Hour}, false},
		"ahead":                         {[]time.Duration{time.Hour + time.Second}, true},
		"years ahead":                   {[]time.Duration{40 * 365 * 24 * time.Hour}, true},
		"centuries ahead":               {[]time.Duration{280 * 365 * 24 * time.Hour}, true},
		"ahead in small steps":          {[]time.Duration{30 * time.Minute, 59 * time.Minute, 61 * time.Minute}, true},
		"ahead and right again":         {[]time.Duration{retained, 0}, true},
		"put back":                      {[]time.Duration{-retained}, false},
		"put back by years":             {[]time.Duration{-40 * 365 * 24 * time.Hour}, false},
		"put back and right again":      {[]time.Duration{-retained, 0}, true}, // what it dated meanwhile looks old
		"back and forth, never far off": {[]time.Duration{30 * time.Minute, 0, 30 * time.Minute, 0, 30 * time.Minute}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine(t, new(audittest.Memory))
				r := m.start()
				m.wantHeld(r, "at the start", false)
				for _, step := range c.steps {
					time.Sleep(time.Hour)
					m.set(step)
					time.Sleep(2 * time.Second)
				}
				m.wantHeld(r, "when it was set", c.held)
				if said := strings.Contains(m.said.String(), "level=WARN msg=\"the clock is in doubt"); said != c.held {
					t.Errorf("the log says %s", m.said.String())
				}
				time.Sleep(22 * time.Hour)
				m.wantHeld(r, "22 hours later", c.held)
				time.Sleep(3 * time.Hour)
				m.wantHeld(r, "a day later", false)
				m.stop(r)
			})
		})
	}
}

// TestAClockIsWatchedForOthers who destroy by it, where the log itself is kept for ever;
// where nobody does, nothing is said of it.
func TestAClockIsWatchedForOthers(t *testing.T) {
	for name, watch := range map[string]bool{"watched": true, "nobody asks": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := new(audittest.Memory)
				m := newMachine(t, log)
				m.forever, m.watch = true, watch
				want := func(r *audit.Recorder, when string, doubt bool) {
					t.Helper()
					if _, ok := r.Horizon(); ok || r.Believed() == (doubt && watch) || (r.Status().Doubt > 0) != (doubt && watch) {
						t.Errorf("%s: records are pruned: %v, believed: %v, in doubt for %v", when, ok, r.Believed(), r.Status().Doubt)
					}
				}
				r := m.start()
				want(r, "at the start", false)
				m.set(retained)
				want(r, "when it was set", true)
				m.record(r, audit.KindAdmin)
				m.stop(r)
				r = m.start()
				want(r, "after a restart", true)
				time.Sleep(25 * time.Hour)
				want(r, "a day later", false)
				m.stop(r)
				time.Sleep(6 * 24 * time.Hour)
				r = m.start()
				want(r, "off for six days", false)
				m.stop(r)
				time.Sleep(8 * 24 * time.Hour)
				r = m.start()
				want(r, "off for eight days", true)
				m.stop(r)
				if said := m.said.String(); strings.Contains(said, "the clock") != watch {
					t.Errorf("the log says %s", said)
				}
			})
		})
	}
}

// TestAClockThatIsSetBetweenTwoAsks is seen by who asks, not only from time to time.
func TestAClockThatIsSetBetweenTwoAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, new(audittest.Memory))
		r := m.start()
		m.wantHeld(r, "at the start", false)
		m.set(retained)
		m.wantHeld(r, "at once", true)
		m.stop(r)
	})
}

// TestAStartLongAfterTheLastSignatureWaits: either nobody ran the gateway, and a day more
// does no harm, or the clock was set meanwhile.
func TestAStartLongAfterTheLastSignatureWaits(t *testing.T) {
	for name, c := range map[string]struct {
		away, ahead time.Duration
		held        bool
	}{
		"off for a night":              {12 * time.Hour, 0, false},
		"off for six days":             {6 * 24 * time.Hour, 0, false},
		"off for eight days":           {8 * 24 * time.Hour, 0, true},
		"set ahead while it was off":   {time.Minute, retained, true},
		"set back while it was off":    {time.Minute, -retained, false},
		"off, and the clock put back":  {8 * 24 * time.Hour, -8 * 24 * time.Hour, false},
		"ahead by what it may be away": {time.Minute, 6 * 24 * time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine(t, new(audittest.Memory))
				m.stop(m.start())
				time.Sleep(c.away)
				m.set(c.ahead)
				r := m.start()
				m.wantHeld(r, "at the start", c.held)
				m.stop(r)
			})
		})
	}
}

// TestTheWaitOutlivesRestarts: the start of before is dated by the wrong clock, and the
// next one is not misled by it; hours that it ran count.
func TestTheWaitOutlivesRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(audittest.Memory)
		m := newMachine(t, log)
		m.stop(m.start())
		m.set(retained)
		for range 4 {
			r := m.start()
			m.wantHeld(r, "after a restart", true)
			time.Sleep(5*time.Hour + 30*time.Minute)
			m.wantHeld(r, "while it runs", true)
			m.stop(r)
			time.Sleep(time.Hour) // counts for nothing
		}
		r := m.start()
		time.Sleep(time.Hour + 50*time.Minute)
		m.wantHeld(r, "before a day is over", true)
		time.Sleep(20 * time.Minute)
		m.wantHeld(r, "after a day", false)
		m.stop(r)
		r = m.start()
		m.wantHeld(r, "after another restart", false)
		m.stop(r)
		key, err := merkle.OpenKey(m.key)
		if err != nil {
			t.Fatal(err)
		}
		report, err := audit.Verify(t.Context(), log, audit.VerifyOptions{Keys: []string{key.Public()}})
		if err != nil || len(report.Findings) > 0 {
			t.Errorf("verified: %+v, %v", report, err)
		}
	})
}

// TestAProcessThatIsKilledRemembers: what says that the clock is in doubt is in the log,
// signed, with the first record that a wrong clock has dated, or before it.
func TestAProcessThatIsKilledRemembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(audittest.Memory)
		m := newMachine(t, log)
		r := m.start()
		wrong := time.Now().Add(retained)
		m.set(retained)
		m.record(r, audit.KindAdmin)
		entries, _ := log.Entries()
		for _, e := range entries {
			if e.Record.Time.Before(wrong) {
				continue
			}
			if e.Record.Kind != audit.KindPrune || e.Record.Verdict != audit.Held || e.Record.Object != "clock" {
				t.Fatalf("the first of a wrong clock is %+v", e.Record)
			}
			break
		}
		// It is killed here: another one finds the log as it is.
		m.log = copyOf(log)
		again := m.start()
		m.wantHeld(again, "after it was killed", true)
		m.stop(again)
		m.stop(r)
	})
}

func copyOf(log *audittest.Memory) *audittest.Memory {
	again := new(audittest.Memory)
	var entries []audit.Entry
	var checkpoints []audit.Checkpoint
	log.Change(func(e *[]audit.Entry, c *[]audit.Checkpoint) { entries, checkpoints = *e, *c })
	last := checkpoints[len(checkpoints)-1]
	_ = again.Append(context.Background(), audit.Batch{Replica: last.Replica, Entries: entries, Checkpoint: &last})
	return again
}

// TestWhatCanNotBeReadIsDoubt: of a log that does not say whether the clock was believed.
func TestWhatCanNotBeReadIsDoubt(t *testing.T) {
	for name, change := range map[string]func(e *audit.Entry){
		"changed":   func(e *audit.Entry) { e.Bytes = append(bytes.Clone(e.Bytes), 0) },
		"unchanged": func(*audit.Entry) {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := new(audittest.Memory)
				m := newMachine(t, log)
				r := m.start()
				m.set(retained)
				time.Sleep(25 * time.Hour)
				m.wantHeld(r, "a day later", false)
				m.stop(r)
				log.Change(func(entries *[]audit.Entry, _ *[]audit.Checkpoint) {
					for i, e := range *entries {
						if e.Record.Object == "clock" && e.Record.Verdict == audit.Allowed {
							change(&(*entries)[i])
						}
					}
				})
				r = m.start()
				m.wantHeld(r, "after a restart", name == "changed")
				m.stop(r)
			})
		})
	}
}

// TestAnOperatorSaysThatTheClockIsRight up to a time, which a clock that goes wrong later
// is beyond.
func TestAnOperatorSaysThatTheClockIsRight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, new(audittest.Memory))
		m.stop(m.start())
		time.Sleep(100 * 24 * time.Hour)
		r := m.start()
		m.wantHeld(r, "without his word", true)
		m.stop(r)
		m.trust = m.now().Add(time.Hour).Format(time.RFC3339)
		r = m.start()
		m.wantHeld(r, "with his word", false)
		m.set(retained)
		m.wantHeld(r, "beyond what he said", true)
		m.stop(r)
	})
}

// TestAWrongClockPrunesNoOther: a replica whose clock is wrong, new or not, deletes nothing
// of what another one has left; one whose clock is right does.
func TestAWrongClockPrunesNoOther(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(m *machine) *audit.Recorder
		want uint64
	}{
		"right":      {func(m *machine) *audit.Recorder { return m.start() }, 50},
		"new, wrong": {func(m *machine) *audit.Recorder { m.set(retained); return m.start() }, 0},
		"old, wrong": {func(m *machine) *audit.Recorder {
			r := m.start()
			time.Sleep(time.Minute)
			m.stop(r)
			m.set(retained)
			return m.start()
		}, 50},
		"goes wrong":  {func(m *machine) *audit.Recorder { r := m.start(); time.Sleep(time.Minute); m.set(retained); return r }, 50},
		"goes back":   {func(m *machine) *audit.Recorder { r := m.start(); time.Sleep(time.Minute); m.set(-retained); return r }, 50},
		"wrong again": {func(m *machine) *audit.Recorder { m.set(retained); m.stop(m.start()); return m.start() }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				records := make([]*audit.Record, 100)
				for i := range records {
					records[i] = audittest.Infer(i)
					if records[i].Time = time.Now().Add(-2 * time.Hour); i < 50 {
						records[i].Time = time.Now().Add(-2 * retained)
					}
				}
				p := &pruned{Memory: new(audittest.Memory), gone: audittest.Entries(goneReplica, 0, records...), claims: 100, to: map[string]uint64{}, signed: time.Now().Add(-2 * time.Hour)}
				m := newMachine(t, p)
				r := c.set(m)
				time.Sleep(20 * time.Hour)
				p.mu.Lock()
				if p.to[goneReplica] != c.want || p.to[r.Replica()] != 0 {
					t.Errorf("pruned %v, want %d", p.to, c.want)
				}
				p.mu.Unlock()
				m.stop(r)
			})
		})
	}
}
