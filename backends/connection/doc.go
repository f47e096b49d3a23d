// Package connection is what servers of the KServe v2 gRPC protocol have in
// common, whatever their flavour: one gRPC connection on which messages go
// through by reference, errors that tell what the server said from what became
// of the connection to it, and the question, after each connecting, whether the
// server is of the configured kind at all. Packages triton, mlserver and kserve
// are made of it; each adds what its server does in its own way.
package connection
