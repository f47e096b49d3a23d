package openai

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"github.com/sluice-gateway/sluice/access"
)

// maxFields bounds how many fields an object may have: there are not as many.
const maxFields = 200

// object reads a JSON object's fields, names as they are written, and takes those
// that are null for missing. A name that stands twice could be read in two ways.
func object(param string, data []byte) (map[string]json.RawMessage, *Error) {
	what := "the body"
	if param != "" {
		what = "'" + param + "'"
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, invalid(param, "%s must be a JSON object", what)
	}
	fields, seen := make(map[string]json.RawMessage), make(map[string]bool)
	for dec.More() {
		t, err := dec.Token()
		name, isText := t.(string)
		var value json.RawMessage
		if err == nil && isText {
			err = dec.Decode(&value)
		}
		switch {
		case err != nil, !isText:
			return nil, invalid(param, "%s is not valid JSON: %s", what, problem(err))
		case seen[name]:
			return nil, invalid(param, "%s has the field %s twice", what, access.Quote(name))
		case len(seen) == maxFields:
			return nil, invalid(param, "%s has more than %d fields", what, maxFields)
		}
		seen[name] = true
		if string(value) != "null" {
			fields[name] = value
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, invalid(param, "%s is not valid JSON: %s", what, problem(err))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, invalid(param, "%s has something behind its JSON object", what)
	}
	return fields, nil
}

// problem says where JSON goes wrong.
func problem(err error) string {
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return syntax.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "it ends too early"
	default:
		return "a value can't be read"
	}
}
