package openai

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// Error is what OpenAI's clients are told of a request that failed.
type Error struct {
	// Status is HTTP's.
	Status int
	// Message is the text for the caller.
	Message string
	// Param is the field of the request that is wrong, if it is one.
	Param string
	// Code is a stable word for what is wrong; empty where there is none.
	Code string
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// types are OpenAI's names for kinds of errors, by status.
var types = map[int]string{
	http.StatusUnauthorized:    "authentication_error",
	http.StatusForbidden:       "permission_error",
	http.StatusTooManyRequests: "rate_limit_error",
}

// codes are OpenAI's own words for errors that clients tell apart by them.
var codes = map[int]string{
	http.StatusUnauthorized:    "invalid_api_key",
	http.StatusNotFound:        "model_not_found",
	http.StatusTooManyRequests: "rate_limit_exceeded",
}

// JSON is the body of the answer, and the data of an event where the answer had
// begun.
func (e *Error) JSON() []byte {
	kind, code := types[e.Status], codes[e.Status]
	switch {
	case kind != "":
	case e.Status >= http.StatusInternalServerError:
		kind = "server_error"
	default:
		kind = "invalid_request_error"
	}
	if code == "" {
		code = e.Code
	}
	return encode(map[string]any{"error": struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    *string `json:"code"`
	}{e.Message, kind, optional(e.Param), optional(code)}})
}

// optional is null for an empty text.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func invalid(param, format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Message: fmt.Sprintf(format, args...), Param: param}
}

// encode writes v, which is one of our own types and so always can be written.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return []byte("null")
	}
	return b
}
