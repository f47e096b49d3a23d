// Package rest is the HTTP door: Triton's REST dialect of KServe v2, so that an
// unchanged tritonclient.http or curl need not know that Sluice is there. HTTP
// requests become calls on an in-process connection ([inprocess.Conn]) to the
// handlers of the gRPC door, and so pass the very same chain; nothing here
// decides anything about a caller.
//
// Routes and the handlers of the plain ones are grpc-gateway's, made from the
// annotations in proto/inference; inference is done here, for its bodies are read
// into messages and written out of them without a detour ([dialect]). No body is
// read before the chain asks for it, which is after identity has spoken.
//
// Whatever a handler of the gRPC door can be told by metadata comes from the
// request's own headers ([metadataOf]); what this hop knows itself (door, peer)
// travels in the context, where no caller can write.
package rest
