package merkle

import (
	"errors"
	"iter"

	"golang.org/x/mod/sumdb/tlog"
)

// ErrProof is the error of a proof that proves nothing.
var ErrProof = errors.New("merkle: the proof does not hold")

// Proof shows that a leaf is in a tree: the hashes beside its way to the root.
type Proof []Hash

// Prove makes the proofs for the leaves at indexes in the tree of size leaves. It
// reads all leaves once, in pieces that follow each other, and keeps what the
// proofs need: about 64 hashes each.
func Prove(size uint64, indexes []uint64, leaves iter.Seq2[[]Hash, error]) ([]Proof, error) {
	need := make(map[int64]tlog.Hash)
	collect := tlog.HashReaderFunc(func(at []int64) ([]tlog.Hash, error) {
		for _, i := range at {
			need[i] = tlog.Hash{}
		}
		return make([]tlog.Hash, len(at)), nil
	})
	for _, i := range indexes {
		if _, err := tlog.ProveRecord(int64(size), int64(i), collect); err != nil {
			return nil, ErrProof
		}
	}
	if err := fill(need, size, leaves); err != nil {
		return nil, err
	}
	read := tlog.HashReaderFunc(func(at []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(at))
		for n, i := range at {
			out[n] = need[i]
		}
		return out, nil
	})
	proofs := make([]Proof, len(indexes))
	for n, i := range indexes {
		p, err := tlog.ProveRecord(int64(size), int64(i), read)
		if err != nil {
			return nil, err
		}
		for _, h := range p {
			proofs[n] = append(proofs[n], Hash(h))
		}
	}
	return proofs, nil
}

// fill computes the needed hashes of perfect subtrees.
func fill(need map[int64]tlog.Hash, size uint64, leaves iter.Seq2[[]Hash, error]) error {
	t := Tree{Visit: func(level int, n uint64, h Hash) {
		i := tlog.StoredHashIndex(level, int64(n))
		if _, wanted := need[i]; wanted {
			need[i] = tlog.Hash(h)
		}
	}}
	for piece, err := range leaves {
		if err != nil {
			return err
		}
		for _, leaf := range piece {
			if t.size == size {
				return nil
			}
			t.Append(leaf)
		}
	}
	if t.size < size {
		return ErrProof
	}
	return nil
}

// Check tells whether the proof shows that leaf is at index in the tree of this
// size and root.
func (p Proof) Check(size uint64, root Hash, index uint64, leaf Hash) error {
	proof := make(tlog.RecordProof, len(p))
	for i, h := range p {
		proof[i] = tlog.Hash(h)
	}
	if index >= size || tlog.CheckRecord(proof, int64(size), tlog.Hash(root), int64(index), tlog.Hash(leaf)) != nil {
		return ErrProof
	}
	return nil
}
