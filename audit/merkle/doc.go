// Package merkle is what makes a log tamper-evident: the hashes of RFC 6962 over
// its records ([Tree]), statements of what it held, signed as notes
// ([Key.Sign], [Open]), and proofs that a record is in it ([Prove], [Check]).
//
// It keeps nothing and knows no records: the hashes are kept by the log, the key by
// a file that the log's writers can't read.
package merkle
