package export

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/merkle"
)

// proofs writes the file that shows of a part's records that they are in the log.
// Hashes that several proofs need stand there once.
func (r *run) proofs(ctx context.Context, name string, entries []audit.Entry) (f *File, err error) {
	proofs := make([]merkle.Proof, len(entries))
	for _, l := range r.manifest.Logs {
		var at []int
		var seqs []uint64
		for i, e := range entries {
			if e.Record.Replica == l.Replica {
				at, seqs = append(at, i), append(seqs, e.Record.Seq)
			}
		}
		if len(seqs) == 0 {
			continue
		}
		some, err := merkle.Prove(l.Size, seqs, r.Tree.Leaves(ctx, l.Replica, 0))
		if err != nil {
			return nil, err
		}
		for n, i := range at {
			proofs[i] = some[n]
		}
	}
	s, err := newSpool(r.Temp)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.remove()) }()
	if err := writeProofs(s, entries, proofs); err != nil {
		return nil, err
	}
	f = &File{Name: name}
	f.Size, f.SHA256, err = s.send(ctx, r.Target, name)
	return f, err
}

func writeProofs(s *spool, entries []audit.Entry, proofs []merkle.Proof) error {
	known := map[merkle.Hash]int{}
	lines := make([]proofLine, 1, len(entries)+1)
	for i, e := range entries {
		line := proofLine{Replica: e.Record.Replica, Seq: e.Record.Seq, Record: e.Bytes, Proof: []int{}}
		for _, h := range proofs[i] {
			n, found := known[h]
			if !found {
				n = len(known)
				known[h] = n
				lines[0].Hashes = append(lines[0].Hashes, slices.Clone(h[:]))
			}
			line.Proof = append(line.Proof, n)
		}
		lines = append(lines, line)
	}
	enc := json.NewEncoder(s)
	for i := range lines {
		if err := enc.Encode(&lines[i]); err != nil {
			return err
		}
	}
	return nil
}
