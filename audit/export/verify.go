package export

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/merkle"
)

// Report is what [Verify] has found.
type Report struct {
	// Records are those whose proofs hold, Parts the files that are as they were written.
	Records int64
	Parts   int
	// Manifest is the SHA-256 of the manifest's file: the one that the export told.
	Manifest string
	// Logs are the checkpoints that the records are proven against.
	Logs []merkle.Statement
	// Problems are what does not hold, each with its file or record; nothing is
	// certain of an export that has one.
	Problems []string
}

// OK tells whether all holds.
func (r *Report) OK() bool { return len(r.Problems) == 0 }

// maxProblems is how many problems are told.
const maxProblems = 100

// maxLine bounds a line of proofs, in bytes.
const maxLine = 256 << 20

func (r *Report) problem(format string, args ...any) {
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
	}
}

// Verify checks an export with nothing but its files and the public keys of the
// logs: the checkpoints are signed, each record's encoding is in its log, each file
// of records is what is written of these encodings. An edit, an added record and a
// file that is missing or cut are problems, and so are records that miss where the
// export is of a whole log; of other queries, that a record is missing shows in the
// manifest's hash alone. The error is that of files that can't be read at all.
func Verify(ctx context.Context, t Target, public ...string) (*Report, error) {
	m, b, err := read(ctx, t, ManifestName)
	if err != nil {
		return nil, fmt.Errorf("export: reading the manifest: %w", err)
	}
	v := &verifier{Report: &Report{}, target: t, manifest: m, logs: map[string]merkle.Statement{}, next: map[string]uint64{}, first: map[string]uint64{}, pruned: map[string]uint64{}}
	v.Manifest = hashOf(b)
	if m.Version != manifestVersion || !m.Format.Known() {
		v.problem("%s: is of a version or format that is not known here", ManifestName)
		return v.Report, nil
	}
	v.statements(public)
	records := int64(0)
	for i := range m.Parts {
		records += int64(m.Parts[i].Records)
		v.part(ctx, &m.Parts[i])
	}
	if records != m.Records {
		v.problem("%s: tells of %d records, its parts of %d", ManifestName, m.Records, records)
	}
	v.ends()
	return v.Report, nil
}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

type verifier struct {
	*Report
	target   Target
	manifest *Manifest
	logs     map[string]merkle.Statement
	// Of each log, where it is exported whole: which record has to come, which came
	// first, and how far it was pruned, as the log itself says, or the checkpoint of
	// another's who did it.
	next, first, pruned map[string]uint64
}

// statements opens the checkpoints with the keys of their logs.
func (v *verifier) statements(public []string) {
	for _, l := range v.manifest.Logs {
		if l.Size == 0 {
			continue
		}
		err := errors.New("no public key of it was given")
		var s merkle.Statement
		for _, key := range public {
			if s, err = merkle.Open([]byte(l.Note), key); err == nil {
				break
			}
		}
		if err != nil || s.Origin != l.Replica || s.Size != l.Size {
			v.problem("%s: the checkpoint of log %s is not its: %v", ManifestName, l.Replica, err)
			continue
		}
		v.logs[l.Replica] = s
		v.Logs = append(v.Logs, s)
		for _, p := range s.Pruned {
			v.pruned[p.Origin] = max(v.pruned[p.Origin], p.To)
		}
	}
}

// part checks one part.
func (v *verifier) part(ctx context.Context, p *Part) {
	if p.Proofs == nil {
		v.problem("%s: has no proofs", p.Name)
		return
	}
	again := sha256.New()
	w := newWriter(v.manifest.Format, again)
	records := 0
	ok := v.file(ctx, p.Proofs.Name, p.Proofs.SHA256, func(r io.Reader) error {
		n, err := v.proofs(r, w)
		records = n
		return err
	})
	if !ok {
		return
	}
	if records != p.Records {
		v.problem("%s: proves %d records, and the manifest tells of %d", p.Proofs.Name, records, p.Records)
	}
	if err := w.close(); err != nil {
		v.problem("%s: %v", p.Name, err)
	}
	written := hex.EncodeToString(again.Sum(nil))
	if !v.file(ctx, p.Name, p.SHA256, func(r io.Reader) error { _, err := io.Copy(io.Discard, r); return err }) {
		return
	}
	if written != p.SHA256 {
		v.problem("%s: is not what is written of the records that are proven", p.Name)
		return
	}
	v.Parts++
}

