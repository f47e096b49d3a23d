// Package wire holds the messages of the data path: one protobuf message is
// one [Message] over the buffers that gRPC received it in. A Message is
// neither decoded nor copied on its way through; what a decision needs is read
// out of it in place.
//
//   - [Receiver] reads messages from a gRPC server stream, charging a [Budget]
//     before it reads; [Codec] sends and receives them by reference.
//   - [Message.InferRequest], [Message.InferResponse] and
//     [Message.StreamResponse] scan a message once, accept and refuse exactly
//     what proto.Unmarshal accepts and refuses, and give a view of it.
//   - [InferRequest.Canonical] turns a message that two parsers could read in
//     two ways into one that all read alike; [Message.Splice] replaces ranges.
//   - [Message.Unmarshal] is for messages that are small and wanted whole.
//
// Who frees what, and when, is in DESIGN.md beside this file. The package does
// not decide anything: what a model name may be is policy's business.
package wire
