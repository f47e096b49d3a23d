// Package openai reads requests of OpenAI's API and writes its answers: it turns
// one into the other beside the tensor interface of Triton's vLLM backend
// (text_input, sampling_parameters, text_output …), which is what goes through
// the gateway's chain and what rules are written for. It knows nothing of HTTP but
// statuses, nor of callers.
//
// What is silently left out would be a change of meaning that nobody notices, so a
// field is either carried over, or known to change nothing, or refused by name.
// Null is a field that is not there. A name that stands twice in an object is
// refused; everything is written anew, so that what is decided on is what a model
// server reads.
//
// The shapes are those of OpenAI's published API (Completions, Chat Completions,
// Embeddings, Models), and of vLLM's where that has more
// (protocol/vllm-openai.md).
package openai
