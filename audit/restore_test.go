package audit_test

import (
	"context"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/audittest"
	"github.com/sluice-gateway/sluice/audit/merkle"
)

// counted is a log that counts what is read of its hashes, and from where on.
type counted struct {
	*audittest.Memory
	from []uint64
	held chan struct{} // reading from the beginning waits for it
	read int
}

func (c *counted) Leaves(ctx context.Context, replica string, from uint64) iter.Seq2[[][32]byte, error] {
	if c.from = append(c.from, from); from == 0 && c.held != nil {
		<-c.held
	}
	return func(yield func([][32]byte, error) bool) {
		for piece, err := range c.Memory.Leaves(ctx, replica, from) {
			if c.read += len(piece); !yield(piece, err) {
				return
			}
		}
	}
}

// TestAStartReadsWhatCameSinceTheLastCheckpoint, and all the rest later on: a log whose
// beginning was changed is then not written to any longer.
func TestAStartReadsWhatCameSinceTheLastCheckpoint(t *testing.T) {
	const size = 300
	for name, c := range map[string]struct {
		change  func(l *audittest.Memory, edge string)
		reads   int // by the start
		refused bool
	}{
		"nothing changed":    {func(*audittest.Memory, string) {}, 0, false},
		"three came since":   {func(l *audittest.Memory, _ string) { appendUnsigned(t, l, size, 3) }, 3, false},
		"no edge":            {func(_ *audittest.Memory, edge string) { _ = os.Remove(edge) }, size, false},
		"another edge":       {func(_ *audittest.Memory, edge string) { _ = os.WriteFile(edge, make([]byte, 128), 0o600) }, size, false},
		"the first hash":     {func(l *audittest.Memory, _ string) { changeLeaf(l, 0) }, 0, true},
		"the last hash":      {func(l *audittest.Memory, _ string) { changeLeaf(l, size-1) }, 0, true},
		"all hashes":         {func(l *audittest.Memory, _ string) { l.Change(cut) }, 0, true},
		"one that came last": {func(l *audittest.Memory, _ string) { appendUnsigned(t, l, size, 1); changeLeaf(l, 5) }, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "audit.key")
				key, err := merkle.OpenKey(path)
				if err != nil {
					t.Fatal(err)
				}
				memory := new(audittest.Memory)
				own := func(o *audit.Options) { o.Key = key }
				r := newRecorder(t, memory, own)
				for i := range size {
					r.Record(audittest.Infer(i), nil)
				}
				if err := r.Close(); err != nil {
					t.Fatal(err)
				}
				c.change(memory, path+".edge")
				l := &counted{Memory: memory, held: make(chan struct{})}
				if c.reads == size {
					l.held = nil
				}
				r = newRecorder(t, l, own)
				if l.read != c.reads {
					t.Errorf("the start read %d hashes, want %d", l.read, c.reads)
				}
				if err := r.Write(t.Context(), audittest.Infer(size), nil); err != nil {
					t.Errorf("it does not write at once: %v", err)
				}
				if l.held != nil {
					close(l.held)
				}
				time.Sleep(time.Minute)
				if err := r.Write(t.Context(), audittest.Infer(size+1), nil); (err != nil) != c.refused || err != nil && !unavailable(err) {
					t.Errorf("once all was read: %v", err)
				}
				if err := r.Close(); (err != nil) != c.refused {
					t.Error(err)
				}
			})
		})
	}
}

func appendUnsigned(t *testing.T, l *audittest.Memory, from, n int) {
	entries, _ := l.Entries()
	err := l.Append(t.Context(), audit.Batch{Replica: entries[0].Record.Replica, Entries: audittest.Infers(entries[0].Record.Replica, from, from+n)})
	if err != nil {
		t.Error(err)
	}
}

func changeLeaf(l *audittest.Memory, at int) {
	l.Change(func(entries *[]audit.Entry, _ *[]audit.Checkpoint) { (*entries)[at].Leaf[0]++ })
}

// cut leaves no hash as it was.
func cut(entries *[]audit.Entry, _ *[]audit.Checkpoint) {
	for i := range *entries {
		(*entries)[i].Leaf = [32]byte{}
	}
}

// TestAnUnreadableBeginningIsToldOfAndNoReasonToStop: it is the disk's fault, maybe, and a
// verification says which records it is about.
func TestAnUnreadableBeginningIsToldOfAndNoReasonToStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key, err := merkle.OpenKey(filepath.Join(t.TempDir(), "audit.key"))
		if err != nil {
			t.Fatal(err)
		}
		own := func(o *audit.Options) { o.Key = key }
		memory := new(audittest.Memory)
		r := newRecorder(t, memory, own)
		r.Record(audittest.Infer(0), nil)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		r = newRecorder(t, &broken{memory}, own)
		time.Sleep(time.Minute)
		if err := errors.Join(r.Write(t.Context(), audittest.Infer(1), nil), r.Close()); err != nil {
			t.Error(err)
		}
	})
}

// broken is a log of which the first hash can't be read.
type broken struct{ *audittest.Memory }

func (b *broken) Leaves(ctx context.Context, replica string, from uint64) iter.Seq2[[][32]byte, error] {
	if from > 0 {
		return b.Memory.Leaves(ctx, replica, from)
	}
	return func(yield func([][32]byte, error) bool) { yield(nil, errDisk) }
}
