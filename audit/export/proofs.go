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
	for i, e := range entries {
		p, err := r.prover(ctx, e.Record.Replica)
		if err != nil {
			return nil, err
		}
		if proofs[i], err = p.prove(ctx, e.Record.Seq); err != nil {
			return nil, err
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

// prover is the one of a log, made with the first record of it.
func (r *run) prover(ctx context.Context, replica string) (p *prover, err error) {
	if p = r.provers[replica]; p != nil {
		return p, nil
	}
	at := slices.IndexFunc(r.manifest.Logs, func(l Signed) bool { return l.Replica == replica })
	if at < 0 {
		return nil, merkle.ErrProof
	}
	if p, err = newProver(ctx, r.Tree, r.manifest.Logs[at]); err == nil {
		r.provers[replica] = p
	}
	return p, err
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
