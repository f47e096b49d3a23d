package kserve

// Canned gives the answers of a server with the one ready model to the unary
// methods that a gateway may ask before it sends anything there.
func Canned(model string) map[string][]byte {
	yes := []byte{1 << 3, 1}
	index := appendString(nil, 1, model)
	index = appendString(index, 2, "1")
	index = appendString(index, 3, "READY")
	server := appendString(nil, 1, "bench")
	server = appendString(server, 2, "1")
	meta := appendString(nil, 1, model)
	meta = appendString(meta, 2, "1")
	meta = appendString(meta, 3, "bench")
	// The model is decoupled, as Triton's own for language models are: a request
	// on a stream has many answers, which wait for no others
	// (ModelConfig.model_transaction_policy, field 19; decoupled, field 1).
	config := appendString(nil, 1, model)
	config = appendMessage(config, 19, yes)
	return map[string][]byte{
		"ServerLive":      yes,
		"ServerReady":     yes,
		"ModelReady":      yes,
		"ServerMetadata":  server,
		"ModelMetadata":   meta,
		"ModelConfig":     appendMessage(nil, 1, config),
		"RepositoryIndex": appendMessage(nil, 1, index),
	}
}
