// Package payload keeps what was said: the messages of calls, masked for
// everybody, compressed, and sealed with a key of their day, which dies at the
// end of what is kept.
//
// A [Keeper] decides which calls are captured ([Keeper.Begin]). On the call's path
// a [Capture] does no more than copy bytes and note the time, within a budget that
// all share; a call never waits for it. When the call has ended, [Capture.Close]
// hands it to few workers, which mask it, take its words for the search, and seal
// it; the record is written with what they give back. What could not be masked,
// or did not fit, is not kept, and the record says so.
//
// A [Reader] opens what was kept, as far as its key is still there.
//
// The package does not know how to mask ([Masker]), who wraps the keys
// ([Sealer]), nor where anything is stored ([audit.Payloads]).
package payload
