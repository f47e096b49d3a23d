package audit_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/audittest"
	"github.com/sluice-gateway/sluice/audit/merkle"
)

var errFlaps = errors.New("the database flaps")

// flapping is a log that can be written while it does not say how far it is, so that
// nothing can be signed.
type flapping struct {
	audittest.Memory
	away atomic.Bool
}

func (f *flapping) States(ctx context.Context) ([]audit.State, error) {
	if f.away.Load() {
		return nil, errFlaps
	}
	return f.Memory.States(ctx)
}

// wantSigned wants a log to be what its key has signed.
func (m *machine) wantSigned(log audit.Log) {
	m.t.Helper()
	key, err := merkle.OpenKey(m.key)
	if err != nil {
		m.t.Fatal(err)
	}
	report, err := audit.Verify(m.t.Context(), log, audit.VerifyOptions{Keys: []string{key.Public()}})
	if err != nil || len(report.Findings) > 0 || len(report.Logs) != 1 || report.Logs[0].Unsigned > 0 {
		m.t.Errorf("verified: %+v, %v", report, err)
	}
}

// TestWhatSpeaksOfPruningWaitsForItsSignature: a process that is killed while nothing can
// be signed leaves a log that the next one takes.
func TestWhatSpeaksOfPruningWaitsForItsSignature(t *testing.T) {
	for name, speak := range map[string]func(m *machine, r *audit.Recorder){
		"the clock is in doubt": func(m *machine, _ *audit.Recorder) { m.set(retained) },
		"records are pruned": func(m *machine, r *audit.Recorder) {
			r.Record(&audit.Record{Kind: audit.KindPrune, Time: m.now(), Verdict: audit.Allowed, Object: "0"}, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := new(flapping)
				m := newMachine(t, log)
				r := m.start()
				log.away.Store(true)
				speak(m, r)
				r.Record(audittest.Infer(1), nil)
				r.Record(audittest.Infer(2), nil)
				began := time.Now()
				if err := r.Write(t.Context(), audittest.Infer(3), nil); !unavailable(err) || time.Since(began) != 10*time.Second {
					t.Errorf("a strict call: %v after %v", err, time.Since(began))
				}
				if err := r.Admit(t.Context()); !unavailable(err) {
					t.Errorf("a call: %v", err)
				}
				if got := kinds(&log.Memory); len(got) != 1 {
					t.Errorf("written without a signature: %v", got)
				}
				// It is killed here: another one finds the log as it is.
				killed := newMachine(t, copyOf(&log.Memory))
				killed.key = m.key
				killed.stop(killed.start())

				log.away.Store(false)
				time.Sleep(5 * time.Second)
				m.stop(r)
				want := []audit.Kind{audit.KindStart, audit.KindPrune, audit.KindCall, audit.KindCall, audit.KindCall}
				if got := kinds(&log.Memory); !slices.Equal(got, want) {
					t.Errorf("written are %v, want %v", got, want)
				}
				entries, _ := log.Entries()
				for i, e := range entries[2:] {
					if e.Record.Call != audittest.Infer(i+1).Call {
						t.Errorf("record %d is of call %s", i, e.Record.Call)
					}
				}
				m.wantSigned(log)
			})
		})
	}
}

// TestOtherRecordsDoNotWaitForASignature: they are signed later.
func TestOtherRecordsDoNotWaitForASignature(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(flapping)
		m := newMachine(t, log)
		r := m.start()
		log.away.Store(true)
		time.Sleep(time.Minute)
		m.record(r, audit.KindAdmin)
		if got := kinds(&log.Memory); len(got) != 2 {
			t.Errorf("written are %v", got)
		}
		log.away.Store(false)
		time.Sleep(15 * time.Second)
		m.wantSigned(log)
		m.stop(r)
	})
}

// TestTheFirstRecordsWaitForTheirSignature: a log without any would look changed.
func TestTheFirstRecordsWaitForTheirSignature(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(flapping)
		r := newRecorder(t, log)
		log.away.Store(true)
		r.Record(audittest.Infer(1), nil)
		time.Sleep(5 * time.Second)
		if got := kinds(&log.Memory); len(got) != 0 {
			t.Errorf("written without a signature: %v", got)
		}
		log.away.Store(false)
		time.Sleep(5 * time.Second)
		if got := kinds(&log.Memory); len(got) != 1 {
			t.Errorf("written are %v", got)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestStoppingDoesNotWaitForASignatureForEver: what can't be signed is lost then as what
// can't be written is, and said.
func TestStoppingDoesNotWaitForASignatureForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(flapping)
		m := newMachine(t, log)
		r := m.start()
		log.away.Store(true)
		m.set(retained)
		r.Record(audittest.Infer(1), nil)
		began := time.Now()
		if err := r.Close(); err == nil || !strings.Contains(err.Error(), "lost") || time.Since(began) > 20*time.Second {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
		log.away.Store(false)
		again := m.start()
		m.wantHeld(again, "after the restart", true)
		m.stop(again)
		m.wantSigned(log)
	})
}
