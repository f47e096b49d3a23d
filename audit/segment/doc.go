// Package segment is how logs in databases keep records: many in one block, and
// of the block the terms that are in it ([Of]), each with its places, so that a
// search ([For]) reads few blocks and in those few records. What it writes is in
// databases: it does not change.
package segment
