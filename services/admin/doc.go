// Package admin serves sluice.v1: approvals, grants, access that is asked for,
// sessions, policy, stored secrets, and who one is. It is translation, onto the
// packages that decide; what it decides itself is who gets to see which object
// (sight.go) and who may act on one, which no interceptor can know before the
// object has been read.
//
// Whether a caller may call an RPC at all has been decided by the policy step
// (interceptors/policy/rules.go). What somebody may not see is NOT_FOUND for
// him, in the same words as what is not there.
package admin
