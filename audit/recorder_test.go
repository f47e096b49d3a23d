package audit_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/audittest"
	"github.com/sluice-gateway/sluice/audit/merkle"
)

var errDisk = errors.New("disk I/O error")

// newRecorder records into l in a bubble of time.
func newRecorder(t *testing.T, l audit.Log, change ...func(*audit.Options)) *audit.Recorder {
	t.Helper()
	key, err := merkle.OpenKey(filepath.Join(t.TempDir(), "audit.key"))
	if err != nil {
		t.Fatal(err)
	}
	o := audit.Options{Log: l, Key: key, Logger: slog.New(slog.DiscardHandler)}
	o.Config.SetDefaults()
	for _, c := range change {
		c(&o)
	}
	r, err := audit.NewRecorder(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func queueOf(n int) func(*audit.Options) { return func(o *audit.Options) { o.Config.Queue = n } }

func goingOn(o *audit.Options) { o.Config.OnFailure = audit.Continue }

// unavailable tells whether err is the refusal of who can't be recorded.
func unavailable(err error) bool {
	e, ok := access.AsError(err)
	return ok && e != nil && e.Kind == access.Unavailable && e.Reason == access.ReasonAuditAway && !strings.Contains(e.Message, "disk")
}

func kinds(l *audittest.Memory) (all []audit.Kind) {
	entries, _ := l.Entries()
	for _, e := range entries {
		all = append(all, e.Record.Kind)
	}
	return all
}

func TestRecordsAreWrittenTogetherInTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		batches := 0
		l := &audittest.Memory{Before: func(context.Context, audit.Batch) error { batches++; return nil }}
		r := newRecorder(t, l)
		for i := range 100 {
			r.Record(audittest.Infer(i), nil)
		}
		time.Sleep(60 * time.Millisecond)
		entries, _ := l.Entries()
		if len(entries) != 100 || batches != 1 {
			t.Errorf("after the batch window %d records are written in %d batches", len(entries), batches)
		}
		for i, e := range entries {
			again, err := audit.Decode(e.Bytes)
			if err != nil || again.Seq != uint64(i) || again.Replica != r.Replica() || e.Leaf != merkle.Leaf(e.Bytes) || again.Call != audittest.Infer(i).Call {
				t.Fatalf("record %d is %+v, %v", i, again, err)
			}
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestAStrictRecordIsSyncedWhenWriteReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := new(audittest.Memory)
		r := newRecorder(t, l)
		began := time.Now()
		if err := r.Write(t.Context(), audittest.Infer(1), nil); err != nil {
			t.Fatal(err)
		}
		if _, syncs := l.Entries(); syncs != 1 || time.Since(began) != 0 {
			t.Errorf("%d batches were synced after %v", syncs, time.Since(began))
		}
		if !r.Strict(access.Load) || !r.Strict(access.BreakGlass) || r.Strict(access.Infer) {
			t.Error("the strict verbs are others")
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A sink that hangs is as bad as one that fails: no wait is longer than stated.
func TestALogThatDoesNotWriteRefusesCallsAfterABoundedWait(t *testing.T) {
	for name, before := range map[string]func(hang <-chan struct{}) func(context.Context, audit.Batch) error{
		"fails": func(<-chan struct{}) func(context.Context, audit.Batch) error {
			return func(context.Context, audit.Batch) error { return errDisk }
		},
		"hangs": func(hang <-chan struct{}) func(context.Context, audit.Batch) error {
			return func(context.Context, audit.Batch) error { <-hang; return errDisk } // and hears no context
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hang := make(chan struct{})
				var failing atomic.Bool
				failing.Store(true)
				fail := before(hang)
				l := &audittest.Memory{Before: func(ctx context.Context, b audit.Batch) error {
					if failing.Load() {
						return fail(ctx, b)
					}
					return nil
				}}
				r := newRecorder(t, l, queueOf(100))
				began := time.Now()
				if err := r.Write(t.Context(), audittest.Infer(0), nil); !unavailable(err) || time.Since(began) != 10*time.Second {
					t.Errorf("a strict call: %v after %v", err, time.Since(began))
				}
				began = time.Now()
				if err := r.Admit(t.Context()); !unavailable(err) || time.Since(began) > 10*time.Second {
					t.Errorf("a call: %v after %v", err, time.Since(began))
				}
				failing.Store(false)
				close(hang)
				time.Sleep(5 * time.Second)
				if err := r.Admit(t.Context()); err != nil {
					t.Errorf("once it writes again: %v", err)
				}
				if err := r.Close(); err != nil {
					t.Error(err)
				}
				if got := kinds(l); len(got) != 1 {
					t.Errorf("written are %v, want the strict one: it was not lost", got)
				}
			})
		})
	}
}

func TestCallsGoOnWhileThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		l := &audittest.Memory{Before: func(context.Context, audit.Batch) error { <-hang; return nil }}
		r := newRecorder(t, l, queueOf(100))
		for i := range 100 {
			if err := r.Admit(t.Context()); err != nil {
				t.Fatalf("call %d: %v", i, err)
			}
			r.Record(audittest.Infer(i), nil)
		}
		began := time.Now()
		var waited error
		var done sync.WaitGroup
		done.Go(func() { waited = r.Admit(t.Context()) })
		time.Sleep(3 * time.Second)
		close(hang)
		done.Wait()
		if waited != nil || time.Since(began) != 3*time.Second {
			t.Errorf("who waits for room gets it: %v after %v", waited, time.Since(began))
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if got := r.Status(); got.Written != 100 || got.Lost != 0 || got.Refused != 0 {
			t.Errorf("status is %+v", got)
		}
	})
}

func TestACallersOwnEndEndsItsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		l := &audittest.Memory{Before: func(context.Context, audit.Batch) error { <-hang; return nil }}
		r := newRecorder(t, l, queueOf(100))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Write(ctx, audittest.Infer(0), nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		close(hang)
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

// What is lost is counted, and said in the log when it can be written again.
func TestAGapIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failing atomic.Bool
		failing.Store(true)
		l := &audittest.Memory{Before: func(context.Context, audit.Batch) error {
			if failing.Load() {
				return errDisk
			}
			return nil
		}}
		r := newRecorder(t, l, queueOf(100), goingOn)
		began := time.Now()
		for i := range 250 {
			if err := r.Admit(t.Context()); err != nil {
				t.Fatal(err)
			}
			r.Record(audittest.Infer(i), nil)
			time.Sleep(100 * time.Millisecond)
		}
		if err := r.Write(t.Context(), audittest.Infer(0), nil); !unavailable(err) {
			t.Errorf("a strict call goes on too: %v", err)
		}
		failing.Store(false)
		time.Sleep(10 * time.Second)
		entries, _ := l.Entries()
		var gap *audit.Record
		for _, e := range entries {
			if e.Record.Kind == audit.KindGap {
				gap = e.Record
			}
		}
		if gap == nil {
			t.Fatal("no gap is recorded")
		}
		if n := uint64(len(entries)) - 1 + gap.Count; n != 251 {
			t.Errorf("%d written and %d lost are not the 251 that there were", len(entries)-1, gap.Count)
		}
		if gap.Time.Sub(began) < 9*time.Second || gap.Duration < 10*time.Second || gap.Duration > 20*time.Second {
			t.Errorf("the gap is from %v, for %v", gap.Time.Sub(began), gap.Duration)
		}
		if got := r.Status(); got.Lost != gap.Count || got.Failures == 0 {
			t.Errorf("status is %+v", got)
		}
		if err := r.Close(); err == nil || !strings.Contains(err.Error(), "lost") {
			t.Errorf("closing does not say what was lost: %v", err)
		}
	})
}

// However long a log does not write, what is held is bounded, in either mode.
func TestTheQueueHasAnEnd(t *testing.T) {
	for name, change := range map[string]func(*audit.Options){"refuse": func(*audit.Options) {}, "continue": goingOn} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &audittest.Memory{Before: func(context.Context, audit.Batch) error { return errDisk }}
				r := newRecorder(t, l, queueOf(100), change)
				for i := range 10_000 {
					r.Record(audittest.Infer(i), nil) // who never asked
				}
				if got := r.Status(); got.Queued > 200 || got.Lost+uint64(got.Queued) != 10_000 {
					t.Errorf("status is %+v", got)
				}
				if err := r.Close(); err == nil {
					t.Error("closing says nothing of what was lost")
				}
			})
		})
	}
}

func TestAnotherWriterBreaksTheLogForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &audittest.Memory{Before: func(context.Context, audit.Batch) error { return fmt.Errorf("%w: another", audit.ErrOutOfOrder) }}
		r := newRecorder(t, l)
		began := time.Now()
		if err := r.Write(t.Context(), audittest.Infer(0), nil); !unavailable(err) || time.Since(began) > 0 {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
		if err := r.Admit(t.Context()); !unavailable(err) {
			t.Errorf("got %v", err)
		}
		_ = r.Close()
	})
}

func TestTheLogIsSignedInTimeAndAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := new(audittest.Memory)
		var published atomic.Int64
		r := newRecorder(t, l, func(o *audit.Options) {
			o.Config.Checkpoint.Records = 100
			o.Publish = func(context.Context, audit.Checkpoint) error { published.Add(1); return nil }
		})
		sizes := func() (all []uint64) {
			for c := range l.Checkpoints(t.Context(), "", 0) {
				all = append(all, c.Size)
			}
			return all
		}
		r.Record(audittest.Infer(0), nil)
		time.Sleep(100 * time.Millisecond)
		if got := sizes(); len(got) != 1 || got[0] != 1 {
			t.Errorf("with the first record %v were signed", got)
		}
		r.Record(audittest.Infer(1), nil)
		time.Sleep(12 * time.Second)
		if got := sizes(); len(got) != 2 || got[1] != 2 {
			t.Errorf("after ten seconds %v were signed", got)
		}
		for i := range 149 {
			r.Record(audittest.Infer(i+2), nil)
		}
		time.Sleep(100 * time.Millisecond)
		if got := sizes(); got[len(got)-1] <= 51 {
			t.Errorf("after so many records %v were signed", got)
		}
		time.Sleep(11 * time.Second)
		n := len(sizes())
		time.Sleep(time.Minute)
		if got := sizes(); len(got) != n || got[n-1] != 151 {
			t.Errorf("nothing was written, and %v were signed", got)
		}
		r.Record(audittest.Infer(151), nil)
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if got := sizes(); got[len(got)-1] != 152 {
			t.Errorf("at the end %v were signed", got)
		}
		if published.Load() == 0 {
			t.Error("nothing was published")
		}
	})
}

func TestAPublisherThatHangsHoldsUpNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := new(audittest.Memory)
		r := newRecorder(t, l, func(o *audit.Options) {
			o.Config.Checkpoint.Records = 1
			o.Publish = func(ctx context.Context, _ audit.Checkpoint) error { <-ctx.Done(); return ctx.Err() }
		})
		for i := range 10 {
			if err := r.Write(t.Context(), audittest.Infer(i), nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A log that hangs for ever does not keep the process from ending.
func TestClosingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		r := newRecorder(t, &audittest.Memory{Before: func(context.Context, audit.Batch) error { <-hang; return nil }})
		r.Record(audittest.Infer(0), nil)
		began := time.Now()
		if err := r.Close(); err == nil || time.Since(began) > time.Minute {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
		close(hang)
		synctest.Wait() // its last checkpoint goes into the test's folder
	})
}

// Records stay in their order when the clock is put back.
func TestClockSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := new(audittest.Memory)
		var shift atomic.Int64
		r := newRecorder(t, l, func(o *audit.Options) {
			o.Now = func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }
		})
		for i, step := range []time.Duration{0, -48 * time.Hour, 72 * time.Hour, 0} {
			shift.Store(int64(step))
			if err := r.Admit(t.Context()); err != nil {
				t.Errorf("after a step of %v: %v", step, err)
			}
			r.Record(audittest.Infer(i), nil)
			time.Sleep(2 * time.Second)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		entries, _ := l.Entries()
		for i, e := range entries {
			if e.Record.Call != audittest.Infer(i).Call {
				t.Errorf("record %d is %s", i, e.Record.Call)
			}
		}
		if len(entries) != 4 {
			t.Errorf("%d records", len(entries))
		}
	})
}
