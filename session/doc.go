// Package session knows who is on the gateway, and ends it. A session is one
// stream's calls, or those of one principal on one connection; [Registry] holds
// the live ones of this replica, shows those of the others, and keeps out
// principals whom somebody has ended: on every replica, through the store.
//
// It is in the way of every call, so that a call costs it one small struct and
// the lock of its own connection. It counts nothing for limits, decides no
// rights, and does not know gRPC: who may kill is the caller's to decide, and how
// a call is stopped is an [Ender]'s.
package session
