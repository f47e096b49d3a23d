package audit

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// Errors that every log gives, wrapped or as they are. Any other is the log's own
// trouble, and for the gateway's log alone.
var (
	// ErrNotFound is the answer to a [Log.Get] of what is not there, or not any more.
	ErrNotFound = errors.New("audit: no such record")
	// ErrOutOfOrder is why an Append wrote nothing: the batch does not continue the
	// log, or says something else than what is there.
	ErrOutOfOrder = errors.New("audit: records out of order")
	// ErrCursor is the answer to a cursor that this log did not give.
	ErrCursor = errors.New("audit: not a cursor of this log")
)

// DamagedError says that some records can't be read any more, though they were
// written.
type DamagedError struct {
	Replica string
	// First and Last are the first and the last of them.
	First, Last uint64
	Cause       error
}

// Error names the records.
func (e *DamagedError) Error() string {
	return fmt.Sprintf("audit: records %d to %d of %s can't be read", e.First, e.Last, e.Replica)
}

// Unwrap is what was wrong, for the gateway's log alone.
func (e *DamagedError) Unwrap() error { return e.Cause }

// Entry is a record as a log keeps it.
type Entry struct {
	// Record is what Bytes say. It is shared and not to be written to.
	Record *Record
	// Bytes are the record's encoding, and what Leaf is the hash of: they are kept,
	// and given back, as they are.
	Bytes []byte
	// Leaf is SHA-256(0x00 || Bytes), the leaf of the Merkle tree (RFC 6962).
	Leaf [32]byte
	// Place is where a log that gives the entry has it: [Record.Seq], unless somebody
	// has changed one of them. Append does not look at it.
	Place uint64
	// Payload is kept beside the record, by logs that are [Payloads]; nil is none.
	Payload *Payload
}

// Batch is what is appended at once.
type Batch struct {
	// Replica is whose log the entries continue. Their Seq go up by one.
	Replica string
	Entries []Entry
	// Checkpoint, if set, is of the log with these entries.
	Checkpoint *Checkpoint
	// Sync tells that the batch is to outlive a loss of power once Append returns;
	// without it, a loss of the process.
	Sync bool
}

// Checkpoint is a signed statement of what a log held.
type Checkpoint struct {
	Replica string
	// Size is how many records there were, Root the Merkle tree's hash of them.
	Size uint64
	Root [32]byte
	Time time.Time
	// Note is the signed text (golang.org/x/mod/sumdb/note), which says all of this
	// and the last checkpoint of each other replica.
	Note []byte
}

// Log is where records are kept: the truth. It may keep the logs of several
// replicas. All methods are safe for concurrent use; there is one writer for each
// replica. Every call ends soon after its context does, or is bounded by itself.
type Log interface {
	// Append writes a batch, all or nothing. What of it is there already, to the
	// byte, is passed over: an Append whose end was not heard of may be repeated.
	Append(ctx context.Context, b Batch) error
	// Search gives the records that q asks for, one after the other, and an error
	// last if there was one. Records that come while it runs may be in it or not. A
	// [DamagedError] stands for records that can't be read: the search goes on behind
	// them.
	Search(ctx context.Context, q Query) iter.Seq2[Found, error]
	// Get reads one record.
	Get(ctx context.Context, replica string, seq uint64) (Entry, error)
	// Tree is what is kept for proofs.
	Tree
	// Close ends the log; what was appended is written.
	Close() error
}

// Tree is the part of a log that outlives its records.
type Tree interface {
	// States tells of each replica's log, in the order of their names.
	States(ctx context.Context) ([]State, error)
	// Leaves gives the hashes of records from one on, those of pruned ones too: each
	// piece follows the one before, and the last may be short.
	Leaves(ctx context.Context, replica string, from uint64) iter.Seq2[[][32]byte, error]
	// Checkpoints gives the checkpoints of sizes from one on, the smallest first.
	Checkpoints(ctx context.Context, replica string, size uint64) iter.Seq2[Checkpoint, error]
}

// State is what there is of one replica's log.
type State struct {
	Replica string
	// Size is how many records were ever written, First the first that is still
	// kept.
	Size, First uint64
	// Last is the last checkpoint; a zero Size is none.
	Last Checkpoint
}

// Found is one record that a search gives.
type Found struct {
	Entry
	// Cursor goes on after this record ([Query.After]).
	Cursor string
}

