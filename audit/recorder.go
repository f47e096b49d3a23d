package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit/merkle"
)

// Options are what a [Recorder] is made of.
type Options struct {
	// Log is the truth. The recorder closes it.
	Log Log
	// Key signs the log, and gives it its name.
	Key    *merkle.Key
	Config Config
	// Publish, if set, hears each checkpoint once it is in the log. It is called on a
	// goroutine of its own, one checkpoint at a time; those that come meanwhile are left
	// out, save the last.
	Publish func(context.Context, Checkpoint) error
	Logger  *slog.Logger
	// Written, if set, hears of each batch: how many records, and how long it took.
	Written func(records int, took time.Duration)
	// WatchClock has the clock watched though [Config.Retain] is 0: others ask whether it
	// is believed.
	WatchClock bool
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

// Recorder puts records into one order and writes them. All methods are safe for
// concurrent use.
type Recorder struct {
	o      Options
	strict map[string]bool
	now    func() time.Time

	mu    sync.Mutex
	queue []item
	// flying is how many records are being written, since is since when the oldest of
	// all that are not written waits.
	flying    int
	since     time.Time
	room      chan struct{} // closed, and made anew, when records were written
	lost      gap
	closing   bool
	strangers strangers
	refusals  refusals
	gone      map[string]uint64 // up to where logs of replicas that are gone were pruned by this log's
	clock     clock

	wake    chan struct{}
	stop    chan struct{}
	done    sync.WaitGroup
	publish chan Checkpoint

	// The writer's own.
	tree   merkle.Tree
	signed uint64
	last   time.Time // when the last checkpoint was made
	synced time.Time // when a batch was last synced
	dirty  bool      // something was written since

	written, dropped, refused, failures atomic.Uint64
	broken                              atomic.Pointer[error]
}

// item is a record in the queue.
type item struct {
	record  *Record
	payload *Payload
	done    chan<- error // who waits for it to be synced; nil for nobody
}

// gap is what was lost since it was last said.
type gap struct {
	n        uint64
	from, to time.Time
}

const (
	// maxBatch is how many records are written at once.
	maxBatch = 1000
	// maxSync is after what time at most what was written is synced too, whether
	// anybody asked for it or not: what a loss of power can take.
	maxSync = time.Second
	// overdraft is how many times the queue's size is held at most: calls that were let
	// in while there was room have their records taken when they end.
	overdraft = 2
	// closeWaits is how many times a call's wait the end of it all may take.
	closeWaits = 4
	// firstPause and lastPause are between attempts to write.
	firstPause, lastPause = 50 * time.Millisecond, 2 * time.Second
)

// Errors of a log that must not be written to.
var (
	errChanged    = errors.New("audit: the log is not what was signed: it was changed, or an older copy put in its place; see docs/AUDIT.md")
	errAnotherKey = errors.New("audit: the log was written with another key; put that key back, or begin a new log")
)

// NewRecorder opens a recorder. It compares the hashes of what is there with what was
// signed last, and refuses a log that was changed. With the tree's edge beside the key
// it reads those that came since, and all others behind the start's back.
func NewRecorder(ctx context.Context, o Options) (*Recorder, error) {
	r := &Recorder{
		o: o, strict: make(map[string]bool), now: o.Now, room: make(chan struct{}), wake: make(chan struct{}, 1), stop: make(chan struct{}),
		publish: make(chan Checkpoint, 1), gone: make(map[string]uint64),
		refusals: make(refusals),
	}
	if r.now == nil {
		r.now = time.Now
	}
	for _, verb := range o.Config.Strict {
		r.strict[verb] = true
	}
	r.clock = newClock(&o.Config, o.WatchClock, r.now())
	if err := r.own(ctx); err != nil {
		return nil, err
	}
	unread, err := r.restore(ctx)
	if err != nil {
		return nil, err
	}
	r.last, r.synced = r.now(), r.now()
	if o.Publish != nil {
		r.done.Go(r.publishing)
	}
	r.done.Go(r.run)
	if unread != nil {
		r.done.Go(func() { r.recheck(unread) })
	}
	if p, ok := o.Log.(Pruner); ok && o.Config.Retain > 0 {
		r.done.Go(func() { r.pruning(p) })
	}
	return r, nil
}

// ownWaits is how long the process before may take to end.
const ownWaits = 30 * time.Second

// own keeps other processes from writing to the log.
func (r *Recorder) own(ctx context.Context) error {
	log, ok := r.o.Log.(Owned)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, ownWaits)
	defer cancel()
	return log.Own(ctx)
}

// Replica is the name of the log that the recorder writes.
func (r *Recorder) Replica() string { return r.o.Key.Origin() }

// Log is where the records are, to search in.
func (r *Recorder) Log() Log { return r.o.Log }

// Strict tells whether calls of a verb are written before they are done.
func (r *Recorder) Strict(verb access.Verb) bool { return r.strict[verb.String()] }

