package merkle

import (
	"errors"
	"math/bits"
	"os"
)

// edgeEnding is of the file beside the key that has the right edge of the tree that
// was signed last: who has it goes on with the tree, and reads no leaf of it again.
const edgeEnding = ".edge"

// keepEdge writes a tree's right edge, one hash after the other. It is not synced: a
// file that is cut, or older than the statement, is not of its root and passed over.
func (k *Key) keepEdge(t *Tree) error {
	b := make([]byte, 0, len(t.edge)*len(Hash{}))
	for i := range t.edge {
		b = append(b, t.edge[i][:]...)
	}
	name := k.path + edgeEnding
	return errors.Join(os.WriteFile(name+".new", b, private), os.Rename(name+".new", name))
}

// edge reads the tree that a statement is about; nil if another one's edge is there,
// or none. What is read needs no trust: no other edge has the root that was signed.
func (k *Key) edge(of Statement) *Tree {
	b, err := os.ReadFile(k.path + edgeEnding)
	if err != nil || of.Size == 0 || len(b) != bits.OnesCount64(of.Size)*len(Hash{}) {
		return nil
	}
	t := &Tree{size: of.Size}
	for ; len(b) > 0; b = b[len(Hash{}):] {
		t.edge = append(t.edge, Hash(b[:len(Hash{})]))
	}
	if t.Root() != of.Root {
		return nil
	}
	return t
}
