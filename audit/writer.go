package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/audit/merkle"
)

// run is the one goroutine that writes.
func (r *Recorder) run() {
	defer close(r.publish)
	tick := time.NewTicker(maxSync)
	defer tick.Stop()
	for {
		stopping := false
		select {
		case <-r.wake:
			stopping = r.gather()
		case <-tick.C:
			r.tellOfStrangers(false)
		case <-r.stop:
			stopping = true
		}
		if stopping {
			r.tellOfStrangers(true)
		}
		for r.pass(stopping) {
		}
		if stopping {
			r.end()
			return
		}
	}
}

func (r *Recorder) tellOfStrangers(last bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.strangers.flush(r.now(), last, r.enqueue)
}

// gather lets records come together, unless somebody waits for one of them, or
// there are enough. It tells whether it was stopped meanwhile.
func (r *Recorder) gather() (stopping bool) {
	timer := time.NewTimer(r.o.Config.Batch)
	defer timer.Stop()
	for !r.urgent() {
		select {
		case <-r.wake:
		case <-timer.C:
			return false
		case <-r.stop:
			return true
		}
	}
	return false
}

func (r *Recorder) urgent() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.queue) >= maxBatch {
		return true
	}
	for i := range r.queue {
		if r.queue[i].done != nil {
			return true
		}
	}
	return false
}

// enqueue puts a record of the recorder's own into the queue. r.mu is held.
func (r *Recorder) enqueue(record *Record) {
	if len(r.queue)+r.flying == 0 {
		r.since = r.now()
	}
	r.queue = append(r.queue, item{record: record})
}

// take takes the next batch out of the queue, and what was lost before it.
func (r *Recorder) take() []item {
	r.mu.Lock()
	defer r.mu.Unlock()
	var batch []item
	if g := r.lost; g.n > 0 && r.broken.Load() == nil {
		batch = append(batch, item{record: &Record{Kind: KindGap, Time: g.from, Duration: g.to.Sub(g.from), Count: g.n}})
		r.lost = gap{}
	}
	n := min(len(r.queue), maxBatch)
	batch = append(batch, r.queue[:n]...)
	r.queue = r.queue[n:]
	if len(r.queue) == 0 {
		r.queue = nil
	}
	r.flying = len(batch)
	return batch
}

// pass writes one batch, and tells whether there is more. It tries again until it
// succeeds, the log is broken, or it is stopped and the time for that is over.
func (r *Recorder) pass(stopping bool) (more bool) {
	r.watchClock(stopping)
	batch := r.take()
	due := r.due(batch, stopping)
	if len(batch) == 0 && !due && !r.unsynced() {
		return false
	}
	b, next := r.encode(batch)
	for _, i := range batch {
		b.Sync = b.Sync || i.done != nil
	}
	b.Sync = b.Sync || due || stopping || r.now().Sub(r.synced) >= maxSync
	bound := r.bound(batch)
	if due && !bound {
		b.Checkpoint, _ = r.checkpoint(next) // if the log does not answer there will be another
	}
	if b.Checkpoint == nil && len(batch) == 0 {
		return false
	}
	err := r.append(&b, next, bound)
	r.ended(batch, err)
	if err != nil {
		return false
	}
	r.tree = *next
	r.dirty = !b.Sync
	if b.Sync {
		r.synced = r.now()
	}
	if b.Checkpoint != nil {
		r.announce(*b.Checkpoint) // r.tree is what it is about
	}
	if r.urgent() {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.queue) > 0 {
		r.nudge() // the rest may wait for more to come
	}
	return stopping && len(r.queue) > 0
}

// unsynced tells whether something was written a while ago that is not synced. A
// checkpoint is then made sooner, since something has to be written.
func (r *Recorder) unsynced() bool { return r.dirty && r.now().Sub(r.synced) >= maxSync }

// bound tells whether a batch is not to be written without its checkpoint: the first
// of a log, so that a log without any was changed; and what says that records are
// pruned, or why none are: nobody else could have said so, then.
func (r *Recorder) bound(batch []item) bool {
	return len(batch) > 0 && r.tree.Size() == 0 || slices.ContainsFunc(batch, func(i item) bool { return i.record.Kind == KindPrune })
}

// due tells whether a checkpoint is.
func (r *Recorder) due(batch []item, stopping bool) bool {
	size := r.tree.Size() + uint64(len(batch))
	switch {
	case size == r.signed:
		return false
	case stopping, r.signed == 0, size-r.signed >= uint64(r.o.Config.Checkpoint.Records), r.unsynced():
		return true
	case r.bound(batch):
		return true
	default:
		return r.now().Sub(r.last) >= r.o.Config.Checkpoint.Every
	}
}

// encode gives the batch its place in the order, and the tree with it.
func (r *Recorder) encode(batch []item) (Batch, *merkle.Tree) {
	next := r.tree.Clone()
	b := Batch{Replica: r.Replica(), Entries: make([]Entry, len(batch))}
	var arena []byte // of the whole batch; what is kept of it is kept as a whole
	for i, it := range batch {
		it.record.Replica, it.record.Seq = b.Replica, next.Size()
		if cap(arena)-len(arena) < arenaStep/4 {
			arena = make([]byte, 0, arenaStep)
		}
		start := len(arena)
		arena = it.record.Append(append(arena, merkle.LeafPrefix))
		leaf := merkle.PrefixedLeaf(arena[start:])
		b.Entries[i] = Entry{Record: it.record, Bytes: arena[start+1 : len(arena) : len(arena)], Leaf: leaf, Payload: it.payload}
		next.Append(leaf)
	}
	return b, next
}

