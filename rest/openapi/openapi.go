// Package openapi holds the OpenAPI 3.1 document of the REST door, openapi.json,
// which is written by hand beside the dialects that it describes. Tests hold it to
// the routes that are served, and schemathesis asks what it promises.
package openapi

import (
	_ "embed"
	"encoding/json"
	"strings"
)

//go:embed openapi.json
var document []byte

// openAI begins the paths that can be turned off.
const openAI = "/v1/"

// Documents are the document with OpenAI's routes and without them. The error is a
// mistake in the file.
func Documents() (with, without []byte, err error) {
	var whole map[string]json.RawMessage
	if err := json.Unmarshal(document, &whole); err != nil {
		return nil, nil, err
	}
	if with, err = json.Marshal(whole); err != nil {
		return nil, nil, err
	}
	var paths map[string]json.RawMessage
	if err := json.Unmarshal(whole["paths"], &paths); err != nil {
		return nil, nil, err
	}
	for path := range paths {
		if strings.HasPrefix(path, openAI) {
			delete(paths, path)
		}
	}
	if whole["paths"], err = json.Marshal(paths); err != nil {
		return nil, nil, err
	}
	without, err = json.Marshal(whole)
	return with, without, err
}
