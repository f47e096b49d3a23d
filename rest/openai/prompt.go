package openai

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// readPrompt reads the one text that a request may be about.
func readPrompt(r *Request, name string, v json.RawMessage) *Error {
	list, ok := textsOf(v)
	if !ok || len(list) != 1 {
		return invalid(name, "'prompt' must be one text: lists of prompts and token ids are not supported, send a request for each")
	}
	r.prompt = list[0]
	return nil
}

// message is one message of a conversation, with all that may be sent on.
type message struct {
	Role    string `json:"role"`
	Content any    `json:"content"` // a string, or parts
	Name    string `json:"name,omitempty"`
}

// part is one part of a message's content.
type part struct {
	Type  string          `json:"type"`
	Text  *string         `json:"text,omitempty"`
	Image json.RawMessage `json:"image_url,omitempty"`
}

// roles are who may speak.
var roles = []string{"system", "developer", "user", "assistant"}

// maxMessages bounds a conversation's messages, and the parts of each.
const maxMessages = 10_000

// readMessages reads a conversation.
func readMessages(r *Request, name string, v json.RawMessage) *Error {
	list, err := array(name, v)
	if err != nil {
		return err
	}
	for _, v := range list {
		m, err := readMessage(v)
		if err != nil {
			return err
		}
		r.messages = append(r.messages, *m)
	}
	if r.messages == nil {
		return invalid(name, "'messages' has no message")
	}
	return nil
}

// array reads the elements of a JSON array.
func array(name string, v json.RawMessage) (all []json.RawMessage, wrong *Error) {
	dec := json.NewDecoder(bytes.NewReader(v))
	if t, err := dec.Token(); err != nil || t != json.Delim('[') {
		return nil, invalid(name, "'%s' must be a list", name)
	}
	for dec.More() {
		var one json.RawMessage
		if dec.Decode(&one) != nil || len(all) == maxMessages {
			return nil, invalid(name, "'%s' must be a list of at most %d", name, maxMessages)
		}
		all = append(all, one)
	}
	return all, nil
}

func readMessage(v json.RawMessage) (*message, *Error) {
	const name = "messages"
	fields, err := object(name, v)
	if err != nil {
		return nil, err
	}
	m := new(message)
	for field, v := range fields {
		switch field {
		case "role", "name":
			if isText(v) != "" {
				return nil, invalid(name, "'%s' of a message must be text", field)
			}
		case "content":
			if m.Content, err = readContent(v); err != nil {
				return nil, err
			}
		case "refusal", "annotations", "tool_calls", "audio", "function_call":
			if !same(v, "[]") && !same(v, `""`) {
				return nil, unsupported(name, "messages with '"+field+"' are not supported")
			}
		case "tool_call_id":
			return nil, unsupported(name, "messages of tools are not supported")
		default:
			return nil, invalid(name, "a message has an unknown field")
		}
	}
	if v, there := fields["role"]; there {
		m.Role = textOf(v)
	}
	if v, there := fields["name"]; there {
		m.Name = textOf(v)
	}
	switch {
	case m.Role == "tool" || m.Role == "function":
		return nil, unsupported(name, "messages of tools are not supported")
	case !slices.Contains(roles, m.Role):
		return nil, invalid(name, "'role' of a message must be one of %s", strings.Join(roles, ", "))
	case m.Content == nil:
		return nil, invalid(name, "a message has no content")
	}
	return m, nil
}

func unsupported(param, text string) *Error {
	return &Error{Status: http.StatusBadRequest, Message: text, Param: param, Code: "unsupported"}
}

// readContent reads a text, or parts of texts and images.
func readContent(v json.RawMessage) (any, *Error) {
	const name = "messages"
	if isText(v) == "" {
		return textOf(v), nil
	}
	list, err := array("content", v)
	if err != nil {
		return nil, invalid(name, "'content' of a message must be text or a list of parts")
	}
	parts := make([]part, 0, len(list))
	for _, v := range list {
		fields, err := object(name, v)
		if err != nil {
			return nil, err
		}
		p, err := readPart(fields)
		if err != nil {
			return nil, err
		}
		parts = append(parts, *p)
	}
	return parts, nil
}

func readPart(fields map[string]json.RawMessage) (*part, *Error) {
	kind, text, image := fields["type"], fields["text"], fields["image_url"]
	switch {
	case len(fields) != 2 || kind == nil:
	case same(kind, `"text"`) && text != nil && isText(text) == "":
		s := textOf(text)
		return &part{Type: "text", Text: &s}, nil
	case same(kind, `"image_url"`) && image != nil:
		url, err := object("messages", image)
		if err != nil {
			return nil, err
		}
		return &part{Type: "image_url", Image: encode(url)}, nil
	}
	return nil, unsupported("messages", "a part of a message must be a text or an image_url")
}

// render writes a conversation as a prompt, for models whose server has no template
// of its own to do it with: each message on lines of its own behind its role, and
// the assistant's turn at the end.
//
//	system: Be brief.
//	user: Hello
//	assistant:
func render(messages []message) (string, *Error) {
	var b strings.Builder
	for _, m := range messages {
		b.WriteString(m.Role)
		b.WriteString(": ")
		switch content := m.Content.(type) {
		case string:
			b.WriteString(content)
		case []part:
			for _, p := range content {
				if p.Text == nil {
					return "", unsupported("messages", "this model takes no images")
				}
				b.WriteString(*p.Text)
			}
		}
		b.WriteByte('\n')
	}
	b.WriteString("assistant:")
	return b.String(), nil
}
