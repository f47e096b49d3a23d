package export

import (
	"context"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/merkle"
)

// blockLevel is the height of the subtrees whose hashes a prover keeps: what is
// below is read when it is needed, a block of leaves at once.
const blockLevel = 12

// prover makes proofs for the records of one log. It reads all leaves once, and then
// those beside the records alone: parts of a great log do not cost all of it each.
type prover struct {
	tree    audit.Tree
	replica string
	size    uint64
	high    map[int64]tlog.Hash // of level blockLevel and above, by tlog's index
	last    lowHashes           // of the last block, which every proof needs
	low     lowHashes           // of the block that a record was in last
}

// lowHashes are those within a block, by level.
type lowHashes struct {
	block  uint64
	levels [][]tlog.Hash // nil before the block is read
}

func newProver(ctx context.Context, tree audit.Tree, l Signed) (*prover, error) {
	p := &prover{tree: tree, replica: l.Replica, size: l.Size, high: map[int64]tlog.Hash{}}
	t := merkle.Tree{Visit: func(level int, n uint64, h merkle.Hash) {
		if level >= blockLevel {
			p.high[tlog.StoredHashIndex(level, int64(n))] = tlog.Hash(h)
		}
	}}
	for piece, err := range tree.Leaves(ctx, l.Replica, 0) {
		if err != nil {
			return nil, err
		}
		for _, leaf := range piece {
			if t.Size() == l.Size {
				return p, nil
			}
			t.Append(leaf)
		}
	}
	if t.Size() < l.Size {
		return nil, merkle.ErrProof
	}
	return p, nil
}

// prove makes the proof for one record. Records that stand close together are asked
// for one after the other.
func (p *prover) prove(ctx context.Context, seq uint64) (merkle.Proof, error) {
	read := tlog.HashReaderFunc(func(at []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(at))
		for i, index := range at {
			h, err := p.hash(ctx, index)
			if err != nil {
				return nil, err
			}
			out[i] = h
		}
		return out, nil
	})
	found, err := tlog.ProveRecord(int64(p.size), int64(seq), read)
	if err != nil {
		return nil, err
	}
	proof := make(merkle.Proof, len(found))
	for i, h := range found {
		proof[i] = merkle.Hash(h)
	}
	return proof, nil
}

// hash is the hash of a perfect subtree.
func (p *prover) hash(ctx context.Context, index int64) (tlog.Hash, error) {
	level, n := tlog.SplitStoredHashIndex(index)
	if level >= blockLevel {
		h, found := p.high[index]
		if !found {
			return h, merkle.ErrProof
		}
		return h, nil
	}
	block := uint64(n) << level >> blockLevel
	low := &p.low
	if block == p.size>>blockLevel {
		low = &p.last
	}
	if low.levels == nil || low.block != block {
		levels, err := p.load(ctx, block)
		if err != nil {
			return tlog.Hash{}, err
		}
		*low = lowHashes{block, levels}
	}
	within := uint64(n) - block<<(blockLevel-level)
	if within >= uint64(len(low.levels[level])) {
		return tlog.Hash{}, merkle.ErrProof
	}
	return low.levels[level][within], nil
}

// load reads a block of leaves, and computes the hashes above them.
func (p *prover) load(ctx context.Context, block uint64) ([][]tlog.Hash, error) {
	const most = 1 << blockLevel
	first := block << blockLevel
	leaves := make([]tlog.Hash, 0, most)
	want := int(min(most, p.size-first))
	for piece, err := range p.tree.Leaves(ctx, p.replica, first) {
		if err != nil {
			return nil, err
		}
		for _, leaf := range piece[:min(len(piece), want-len(leaves))] {
			leaves = append(leaves, tlog.Hash(leaf))
		}
		if len(leaves) == want {
			break
		}
	}
	if len(leaves) < want {
		return nil, merkle.ErrProof
	}
	low := make([][]tlog.Hash, blockLevel)
	low[0] = leaves
	for level := 1; level < blockLevel; level++ {
		below := low[level-1]
		for i := 0; i+1 < len(below); i += 2 {
			low[level] = append(low[level], tlog.NodeHash(below[i], below[i+1]))
		}
	}
	return low, nil
}
