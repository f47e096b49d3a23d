package audittest

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"sync"

	"github.com/sluice-gateway/sluice/audit"
)

// Memory is a log of one replica in memory, whose writing a test can hold up or
// have fail. It is safe for concurrent use.
type Memory struct {
	// Before, if set, is called before each batch is written; its error is Append's.
	Before func(ctx context.Context, b audit.Batch) error

	mu          sync.Mutex
	entries     []audit.Entry
	checkpoints []audit.Checkpoint
	replica     string
	syncs       int
	marks       map[string]string
}

var (
	_ audit.Log   = (*Memory)(nil)
	_ audit.Marks = (*Memory)(nil)
)

// Append is [audit.Log]'s.
func (m *Memory) Append(ctx context.Context, b audit.Batch) error {
	if m.Before != nil {
		if err := m.Before(ctx, b); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, e := range b.Entries {
		if e.Record.Seq != b.Entries[0].Record.Seq+uint64(i) {
			return audit.ErrOutOfOrder
		}
	}
	m.replica = b.Replica
	for _, e := range b.Entries {
		switch size := uint64(len(m.entries)); {
		case e.Record.Seq > size:
			return fmt.Errorf("%w: %d after %d", audit.ErrOutOfOrder, e.Record.Seq, size)
		case e.Record.Seq < size && m.entries[e.Record.Seq].Leaf != e.Leaf:
			return audit.ErrOutOfOrder
		case e.Record.Seq == size:
			e.Place = size
			m.entries = append(m.entries, e)
		}
	}
	if b.Checkpoint != nil {
		m.checkpoints = append(m.checkpoints, *b.Checkpoint)
	}
	if b.Sync {
		m.syncs++
	}
	return nil
}

// Entries are those that were written, and how many batches were to be synced.
func (m *Memory) Entries() (entries []audit.Entry, syncs int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.entries), m.syncs
}

// Change lets a test change what is kept.
func (m *Memory) Change(f func(entries *[]audit.Entry, checkpoints *[]audit.Checkpoint)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(&m.entries, &m.checkpoints)
}

// Search is [audit.Log]'s.
func (m *Memory) Search(_ context.Context, q audit.Query) iter.Seq2[audit.Found, error] {
	return func(yield func(audit.Found, error) bool) {
		entries, _ := m.Entries()
		if !q.Oldest {
			slices.Reverse(entries)
		}
		after, err := strconv.ParseUint(q.After, 10, 64)
		if q.After != "" && err != nil {
			yield(audit.Found{}, audit.ErrCursor)
			return
		}
		given := 0
		for _, e := range entries {
			if q.After != "" && (q.Oldest && e.Place <= after || !q.Oldest && e.Place >= after) || !q.Matches(e.Record) || q.Words != nil {
				continue
			}
			if !yield(audit.Found{Entry: e, Cursor: strconv.FormatUint(e.Place, 10)}, nil) {
				return
			}
			if given++; given == q.Limit {
				return
			}
		}
	}
}

// Get is [audit.Log]'s.
func (m *Memory) Get(_ context.Context, _ string, seq uint64) (audit.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if seq >= uint64(len(m.entries)) {
		return audit.Entry{}, audit.ErrNotFound
	}
	return m.entries[seq], nil
}

// States is [audit.Tree]'s.
func (m *Memory) States(context.Context) ([]audit.State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.replica == "" {
		return nil, nil
	}
	s := audit.State{Replica: m.replica, Size: uint64(len(m.entries))}
	if n := len(m.checkpoints); n > 0 {
		s.Last = m.checkpoints[n-1]
	}
	return []audit.State{s}, nil
}

// Leaves is [audit.Tree]'s.
func (m *Memory) Leaves(_ context.Context, _ string, from uint64) iter.Seq2[[][32]byte, error] {
	return func(yield func([][32]byte, error) bool) {
		entries, _ := m.Entries()
		for _, e := range entries[min(from, uint64(len(entries))):] {
			if !yield([][32]byte{e.Leaf}, nil) {
				return
			}
		}
	}
}

// Checkpoints is [audit.Tree]'s.
func (m *Memory) Checkpoints(_ context.Context, _ string, size uint64) iter.Seq2[audit.Checkpoint, error] {
	return func(yield func(audit.Checkpoint, error) bool) {
		m.mu.Lock()
		all := slices.Clone(m.checkpoints)
		m.mu.Unlock()
		for _, c := range all {
			if c.Size >= size && !yield(c, nil) {
				return
			}
		}
	}
}

// Mark is [audit.Marks]'.
func (m *Memory) Mark(_ context.Context, name string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.marks[name], nil
}

// SetMark is [audit.Marks]'.
func (m *Memory) SetMark(_ context.Context, name, cursor string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.marks == nil {
		m.marks = make(map[string]string)
	}
	m.marks[name] = cursor
	return nil
}

// Close does nothing.
func (m *Memory) Close() error { return nil }