// file reads a file, and compares its hash.
func (v *verifier) file(ctx context.Context, name, want string, use func(io.Reader) error) bool {
	f, err := v.target.Get(ctx, name)
	if err != nil {
		v.problem("%s: can't be read: %v", name, err)
		return false
	}
	defer func() { _ = f.Close() }()
	sum := sha256.New()
	err = use(io.TeeReader(f, sum))
	if err == nil {
		_, err = io.Copy(sum, f) // what use has left
	}
	switch {
	case err != nil:
		v.problem("%s: %v", name, err)
	case hex.EncodeToString(sum.Sum(nil)) != want:
		v.problem("%s: is not the file that the manifest tells of", name)
	default:
		return true
	}
	return false
}

// proofs checks the lines of a file of proofs, and writes their records to w.
func (v *verifier) proofs(r io.Reader, w writer) (records int, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	var hashes [][]byte
	for n := 0; lines.Scan(); n++ {
		var line proofLine
		dec := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&line); err != nil {
			return records, fmt.Errorf("line %d is no proof", n+1)
		}
		if n == 0 {
			hashes = line.Hashes
			continue
		}
		record, err := audit.Decode(line.Record)
		if err != nil || record.Replica != line.Replica || record.Seq != line.Seq {
			return records, fmt.Errorf("line %d holds another record than it says", n+1)
		}
		v.record(record, &line, hashes)
		if err := w.write(record); err != nil {
			return records, err
		}
		records++
	}
	return records, lines.Err()
}

// record checks one record's proof.
func (v *verifier) record(r *audit.Record, line *proofLine, hashes [][]byte) {
	log, known := v.logs[r.Replica]
	if !known {
		v.problem("record %s/%d: its log has no checkpoint here", r.Replica, r.Seq)
		return
	}
	proof := make(merkle.Proof, 0, len(line.Proof))
	for _, i := range line.Proof {
		if i < 0 || i >= len(hashes) || len(hashes[i]) != len(merkle.Hash{}) {
			v.problem("record %s/%d: its proof is cut", r.Replica, r.Seq)
			return
		}
		proof = append(proof, merkle.Hash(hashes[i]))
	}
	if err := proof.Check(log.Size, log.Root, r.Seq, merkle.Leaf(line.Record)); err != nil {
		v.problem("record %s/%d: is not in the log, or was changed", r.Replica, r.Seq)
		return
	}
	v.Records++
	if !v.manifest.whole() {
		return
	}
	want, begun := v.next[r.Replica]
	if !begun {
		v.first[r.Replica] = r.Seq
	}
	v.pruned[r.Replica] = max(v.pruned[r.Replica], audit.PrunedTo(r))
	if begun && want != r.Seq {
		v.problem("record %s/%d: follows %d, %s", r.Replica, r.Seq, want-1, v.between(r.Replica, want, r.Seq-1))
	}
	v.next[r.Replica] = r.Seq + 1
}

// between says why records miss: as the manifest says, which is no proof.
func (v *verifier) between(replica string, first, last uint64) string {
	for _, d := range v.manifest.Damaged {
		if d.Replica == replica && d.First <= first && d.Last >= last {
			return "what was between could not be read when it was exported, as the manifest says"
		}
	}
	return "what was between is missing"
}

// ends checks that whole logs go from where they were pruned up to their checkpoints.
func (v *verifier) ends() {
	if !v.manifest.whole() {
		return
	}
	for _, s := range v.Logs {
		if of := v.manifest.Query.Replica; of != "" && of != s.Origin {
			continue
		}
		next, begun := v.next[s.Origin]
		switch first := v.first[s.Origin]; {
		case !begun && v.pruned[s.Origin] >= s.Size: // its replica is gone, and all that it had
		case !begun:
			v.problem("log %s: %d records were signed, and the export has none", s.Origin, s.Size)
		case next < s.Size:
			v.problem("log %s: %d records were signed, and the export ends with %d", s.Origin, s.Size, next-1)
		case first > v.pruned[s.Origin]:
			v.problem("log %s: the export begins with record %d, and no record says that those before were pruned", s.Origin, first)
		}
	}
}
