package audit

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/audit/merkle"
)

// What is destroyed for its age is gone for good, and age goes by a clock that can be
// set. So nothing is destroyed while the clock is in doubt.
const (
	// maxLeap is how far the clock may go ahead of what the machine itself counts, which
	// nobody can set; mostAway is how long nobody may have signed before a start, or half
	// of what is kept, if that is less.
	maxLeap  = time.Hour
	mostAway = 7 * 24 * time.Hour
	// doubtTime is for how long the gateway has to run before it believes such a clock.
	doubtTime = 24 * time.Hour
	// doubtEvery is how often the log is told how much of that is over, for the next start.
	doubtEvery = time.Hour
	// clockObject is what records of it have as their object, so that the next start finds them.
	clockObject = "clock"
)

// clock is what the recorder thinks of the clock. [Recorder.mu] is held.
type clock struct {
	watched bool          // something is destroyed by it
	retain  time.Duration // 0: nothing of the log is ever old
	trust   time.Time     // up to when the operator says that it is right
	began   time.Time     // by the clock that may be wrong, and by the machine's
	steady  time.Time     // the machine's
	least   time.Duration // by how much the first was ahead of the second, at the least

	why    string    // it is in doubt; "" if not
	since  time.Time // this process has waited since then
	before time.Duration
	told   time.Duration // how much of the wait is in the log
	untold bool          // that it began or ended is not in the log yet
}

// newClock begins to compare; a trust that can't be read trusts nothing.
func newClock(c *Config, watch bool, now time.Time) clock {
	trust, _ := time.Parse(time.RFC3339, c.TrustClock)
	return clock{watched: watch || c.Retain > 0, retain: c.Retain, trust: trust, began: now.Round(0), steady: time.Now()}
}

// doubt has the wait begin, or go on where that of a process before was broken off.
func (c *clock) doubt(why string, served time.Duration) {
	c.why, c.since, c.before, c.told, c.untold = why, time.Now(), min(max(served, 0), doubtTime), 0, true
}

// served is how much of the wait is over.
func (c *clock) served() time.Duration { return c.before + time.Since(c.since) }

// look compares the clocks, and tells whether this one is believed: what is old by now
// may be destroyed. A clock that was put back is compared with from there on: it is a
// leap when it is put right, for what was dated meanwhile looks older than it is.
func (c *clock) look(now time.Time) bool {
	if !c.watched {
		return true
	}
	ahead := now.Round(0).Sub(c.began) - time.Since(c.steady)
	if c.least = min(c.least, ahead); ahead > c.least+maxLeap {
		c.doubt("the clock went "+(ahead-c.least).Round(time.Second).String()+" ahead of what the machine counts", 0)
		c.least = ahead
	}
	if c.why != "" && (c.served() >= doubtTime || !now.After(c.trust)) {
		c.why, c.untold = "", true
	}
	return c.why == ""
}

// tell gives what the log has to know, at the end of the process too; nil if it does.
func (c *clock) tell(now time.Time, last bool) *Record {
	r := &Record{Kind: KindPrune, Time: now, Object: clockObject}
	switch since := c.served() - c.told; {
	case c.why == "" && c.untold:
		r.Verdict, r.Detail = Allowed, "the clock is believed again"
	case c.why != "" && (c.untold || since >= doubtEvery || last && since >= time.Minute):
		c.told = c.served()
		r.Verdict, r.Duration, r.Detail = Held, c.told, "the clock is in doubt, nothing is deleted for its age: "+c.why
	default:
		return nil
	}
	c.untold = false
	return r
}

// Horizon is the time before which records and what was said are to be destroyed; not ok
// if nothing is: for ever, or as long as the clock is in doubt. Who destroys asks each time.
func (r *Recorder) Horizon() (before time.Time, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	return now.Add(-r.clock.retain), r.clock.look(now) && r.clock.retain > 0
}

// Believed tells whether the clock is not in doubt, as it is now: what is over by a time
// that was read before may be destroyed. It wants [Options.WatchClock].
func (r *Recorder) Believed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.clock.look(r.now())
}

// watchClock puts before the next batch what there is to say of the clock: no record that
// a wrong clock has dated is in the log without it, and the next start is not misled.
func (r *Recorder) watchClock(last bool) {
	r.mu.Lock()
	now := r.now()
	ok := r.clock.look(now)
	record, left := r.clock.tell(now, last), doubtTime-r.clock.served()
	if record != nil {
		if len(r.queue)+r.flying == 0 {
			r.since = now
		}
		r.queue = slices.Insert(r.queue, 0, item{record: record})
	}
	why := r.clock.why
	r.mu.Unlock()
	switch {
	case record == nil:
	case ok:
		r.o.Logger.LogAttrs(context.Background(), slog.LevelWarn, "the clock is believed again: what is old is deleted from now on")
	default:
		r.o.Logger.LogAttrs(context.Background(), slog.LevelWarn, "the clock is in doubt: nothing is deleted for its age, and who is shut out for a time stays out; look at the clock, set it right or have audit.trust_clock say that it is",
			slog.String("why", why), slog.Time("clock", now), slog.Duration("left", left.Round(time.Minute)))
	}
}

// recall looks at what was signed last, and at what the log says of the clock, before
// this process writes anything. A replica that has signed nothing goes by the others:
// it could delete what they have left. Where nothing can be read the clock is in doubt.
func (r *Recorder) recall(ctx context.Context, states []State, signed []merkle.Statement) {
	if !r.clock.watched {
		return
	}
	q := Query{Replica: r.Replica(), Kinds: []Kind{KindPrune}, Object: clockObject, Limit: 1}
	var last time.Time
	for _, s := range signed {
		last = later(last, s.Time)
	}
	if last.IsZero() {
		q.Replica = ""
		for _, s := range states {
			last = later(last, s.Last.Time)
		}
	}
	now, most := r.now(), mostAway
	if half := r.clock.retain / 2; half > 0 {
		most = min(most, half)
	}
	if away := now.Round(0).Sub(last); !last.IsZero() && away > most {
		r.clock.doubt("nothing was signed for "+away.Round(time.Second).String()+" before the start", 0)
	}
	if why, served := r.doubted(ctx, q); why != "" {
		r.clock.doubt(why, served)
	}
	r.clock.look(now)
}

// doubted finds whether the log says last that the clock was in doubt, and how much of
// the wait is over.
func (r *Recorder) doubted(ctx context.Context, q Query) (why string, served time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, pruneTime)
	defer cancel()
	unread := "what the log says of it can't be read"
	for found, err := range r.o.Log.Search(ctx, q) {
		if damaged := (*DamagedError)(nil); errors.As(err, &damaged) {
			why = unread // unless a younger record is found, which comes first
			continue
		}
		if err != nil || merkle.Leaf(found.Bytes) != found.Leaf {
			return unread, 0
		}
		if found.Record.Verdict == Allowed {
			return why, 0
		}
		if why == "" && found.Record.Replica == r.Replica() && r.clock.why == "" {
			served = found.Record.Duration
		}
		return "it was when the gateway ran last, and its day was not over", served
	}
	return why, 0
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