// Query asks for records. Empty fields ask for all; all that are set have to hold.
type Query struct {
	// Since and Until bound [Record.Time], Until itself not included.
	Since, Until time.Time
	Replica      string
	Kinds        []Kind // any of them
	// Principal is "issuer#subject", or the subject alone if there is no "#" in it.
	Principal string
	Group     string
	Model     string
	Verb      string
	Verdict   Verdict
	Rule      string
	Guard     string
	Session   string
	Call      string
	// Approval is the id of an approval request or of a grant, Approver who gave it.
	Approval string
	Approver string
	// Entity is one that was masked or observed.
	Entity string
	// Status is a gRPC code; nil is any, since 0 is OK.
	Status *uint32
	// Object is what an admin action was about.
	Object string
	// Words are asked for in payloads: of each, one of its hashes (one for each day's
	// key) has to be there. Logs that are no [Payloads] find none.
	Words [][]uint64

	// Oldest gives the oldest records first, in the order of their writing; without
	// it the newest come first.
	Oldest bool
	// After is the cursor of the record to go on after. Going on neither skips nor
	// repeats a record, whatever is written or pruned meanwhile.
	After string
	// Limit is how many records to give at most; 0 is no limit.
	Limit int
}

// Optional abilities of logs, asked for by type assertion.
type (
	// Pruner deletes old records and keeps their hashes.
	Pruner interface {
		// Old finds up to which record, itself not included, all began before a time.
		Old(ctx context.Context, replica string, before time.Time) (to uint64, err error)
		// Prune deletes the records up to one, itself not included, in small steps; it
		// may leave the last of them for the next time. It is called after a record
		// that says so is written ([KindPrune]), so that pruning and dropping are told apart.
		Prune(ctx context.Context, replica string, to uint64) (pruned int, err error)
	}
	// Shared is a log that holds those of several replicas, of which some may be gone
	// for good.
	Shared interface {
		// PruneGone is Prune for another replica's log, and prunes nothing where a
		// process holds that log: its own, or another that prunes it. say is called
		// before, where there is something to prune; its error is PruneGone's.
		PruneGone(ctx context.Context, replica string, to uint64, say func(context.Context) error) (pruned int, err error)
	}
	// Single is a log that can hold one replica's records only.
	Single interface{ Single() }
	// Owned is a log that one process at a time may write to. Own waits for another
	// that is about to end, as long as ctx lasts; Close gives the log up.
	Owned interface {
		Own(ctx context.Context) error
	}
	// Counter tells how much there is.
	Counter interface {
		Stats(ctx context.Context) (Stats, error)
	}
	// Payloads keeps sealed payloads ([Entry.Payload]) and the sealed keys that open
	// them. Deleting a key is what makes its payloads unreadable for ever.
	Payloads interface {
		// Payload reads one; [ErrNotFound] if there is none.
		Payload(ctx context.Context, id string) (Payload, error)
		// DropPayloads deletes the payloads under a key, and gives how many.
		DropPayloads(ctx context.Context, key string) (int, error)
		// PutKey keeps a sealed key, durably; one of the same id must be the same.
		PutKey(ctx context.Context, k Key) error
		Keys(ctx context.Context) ([]Key, error)
		// DeleteKey overwrites and deletes a key.
		DeleteKey(ctx context.Context, id string) error
	}
	// Marks keeps how far each sink has come.
	Marks interface {
		// Mark reads the cursor of a name; "" if there is none.
		Mark(ctx context.Context, name string) (cursor string, err error)
		SetMark(ctx context.Context, name, cursor string) error
	}
)

// Payload is what was said, sealed: a log can't read it.
type Payload struct {
	// ID is [PayloadRef.ID], Key the id of the [Key] that it is sealed with.
	ID, Key string
	Body    []byte
	// Words are keyed hashes of its words, for [Query.Words], sorted.
	Words []uint64
}

// Key is a data key, sealed with one that the log does not have.
type Key struct {
	ID     string // "2026-11-22"
	Sealed []byte
}

// Stats says how much there is.
type Stats struct {
	// Records are those that are kept; Bytes what they take on disk, hashes, indexes
	// and payloads included.
	Records, Payloads uint64
	Bytes             int64
	// Oldest and Newest are the times of the first and the last record.
	Oldest, Newest time.Time
}

// Sink is another place that records go to, after the log has them. Each record is
// sent at least once, in order; after a failure the same ones come again.
type Sink interface {
	// Name is unique among the sinks, and stable: how far the sink has come is kept
	// by it.
	Name() string
	// Send takes a batch, all of it or an error. It ends soon after ctx does.
	Send(ctx context.Context, batch []Entry) error
	Close() error
}
