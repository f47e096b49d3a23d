package openai

// model is a model as /v1/models has it.
type model struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	Owner   string `json:"owned_by"`
}

// owner is who owns every model, as far as callers need to know.
const owner = "sluice"

// ModelList is the body of /v1/models; created is a time in seconds since 1970.
func ModelList(names []string, created int64) []byte {
	data := make([]model, len(names))
	for i, name := range names {
		data[i] = model{name, "model", created, owner}
	}
	return encode(map[string]any{"object": "list", "data": data})
}

// OneModel is the body of /v1/models/{model}.
func OneModel(name string, created int64) []byte {
	return encode(model{name, "model", created, owner})
}
