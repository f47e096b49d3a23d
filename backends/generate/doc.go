// Package generate gives an HTTP server of generated text the tensors that
// Triton's vLLM backend has (protocol/triton-vllm-tensors.md), so that a client
// of the one is a client of the other. It has what such servers share:
// decoding a request, checking its sampling parameters, the stream that
// multiplexes requests, encoding answers, what is told about models, an HTTP
// client that bounds what it reads, and a reader of server-sent events.
//
// A server is a [Server]: a child of package backends that speaks one server's
// routes (openai, vllm, tgi) implements it and gives it to [New]. Package
// generate knows no route.
package generate
