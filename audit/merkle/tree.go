package merkle

import (
	"crypto/sha256"
	"math/bits"
	"slices"
)

// Hash is SHA-256, as RFC 6962 uses it.
type Hash = [sha256.Size]byte

// LeafPrefix is the byte that a record's hash begins with. Who encodes a record
// behind it can hash both without a copy.
const LeafPrefix = 0

// Leaf is the hash of a record's bytes.
func Leaf(record []byte) Hash {
	return PrefixedLeaf(append(append(make([]byte, 0, len(record)+1), LeafPrefix), record...))
}

// PrefixedLeaf is [Leaf] of what stands behind a [LeafPrefix].
func PrefixedLeaf(prefixed []byte) Hash { return sha256.Sum256(prefixed) }

func node(left, right *Hash) Hash {
	var b [1 + 2*sha256.Size]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[1+sha256.Size:], right[:])
	return sha256.Sum256(b[:])
}

// Tree is the right edge of a Merkle tree: enough to append to it and to say its
// root. The zero Tree is empty. It is for one goroutine at a time.
type Tree struct {
	size uint64
	edge []Hash // the perfect subtrees that size is the sum of, the largest first
	// Visit, if set, hears of each perfect subtree when it is complete: its n-th of
	// those of 1<<level leaves.
	Visit func(level int, n uint64, h Hash)
}

// Append adds a leaf.
func (t *Tree) Append(leaf Hash) {
	t.visit(0, leaf)
	for range bits.TrailingZeros64(^t.size) {
		last := len(t.edge) - 1
		leaf = node(&t.edge[last], &leaf)
		t.edge = t.edge[:last]
	}
	t.edge = append(t.edge, leaf)
	t.size++
}

// visit tells of the subtrees that the next leaf completes.
func (t *Tree) visit(level int, h Hash) {
	if t.Visit == nil {
		return
	}
	t.Visit(level, t.size, h)
	for i := len(t.edge) - 1; t.size>>level&1 == 1; i-- {
		h = node(&t.edge[i], &h)
		level++
		t.Visit(level, t.size>>level, h)
	}
}

// Size is how many leaves there are.
func (t *Tree) Size() uint64 { return t.size }

// Root is the tree's hash.
func (t *Tree) Root() Hash {
	if t.size == 0 {
		return sha256.Sum256(nil)
	}
	h := t.edge[len(t.edge)-1]
	for i := len(t.edge) - 2; i >= 0; i-- {
		h = node(&t.edge[i], &h)
	}
	return h
}

// Clone returns a tree that goes its own way.
func (t *Tree) Clone() *Tree { return &Tree{size: t.size, edge: slices.Clone(t.edge)} }
