// Package kserve builds and reads, by hand, the few KServe v2 messages that
// the benchmark sends: a ModelInferRequest that says what it wants back, and
// the answers to it. [Codec] carries them by reference, so that the load
// generator and the backend cost little beside the proxy between them.
//
// It is not a KServe library: it reads only what it has written itself.
package kserve
