// Package audit is what was done, written down: one [Record] for each call, each
// refusal and each thing that happened to the gateway itself, in one order that
// cannot be changed afterwards without it being seen.
//
// A [Recorder] takes records from the calls, gives them their place in the order,
// and writes them in batches to one [Log], the truth; from there they go on to
// any number of [Sink]s. A record's encoding ([Record.Append]) is the leaf of a
// Merkle tree (package audit/merkle): the bytes that are kept are those that were
// hashed.
//
// It holds no sockets and no SQL: where records are kept is in the packages below
// (audit/sqlite). What a call said and was answered is not in a record; see
// package audit/payload for that.
package audit
