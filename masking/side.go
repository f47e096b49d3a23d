package masking

// sideChannels are outputs that carry a model's text in another form: where the
// text is masked, they are taken out of answers unless a rule names them. Those of
// Triton's vLLM backend (protocol/triton-vllm-tensors.md, 1) and of
// TensorRT-LLM's.
var sideChannels = map[string]bool{
	"logprobs": true, "cumulative_logprob": true, "prompt_logprobs": true,
	"token_ids": true, "output_ids": true, "output_token_ids": true,
	"output_log_probs": true, "cum_log_probs": true,
	"context_logits": true, "generation_logits": true,
}

// asksFor are the inputs and parameters by which a request asks for them.
var asksFor = map[string]string{
	"return_logprobs":           "logprobs",
	"return_cumulative_logprob": "cumulative_logprob",
	"return_log_probs":          "output_log_probs",
	"return_context_logits":     "context_logits",
	"return_generation_logits":  "generation_logits",
}

// The outputs of Triton's vLLM backend whose way of streaming is known.
const (
	backendVLLM  = "vllm"
	textOutput   = "text_output"
	finishReason = "finish_reason"
)

// Keys of parameters, as KServe v2 and Triton's extensions have them.
const (
	finalKey          = "triton_final_response"
	regionKey         = "shared_memory_region"
	classificationKey = "classification"
)
