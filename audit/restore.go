package audit

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"github.com/sluice-gateway/sluice/audit/merkle"
)

// restore makes the tree of what is there. Where it goes on from its edge, it gives
// what all hashes have yet to be compared with.
func (r *Recorder) restore(ctx context.Context) (unread []merkle.Statement, err error) {
	var mine State
	states, err := r.o.Log.States(ctx)
	if err != nil {
		return nil, fmt.Errorf("audit: reading the log: %w", err)
	}
	for _, s := range states {
		if s.Replica == r.Replica() {
			mine = s
		}
	}
	if _, single := r.o.Log.(Single); single && len(states) > 0 && mine.Replica == "" {
		return nil, errAnotherKey
	}
	remembered, tree, err := r.o.Key.Last()
	if err != nil {
		return nil, fmt.Errorf("%w: what was remembered beside the key: %v", errChanged, err)
	}
	signed := []merkle.Statement{remembered}
	if mine.Last.Size > 0 {
		last, err := merkle.Open(mine.Last.Note, r.o.Key.Public())
		if err != nil {
			return nil, fmt.Errorf("%w: its last checkpoint: %v", errChanged, err)
		}
		signed = append(signed, last)
	}
	for _, s := range signed {
		for _, p := range s.Pruned {
			r.gone[p.Origin] = max(r.gone[p.Origin], p.To)
		}
	}
	if tree != nil {
		r.tree, unread = *tree, signed
	}
	if err := r.grow(ctx, mine.Size, signed); err != nil {
		return nil, err
	}
	r.signed = max(mine.Last.Size, remembered.Size)
	r.recall(ctx, states, signed)
	return unread, r.pruned(ctx, mine)
}

// pruned looks at what was not signed when the process before ended. What says that
// records were pruned is never among it: the checkpoint is written with it.
func (r *Recorder) pruned(ctx context.Context, mine State) error {
	if mine.Size <= r.signed {
		return nil
	}
	for found, err := range r.o.Log.Search(ctx, Query{Replica: r.Replica(), Kinds: []Kind{KindPrune}, Limit: 1}) {
		if err != nil {
			return nil // which a verification tells of
		}
		if found.Place >= r.signed {
			return fmt.Errorf("%w (record %d speaks of pruning, and is not signed)", errChanged, found.Place)
		}
	}
	return nil
}

// grow reads the leaves that the tree does not have, and compares the roots with those
// that were signed.
func (r *Recorder) grow(ctx context.Context, size uint64, signed []merkle.Statement) error {
	for _, s := range signed {
		if s.Size > size {
			return fmt.Errorf("%w (%d records were signed, and it has %d)", errChanged, s.Size, size)
		}
	}
	err := follow(r.o.Log.Leaves(ctx, r.Replica(), r.tree.Size()), &r.tree, signed, nil)
	if err == nil && r.tree.Size() != size {
		err = fmt.Errorf("%w (%d records, %d hashes)", errChanged, size, r.tree.Size())
	}
	return err
}

// follow adds leaves to a tree, and compares its roots with those that were signed.
// each, if not nil, is called after each piece, and ends it with false.
func follow(leaves iter.Seq2[[][32]byte, error], tree *merkle.Tree, signed []merkle.Statement, each func() bool) error {
	for piece, err := range leaves {
		if err != nil {
			return fmt.Errorf("audit: reading the log's hashes: %w", err)
		}
		for _, leaf := range piece {
			tree.Append(leaf)
			for _, s := range signed {
				if s.Size == tree.Size() && s.Root != tree.Root() {
					return errChanged
				}
			}
		}
		if each != nil && !each() {
			return nil
		}
	}
	return nil
}

// restShare is how many times as long as it has read [Recorder.recheck] rests: the
// calls of a gateway that has just started have the machine.
const restShare = 3

// recheck reads all hashes that the start did not. A log whose beginning was changed
// while nobody wrote to it is not written to any longer.
func (r *Recorder) recheck(signed []merkle.Statement) {
	ctx, cancel := r.untilStopped()
	defer cancel()
	last := uint64(0)
	for _, s := range signed {
		last = max(last, s.Size)
	}
	var tree merkle.Tree
	began := time.Now()
	err := follow(r.o.Log.Leaves(ctx, r.Replica(), 0), &tree, signed, func() bool {
		r.pause(ctx, restShare*time.Since(began))
		began = time.Now()
		return tree.Size() < last
	})
	if err == nil && tree.Size() < last {
		err = fmt.Errorf("%w (hash %d is missing)", errChanged, tree.Size())
	}
	if err == nil || ctx.Err() != nil {
		return
	}
	if errors.Is(err, errChanged) {
		r.broken.Store(&err)
	}
	r.o.Logger.LogAttrs(ctx, slog.LevelError, "the audit log's hashes are not what was signed, or can't be read", slog.Any("error", err))
}