// Admit is asked before anything is done that will be recorded. It waits while the
// queue is full; then it refuses, unless the configuration says to go on.
func (r *Recorder) Admit(ctx context.Context) error {
	var timeout <-chan time.Time
	for {
		r.mu.Lock()
		full, stale, room := r.full()
		r.mu.Unlock()
		if !full && !stale || r.o.Config.OnFailure == Continue {
			return nil
		}
		if stale {
			return r.refuse(nil)
		}
		if timeout == nil {
			timer := time.NewTimer(r.o.Config.Wait)
			defer timer.Stop()
			timeout = timer.C
		}
		select {
		case <-room:
		case <-timeout:
			return r.refuse(nil)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// full tells whether there is no room, and whether what is in the queue has waited
// for too long. r.mu is held.
func (r *Recorder) full() (full, stale bool, room <-chan struct{}) {
	waiting := len(r.queue) + r.flying
	stale = waiting > 0 && r.now().Sub(r.since) >= r.o.Config.Wait || r.broken.Load() != nil
	return waiting >= r.o.Config.Queue, stale, r.room
}

// refuse is the answer to a call whose record can't be written.
func (r *Recorder) refuse(cause error) error {
	r.refused.Add(1)
	if broken := r.broken.Load(); cause == nil && broken != nil {
		cause = *broken
	}
	return &access.Error{
		Kind: access.Unavailable, Reason: access.ReasonAuditAway, RetryAfter: time.Second, Cause: cause,
		Message: "the audit log can't be written, and nothing is done that is not recorded; try again later, or tell who runs the gateway",
	}
}

// Record takes a record, to be written soon. It does not wait. The record and the
// payload are the recorder's from now on; Replica and Seq are set by it.
func (r *Recorder) Record(record *Record, payload *Payload) {
	r.put(item{record: record, payload: payload})
}

// Write takes a record and returns when it is written and synced, or can't be: an
// [access.Error], AUDIT_UNAVAILABLE. It waits as long as the configuration says.
func (r *Recorder) Write(ctx context.Context, record *Record, payload *Payload) error {
	done := make(chan error, 1)
	timer := time.NewTimer(r.o.Config.Wait)
	defer timer.Stop()
	if !r.put(item{record: record, payload: payload, done: done}) {
		return r.refuse(nil)
	}
	select {
	case err := <-done:
		if err != nil {
			return r.refuse(err)
		}
		return nil
	case <-timer.C:
		return r.refuse(nil)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// put puts an item into the queue, or counts it: as lost, or as one of a caller's many
// refusals.
func (r *Recorder) put(i item) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	most := r.o.Config.Queue
	if r.o.Config.OnFailure != Continue {
		most *= overdraft
	}
	waiting, who := len(r.queue)+r.flying, i.refusal()
	switch {
	case r.closing || r.broken.Load() != nil:
		r.lose(1)
		return false
	case r.refusals.crowds(who, r.o.Config.Queue-waiting):
		r.strangers.tell(visitor{who: who, verdict: i.record.Verdict}, 0, r.now(), false)
		return true
	case waiting >= most:
		r.lose(1)
		return false
	case waiting == 0:
		r.since = r.now()
	}
	r.refusals.add(who, 1)
	r.queue = append(r.queue, i)
	if len(r.queue) == 1 || len(r.queue) == maxBatch || i.done != nil {
		r.nudge()
	}
	return true
}

func (r *Recorder) nudge() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// lose counts records that are not written. r.mu is held.
func (r *Recorder) lose(n uint64) {
	r.dropped.Add(n)
	now := r.now()
	if r.lost.n == 0 {
		r.lost.from = now
	}
	r.lost.n, r.lost.to = r.lost.n+n, now
}

// Close writes what is in the queue, as long as the configuration lets a call wait,
// and closes the log. What is lost is in the error.
func (r *Recorder) Close() error {
	r.mu.Lock()
	already := r.closing
	r.closing = true
	r.mu.Unlock()
	if already {
		return nil
	}
	close(r.stop)
	ended := make(chan struct{})
	go func() { // ends with the writer, should that hang for ever
		r.done.Wait()
		close(ended)
	}()
	timer := time.NewTimer(closeWaits * r.o.Config.Wait)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
		return fmt.Errorf("audit: the log does not answer; %d records may be lost", r.Status().Queued)
	}
	var err error
	if n := r.dropped.Load(); n > 0 {
		err = errors.Join(err, fmt.Errorf("audit: %d records were lost", n))
	}
	return errors.Join(err, r.o.Log.Close())
}

// Status is how a recorder is doing.
type Status struct {
	// Queued are records that wait; Written, Lost and Refused (calls) are counted since
	// the start, as are failed attempts to write.
	Queued                           int
	Written, Lost, Refused, Failures uint64
	// Doubt is for how long yet nothing is deleted for its age, since the clock is in doubt.
	Doubt time.Duration
}

// Status says how the recorder is doing.
func (r *Recorder) Status() Status {
	r.mu.Lock()
	queued, doubt := len(r.queue)+r.flying, time.Duration(0)
	if !r.clock.look(r.now()) {
		doubt = doubtTime - r.clock.served()
	}
	r.mu.Unlock()
	return Status{Doubt: doubt, Queued: queued, Written: r.written.Load(), Lost: r.dropped.Load(), Refused: r.refused.Load(), Failures: r.failures.Load()}
}
