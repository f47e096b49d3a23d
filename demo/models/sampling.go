package models

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/gen/inference"
)

// samplingKeys are the fields of vLLM's SamplingParams that clients use. Only
// max_tokens has an effect.
var samplingKeys = []string{
	"n", "best_of", "temperature", "top_p", "top_k", "min_p", "max_tokens", "min_tokens", "stop", "stop_token_ids", "bad_words",
	"ignore_eos", "seed", "presence_penalty", "frequency_penalty", "repetition_penalty", "logprobs", "prompt_logprobs",
	"skip_special_tokens", "spaces_between_special_tokens", "include_stop_str_in_output", "detokenize", "logit_bias",
	"allowed_token_ids", "truncate_prompt_tokens", "structured_outputs",
}

// requestKeys of a request are never sampling parameters.
var requestKeys = []string{"sequence_id", "sequence_start", "sequence_end", "priority", "timeout", "headers"}

// errSampling is how the backend answers a key that it does not know or a
// value that it cannot use.
var errSampling = failed("'NoneType' object has no attribute 'lora_name'")

// maxTokens reads how many chunks are wanted at most: from the tensor where
// there is one, else from the request's own parameters.
func maxTokens(c *call) (int, error) {
	params := map[string]any{}
	if t := c.inputs["sampling_parameters"]; t != nil && len(t.data) > 0 {
		d := json.NewDecoder(strings.NewReader(string(elements(t.data)[0])))
		if err := d.Decode(&params); err != nil {
			return 0, status.Error(codes.Internal, "Failed to process the request(s) for model instance 'tokens_0', message: JSONDecodeError: the sampling parameters are no JSON object")
		}
	} else {
		params = requestParams(c.request.GetParameters())
	}
	if _, ok := params["lora_name"]; ok {
		return 0, status.Error(codes.Internal, "LoRA feature is not enabled.")
	}
	for key := range params {
		if !slices.Contains(samplingKeys, key) {
			return 0, errSampling
		}
	}
	v, ok := params["max_tokens"]
	if !ok || v == nil {
		return math.MaxInt, nil
	}
	n, err := castInt(v)
	if err != nil || n < 1 {
		return 0, errSampling
	}
	return n, nil
}

// requestParams are the request's parameters as the backend gets them, which
// is as JSON.
func requestParams(params map[string]*inference.InferParameter) map[string]any {
	all := map[string]any{}
	for key, p := range params {
		if strings.HasPrefix(key, "triton_") || slices.Contains(requestKeys, key) {
			continue
		}
		switch v := p.GetParameterChoice().(type) {
		case *inference.InferParameter_BoolParam:
			all[key] = v.BoolParam
		case *inference.InferParameter_Int64Param:
			all[key] = float64(v.Int64Param)
		case *inference.InferParameter_DoubleParam:
			all[key] = v.DoubleParam
		case *inference.InferParameter_StringParam:
			all[key] = v.StringParam
		}
	}
	return all
}

// castInt makes a whole number of v as Python's int() does.
func castInt(v any) (int, error) {
	switch v := v.(type) {
	case float64:
		return int(min(max(v, math.MinInt32), math.MaxInt32)), nil
	case bool:
		if v {
			return 1, nil
		}
		return 0, nil
	case string:
		return strconv.Atoi(strings.TrimSpace(v))
	}
	return 0, errSampling
}
