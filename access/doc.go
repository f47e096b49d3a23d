// Package access holds the words that every other package of Sluice speaks:
// who calls ([Principal]), what is done ([Verb]) to which model, one call on
// its way through the gateway ([Call]), what was decided about it
// ([Decision]), and what went wrong ([Error]).
//
// It depends on the standard library only and does nothing by itself: the
// decisions are in package policy, their gRPC skins in package interceptors.
package access
