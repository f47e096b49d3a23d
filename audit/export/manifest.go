package export

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/sluice-gateway/sluice/audit"
)

// Names of an export's files, beside its parts.
const (
	// ManifestName is the manifest, written last: an export without one is not done.
	ManifestName = "manifest.json"
	// stateName is where a run that was broken off goes on.
	stateName = "state.json"
)

// manifestVersion changes when a manifest's meaning does.
const manifestVersion = 1

// Manifest says what an export holds.
type Manifest struct {
	Version int    `json:"version"`
	Format  Format `json:"format"`
	// Query is what was asked for.
	Query   audit.Query `json:"query"`
	Records int64       `json:"records"`
	Parts   []Part      `json:"parts"`
	// Logs are the replicas' logs as they were signed when the export began: records
	// after that are not in it.
	Logs []Signed `json:"logs,omitempty"`
	// Damaged are records that could not be read, and might have been in the export.
	Damaged []Damaged `json:"damaged,omitempty"`
}

// Damaged are records of a log that can't be read, from the first to the last.
type Damaged struct {
	Replica string `json:"replica"`
	First   uint64 `json:"first"`
	Last    uint64 `json:"last"`
}

// Part is one file of records, and the one with the proofs of them.
type Part struct {
	Name    string `json:"name"`
	Records int    `json:"records"`
	Size    int64  `json:"size"`
	SHA256  string `json:"sha256"`
	Proofs  *File  `json:"proofs,omitempty"`
	// Cursor goes on after the part's last record.
	Cursor string `json:"cursor"`
}

// File is a file's name and hash.
type File struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Signed is a log's checkpoint: the note that its key has signed.
type Signed struct {
	Replica string `json:"replica"`
	Size    uint64 `json:"size"`
	Note    string `json:"note"`
}

// proofLine is a line of a part's proofs. The first of a file holds hashes alone,
// each other a record: the encoding that the log hashed, and which of the hashes
// lead from it to the log's root.
type proofLine struct {
	Hashes  [][]byte `json:"hashes,omitempty"`
	Replica string   `json:"replica,omitempty"`
	Seq     uint64   `json:"seq,omitempty"`
	Record  []byte   `json:"record,omitempty"`
	Proof   []int    `json:"proof,omitempty"`
}

// errState is why a run does not go on.
var errState = errors.New("export: what is there is of another export; choose another place, or delete it")

// settle makes an export's choices final, so that going on later makes them again.
// What a signed log holds is settled by its checkpoint, else by the time.
func settle(q audit.Query, signed bool, now time.Time) audit.Query {
	q.Oldest, q.Limit, q.After = true, 0, ""
	if q.Until.IsZero() && !signed {
		q.Until = now.Truncate(time.Microsecond)
	}
	return inUTC(q)
}

// inUTC makes equal times equal in JSON.
func inUTC(q audit.Query) audit.Query {
	for _, t := range []*time.Time{&q.Since, &q.Until} {
		*t = t.UTC()
	}
	return q
}

// same tells whether what was settled is what is asked for now.
func same(settled, asked audit.Query) bool {
	asked.Oldest, asked.Limit, asked.After = true, 0, ""
	if asked.Until.IsZero() {
		asked.Until = settled.Until
	}
	a, errA := json.Marshal(inUTC(settled))
	b, errB := json.Marshal(inUTC(asked))
	return errA == nil && errB == nil && string(a) == string(b)
}

// whole tells whether a manifest is of all that logs had: then nothing in between
// may be missing.
func (m *Manifest) whole() bool {
	return m.Query.Until.IsZero() && same(m.Query, audit.Query{Replica: m.Query.Replica})
}

// encode is the manifest's file.
func (m *Manifest) encode() ([]byte, error) {
	b, err := json.MarshalIndent(m, "", "  ")
	return append(b, '\n'), err
}
