// Package dialect reads and writes the bodies of Triton's HTTP endpoints: JSON
// with or without binary tensors behind it becomes the protobuf message that the
// gRPC protocol has for it, and the other way round. The facts, error texts and
// statuses are those measured on Triton 2.51 (protocol/kserve-v2.md, section 8).
//
// A body is read once, in one pass, and no tree is made of it: numbers go from
// the text straight into the bytes of raw_input_contents, and binary tensors are
// read into the buffers that the message then consists of. What a body costs is
// charged to its caller before it is in memory ([wire.Intake]), be it
// compressed a thousandfold.
//
// Of a key that is repeated the first value counts, as it does for Triton; since
// there is one message after that, what is decided on is what is sent.
//
// The package knows nothing of HTTP but the status that Triton gives an error.
package dialect
