package export

import (
	"context"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/merkle"
)

// leaves are a log's, in pieces; reads counts those that were read.
type leaves struct {
	audit.Tree
	all   [][32]byte
	reads int
}

func (l *leaves) Leaves(_ context.Context, _ string, from uint64) iter.Seq2[[][32]byte, error] {
	return func(yield func([][32]byte, error) bool) {
		for piece := range slices.Chunk(l.all[from:], 1000) {
			if l.reads += len(piece); !yield(piece, nil) {
				return
			}
		}
	}
}

// TestProver makes the proofs that package merkle makes, of logs of all shapes, and
// reads little for each further one.
func TestProver(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, size := range []int{1, 2, 3, 1 << blockLevel, 1<<blockLevel + 1, 3<<blockLevel - 1, 20_000} {
		l := &leaves{all: make([][32]byte, size+5)} // some came after the checkpoint
		var tree merkle.Tree
		for i := range l.all {
			l.all[i] = merkle.Leaf([]byte{byte(i), byte(i >> 8), byte(i >> 16)})
			if i < size {
				tree.Append(l.all[i])
			}
		}
		p, err := newProver(t.Context(), l, Signed{Replica: "a", Size: uint64(size)})
		if err != nil {
			t.Fatal(err)
		}
		before := l.reads
		for seq := uint64(0); seq < uint64(min(size, 2000)); seq++ { // neighbours cost nothing more
			if _, err := p.prove(t.Context(), seq); err != nil {
				t.Fatal(err)
			}
		}
		if n := l.reads - before; n > 4<<blockLevel {
			t.Errorf("neighbours of %d: %d leaves were read", size, n)
		}
		for range 50 {
			seq := uint64(rng.IntN(size))
			before := l.reads
			proof, err := p.prove(t.Context(), seq)
			if err != nil {
				t.Fatal(err)
			}
			if err := proof.Check(uint64(size), tree.Root(), seq, l.all[seq]); err != nil {
				t.Errorf("record %d of %d: %v", seq, size, err)
			}
			if n := l.reads - before; n > 4<<blockLevel {
				t.Errorf("record %d of %d: %d leaves were read", seq, size, n)
			}
		}
		if _, err := p.prove(t.Context(), uint64(size)); err == nil {
			t.Errorf("a record that is not in a log of %d is proven", size)
		}
	}
	if _, err := newProver(t.Context(), &leaves{all: make([][32]byte, 3)}, Signed{Size: 4}); err == nil {
		t.Error("a log that is shorter than was signed is proven")
	}
}
