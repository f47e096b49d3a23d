// Package approval keeps what people have to agree to: the requests of calls that
// a guard holds, the time-boxed grants that an approval gives, access that is
// asked for ahead, and break-glass. [Engine] is all of it, over a [store.Store]
// that replicas share; [Engine.Admit] is what a call waits in, and Digest* say
// what a person agrees to.
//
// A call is let through by a grant and by nothing else: an approval makes a
// grant, the held call wakes up, is decided again from the beginning, and uses
// the grant as a repeat of the call would. So there is one way in, on the
// replica where the approval was given as on every other, before a restart as
// after it.
//
// It deliberately does not know what guards and roles say (they are asked through
// functions), who may see which request beyond [Request.MayApprove] (that is
// services/admin's), nor how people hear of it: it writes notifications beside
// each change, and package notify sends them.
package approval
