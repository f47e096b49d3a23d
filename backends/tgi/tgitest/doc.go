// Package tgitest is a double of Hugging Face's text-generation-inference
// (TGI), byte-exact where clients look: routes, the two ways to write an event,
// comments that keep a connection alive, errors within a stream that began with
// status 200, refusals of its framework that are not JSON. It says the same text
// to every prompt.
//
// It was written from the router's source (huggingface/text-generation-inference
// @ db931fcf, version 3.3.6-dev0), since the real one has no package that runs
// without a GPU or a container engine; the texts of a shard's own errors are
// its authors' guess.
package tgitest
