// Package export writes records of the audit log to files that others read: JSON
// lines, CSV for spreadsheets, Parquet, OCSF's API Activity and CloudEvents, in a
// folder or an object store.
//
// [Run] writes the records of a query in parts, beside each part the proof that its
// records are in the log, and a manifest of all; a run that was broken off goes on
// where it was, and gives the same bytes. [Verify] needs the files and the log's
// public key, and nothing of the gateway.
//
// What was said in calls is not exported: payloads are sealed, and opened one by
// one for who may read them.
package export
