package audit

import (
	"context"
	"iter"
)

// CheckpointPages makes [Tree.Checkpoints] of what reads a page of them, from a size on;
// an empty one is the end.
func CheckpointPages(size uint64, page func(size uint64) ([]Checkpoint, error)) iter.Seq2[Checkpoint, error] {
	return func(yield func(Checkpoint, error) bool) {
		for {
			all, err := page(size)
			if err != nil {
				yield(Checkpoint{}, err)
				return
			}
			for _, c := range all {
				if size = c.Size + 1; !yield(c, nil) {
					return
				}
			}
			if len(all) == 0 {
				return
			}
		}
	}
}

// LeafPages makes [Tree.Leaves] of what reads a page of them, from a record on; an
// empty one is the end.
func LeafPages(from uint64, page func(from uint64) ([][32]byte, error)) iter.Seq2[[][32]byte, error] {
	return func(yield func([][32]byte, error) bool) {
		for {
			leaves, err := page(from)
			if err != nil {
				yield(nil, err)
				return
			}
			if len(leaves) == 0 || !yield(leaves, nil) {
				return
			}
			from += uint64(len(leaves))
		}
	}
}

// SetTimes sets the times of a log's first and last record, of those that can be read.
func (s *Stats) SetTimes(ctx context.Context, l Log) error {
	var past Damage
	for _, oldest := range []bool{true, false} {
		for found, err := range l.Search(ctx, Query{Oldest: oldest, Limit: 1}) {
			switch {
			case past.Take(err):
			case err != nil:
				return err
			case oldest:
				s.Oldest = found.Record.Time
			default:
				s.Newest = found.Record.Time
			}
		}
	}
	return nil
}