const arenaStep = 64 << 10

// append writes a batch, again and again.
func (r *Recorder) append(b *Batch, next *merkle.Tree, bound bool) error {
	var deadline <-chan time.Time
	stop := r.stop
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := r.attempt(b, next, bound)
		if err == nil {
			return nil
		}
		r.failures.Add(1)
		r.o.Logger.LogAttrs(context.Background(), slog.LevelError, "the audit log can't be written", slog.Any("error", err), slog.Int("records", len(b.Entries)))
		if errors.Is(err, ErrOutOfOrder) {
			r.broken.Store(&err)
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-stop:
			timer.Stop()
			stop = nil // once more at least, and for as long as a call would wait
			deadline = time.After(r.o.Config.Wait)
		case <-deadline:
			timer.Stop()
			return err
		}
	}
}

// attempt writes a batch once. A checkpoint that is made stays the batch's: it may be
// in the log already, if its end was not heard of.
func (r *Recorder) attempt(b *Batch, next *merkle.Tree, bound bool) (err error) {
	if bound && b.Checkpoint == nil {
		if b.Checkpoint, err = r.checkpoint(next); err != nil {
			return fmt.Errorf("what has to be signed can't be: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), r.o.Config.Wait)
	defer cancel()
	began := time.Now()
	if err := r.o.Log.Append(ctx, *b); err != nil {
		return err
	}
	r.written.Add(uint64(len(b.Entries)))
	if r.o.Written != nil {
		r.o.Written(len(b.Entries), time.Since(began))
	}
	return nil
}

// ended tells those who wait how it ended, and makes room.
func (r *Recorder) ended(batch []item, err error) {
	r.mu.Lock()
	if err != nil {
		r.lose(uint64(len(batch)))
	}
	r.flying = 0
	if r.since = r.now(); err != nil && r.broken.Load() != nil {
		r.lose(uint64(len(r.queue)))
		batch = append(batch, r.queue...)
		r.queue = nil
	}
	for i := range batch {
		r.refusals.add(batch[i].refusal(), -1)
	}
	close(r.room)
	r.room = make(chan struct{})
	r.mu.Unlock()
	for _, i := range batch {
		if i.done != nil {
			i.done <- err
		}
	}
}

// end says goodbye to what can't be written any more.
func (r *Recorder) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := uint64(len(r.queue)); n > 0 {
		r.lose(n)
		r.queue = nil
	}
}

// witnessTime bounds how long other replicas' checkpoints are asked for.
const witnessTime = time.Second

// checkpoint signs the log as it will be.
func (r *Recorder) checkpoint(next *merkle.Tree) (*Checkpoint, error) {
	s := merkle.Statement{Size: next.Size(), Root: next.Root(), Time: r.now().UTC().Truncate(time.Microsecond)}
	ctx, cancel := context.WithTimeout(context.Background(), witnessTime)
	defer cancel()
	states, err := r.o.Log.States(ctx)
	if err != nil {
		return nil, err
	}
	for _, other := range states {
		if other.Replica != r.Replica() && other.Last.Size > 0 {
			s.Others = append(s.Others, merkle.Seen{Origin: other.Replica, Size: other.Last.Size, Root: other.Last.Root})
		}
	}
	r.mu.Lock()
	for _, origin := range slices.Sorted(maps.Keys(r.gone)) {
		s.Pruned = append(s.Pruned, merkle.Pruned{Origin: origin, To: r.gone[origin]})
	}
	r.mu.Unlock()
	note, err := r.o.Key.Sign(s)
	if err != nil {
		return nil, err
	}
	return &Checkpoint{Replica: r.Replica(), Size: s.Size, Root: s.Root, Time: s.Time, Note: note}, nil
}

// announce remembers a checkpoint that is in the log, and has it published.
func (r *Recorder) announce(c Checkpoint) {
	r.signed, r.last = c.Size, r.now()
	if err := r.o.Key.Remember(c.Note, &r.tree); err != nil {
		r.o.Logger.LogAttrs(context.Background(), slog.LevelError, "the last audit checkpoint can't be kept beside the key", slog.Any("error", err))
	}
	if r.o.Publish == nil {
		return
	}
	select {
	case <-r.publish: // an older one that nobody has taken yet
	default:
	}
	r.publish <- c
}

// publishTime bounds how long one checkpoint may take to publish.
const publishTime = 10 * time.Second

func (r *Recorder) publishing() {
	for c := range r.publish {
		ctx, cancel := context.WithTimeout(context.Background(), publishTime)
		err := r.o.Publish(ctx, c)
		cancel()
		if err != nil {
			r.o.Logger.LogAttrs(context.Background(), slog.LevelError, "an audit checkpoint can't be published", slog.Any("error", err))
		}
	}
}
