package payload

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit"
)

// Sealed is what became of a capture.
type Sealed struct {
	// Payload goes into the record's [audit.Entry]; nil where nothing is kept.
	Payload *audit.Payload
	// Ref goes into the record; of a payload that is not kept it has no ID. It is nil
	// where nothing was captured.
	Ref *audit.PayloadRef
	// Lost is why nothing is kept; 0 otherwise.
	Lost Lost
}

// job is a capture that has ended.
type job struct {
	capture *Capture
	ended   bool
	queued  time.Time
	done    func(Sealed)
}

// Close ends the capture and never waits. done is called once, with what goes into
// the record: by a worker, or at once where nothing is to be done. ended tells that
// the call or request came to its end, and was not broken off.
func (c *Capture) Close(ended bool, done func(Sealed)) {
	if c == nil {
		done(Sealed{})
		return
	}
	j, why := c.finish(ended)
	j.done = done
	if why == 0 && !c.keeper.put(j) {
		why = QueueFull
	}
	if why != 0 {
		done(c.keeper.lose(c, why))
	}
}

// Seal is Close for calls that wait for their record: it does the work at once.
func (c *Capture) Seal(ctx context.Context, ended bool) Sealed {
	if c == nil {
		return Sealed{}
	}
	j, why := c.finish(ended)
	if why != 0 {
		return c.keeper.lose(c, why)
	}
	return c.keeper.do(ctx, j)
}

// finish lets nothing more in.
func (c *Capture) finish(ended bool) (job, Lost) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return job{capture: c, ended: ended && !c.cut, queued: c.keeper.now()}, c.lost
}

// put queues a job if there is room.
func (k *Keeper) put(j job) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.closed {
		return false
	}
	select {
	case k.queue <- j:
		return true
	default:
		return false
	}
}

// lose counts a payload that is not kept. The hashes of what was masked are.
func (k *Keeper) lose(c *Capture, why Lost) Sealed {
	c.mu.Lock()
	c.release(why)
	marks := c.marks
	c.mu.Unlock()
	k.stats.lost[why].Add(1)
	out := k.Marked(marks)
	if out.Lost = why; out.Ref == nil {
		out.Ref = &audit.PayloadRef{}
	}
	return out
}

// work works off the queue until it is closed.
func (k *Keeper) work(ctx context.Context) {
	for j := range k.queue {
		if ctx.Err() != nil || k.now().Sub(j.queued) > k.opts.Timeout {
			j.done(k.lose(j.capture, QueueFull))
			continue
		}
		j.done(k.do(ctx, j))
	}
}

// do masks and seals what was captured. What a panic in masking would take with
// it is one payload.
func (k *Keeper) do(ctx context.Context, j job) (out Sealed) {
	c := j.capture
	ctx, cancel := context.WithTimeout(ctx, k.opts.Timeout)
	defer cancel()
	defer func() {
		if recover() != nil {
			out = k.lose(c, Unmasked)
		}
	}()
	key, err := k.days.today(ctx, k.now())
	if err != nil {
		return k.lose(c, NoKey)
	}
	content := c.content(j.ended)
	marks := map[uint64]struct{}{}
	for _, m := range c.marks { // it is closed: nobody adds any more
		marks[m] = struct{}{}
	}
	if refused := mask(ctx, c.masker, content, j.ended, k.found(marks)); refused != nil {
		return k.lose(c, Unmasked)
	}
	p := &audit.Payload{ID: newID(), Key: key.id}
	if k.opts.Words {
		p.Words = words(content).hashes(key.words, make([]uint64, 0, MaxWords+len(marks)))
	}
	for m := range marks {
		p.Words = append(p.Words, m)
	}
	slices.Sort(p.Words)
	p.Words = slices.Compact(p.Words)
	p.Body = k.box.seal(key, p.ID, content)
	c.mu.Lock()
	c.release(0)
	c.mu.Unlock()
	k.stats.kept.Add(1)
	if !content.Complete {
		k.stats.cut.Add(1)
	}
	return Sealed{Payload: p, Ref: &audit.PayloadRef{ID: p.ID, Digest: sha256.Sum256(p.Body), Complete: content.Complete}}
}

func newID() string {
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // never fails: it ends the program instead
	return hex.EncodeToString(raw[:])
}

// Marked is what goes into the record of a call of which nothing is kept but the
// hashes of what was masked in it; nothing if there are none.
func (k *Keeper) Marked(marks []uint64) Sealed {
	if k == nil || len(marks) == 0 {
		return Sealed{}
	}
	p := &audit.Payload{ID: newID(), Body: []byte{}, Words: slices.Clone(marks)} // no nil: a log may keep no NULL
	slices.Sort(p.Words)
	return Sealed{Payload: p, Ref: &audit.PayloadRef{ID: p.ID, Digest: sha256.Sum256(nil)}}
}

// found gathers the hashes of masked values.
func (k *Keeper) found(marks map[uint64]struct{}) func(entity string, value []byte) {
	if k.opts.Marker == nil {
		return nil
	}
	return func(_ string, value []byte) {
		if len(marks) < MaxMarks {
			marks[k.opts.Marker.Mark(string(value))] = struct{}{}
		}
	}
}

// content is what was captured: the capture's own, which is closed.
func (c *Capture) content(ended bool) *Content {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &Content{Complete: ended, Frames: c.frames}
}

// mask masks all frames, the answers of a stream together.
func mask(ctx context.Context, by Masker, c *Content, ended bool, found func(string, []byte)) *access.Error {
	if by == nil {
		return nil
	}
	var stream []*Frame
	n := 0
	count := func(entity string, value []byte) {
		if n++; found != nil {
			found(entity, value)
		}
	}
	for i := range c.Frames {
		f := &c.Frames[i]
		if f.Cut {
			continue
		}
		if f.Kind == Stream {
			stream = append(slices.Grow(stream, len(c.Frames)-i), f)
			continue
		}
		before := n
		if refused := maskFrame(ctx, by, f, count); refused != nil {
			return refused
		}
		f.Masked = n > before
	}
	if len(stream) == 0 {
		return nil
	}
	answers := make([][]byte, len(stream))
	for i, f := range stream {
		answers[i] = f.Message
	}
	before := n
	masked, refused := by.Answers(ctx, answers, ended, count)
	if refused != nil {
		return refused
	}
	for i, f := range stream {
		f.Message, f.Masked = masked[i], n > before
	}
	return nil
}

func maskFrame(ctx context.Context, by Masker, f *Frame, found func(string, []byte)) (refused *access.Error) {
	switch f.Kind {
	case Request:
		f.Message, refused = by.Request(ctx, f.Message, found)
	case Answer:
		f.Message, refused = by.Answer(ctx, f.Message, found)
	case Failure:
		var text string
		text, refused = by.Text(ctx, string(f.Message), found)
		f.Message = []byte(text)
	default:
		f.Message, refused = by.Message(ctx, f.Type, f.Message, found)
	}
	return refused
}
