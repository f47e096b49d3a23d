// Package openai speaks to servers that have OpenAI's routes: completions, chat
// completions, embeddings and models. Servers differ in what they take beyond
// those and in how they count ([Dialect]); llama.cpp's server and SGLang are
// known, and package vllm is this one with vLLM's own routes.
//
// What a client sees are the tensors of package generate.
package openai
