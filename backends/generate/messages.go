package generate

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/sluice-gateway/sluice/access"
)

const (
	// maxMessages bounds a conversation, in bytes; images are inside it.
	maxMessages = 32 << 20
	// maxTurns bounds how many messages and parts a conversation has.
	maxTurns = 10_000
)

// message is one message of a conversation. It is read one at a time, and its
// fields are all that there may be.
type message struct {
	Role       string          `json:"role"`
	Content    json.RawMessage `json:"content"`
	Name       string          `json:"name,omitempty"`
	ToolCalls  []toolCall      `json:"tool_calls,omitempty"`
	ToolCallID string          `json:"tool_call_id,omitempty"`
	Refusal    string          `json:"refusal,omitempty"`
}

type toolCall struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

// part is one part of a message's content.
type part struct {
	Type  string    `json:"type"`
	Text  *string   `json:"text,omitempty"`
	Image *imageURL `json:"image_url,omitempty"`
}

type imageURL struct {
	URL    string `json:"url"`
	Detail string `json:"detail,omitempty"`
}

// checkMessages reads a conversation, a JSON array of messages, and writes it
// anew, so that the server reads what was checked. A part that has the server
// fetch a URL is refused: the server stands in a network that callers are kept
// out of.
func checkMessages(text []byte, images bool) ([]byte, *access.Error) {
	if len(text) > maxMessages {
		return nil, malformed("input 'messages' is %d bytes, more than %d", len(text), maxMessages)
	}
	out, n, err := eachOf("messages", text, func(n int, dec *json.Decoder) (any, *access.Error) {
		var m message
		if err := dec.Decode(&m); err != nil {
			return nil, malformed("messages[%d] is not a message: %s", n, fieldProblem(err))
		}
		if m.Role == "" {
			return nil, malformed("messages[%d].role is missing", n)
		}
		var refused *access.Error
		m.Content, refused = checkContent(n, m.Content, images)
		return &m, refused
	})
	if err == nil && n == 0 {
		err = malformed("input 'messages' has no message")
	}
	return out, err
}

// eachOf reads the elements of a JSON array one by one, and writes what read
// made of each.
func eachOf(name string, text []byte, read func(n int, dec *json.Decoder) (any, *access.Error)) (out []byte, n int, refused *access.Error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if t, err := dec.Token(); err != nil || t != json.Delim('[') {
		return nil, 0, malformed("%s must be a JSON array", name)
	}
	out = append(out, '[')
	for ; dec.More(); n++ {
		if n == maxTurns {
			return nil, n, malformed("%s has more than %d elements", name, maxTurns)
		}
		element, refused := read(n, dec)
		if refused != nil {
			return nil, n, refused
		}
		b, err := json.Marshal(element)
		if err != nil {
			return nil, n, malformed("%s[%d] cannot be written", name, n)
		}
		if n > 0 {
			out = append(out, ',')
		}
		out = append(out, b...)
	}
	if _, err := dec.Token(); err != nil || !ends(dec) {
		return nil, n, malformed("%s must be a JSON array", name)
	}
	return append(out, ']'), n, nil
}

// fieldProblem says which field is wrong, without the value.
func fieldProblem(err error) string {
	if field, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); unknown {
		return "unknown field " + access.Quote(strings.Trim(field, `"`))
	}
	return "a field is missing or has the wrong type"
}

// checkContent checks a message's content: text, nothing, or parts.
func checkContent(i int, content json.RawMessage, images bool) (json.RawMessage, *access.Error) {
	switch {
	case len(content) == 0, string(content) == "null":
		return json.RawMessage("null"), nil
	case content[0] == '"':
		return content, nil
	case content[0] != '[':
		return nil, malformed("messages[%d].content must be text or a list of parts", i)
	}
	out, _, refused := eachOf("content", content, func(k int, dec *json.Decoder) (any, *access.Error) {
		var p part
		if err := dec.Decode(&p); err != nil {
			return nil, malformed("messages[%d].content[%d] is not a part that can go on: %s", i, k, fieldProblem(err))
		}
		return &p, p.check(i, k, images)
	})
	return out, refused
}

// check lets through texts and, where the backend's models see, images that are
// inside the request.
func (p *part) check(i, k int, images bool) *access.Error {
	switch {
	case p.Type == "text" && p.Text != nil && p.Image == nil:
		return nil
	case p.Type != "image_url" || p.Image == nil || p.Text != nil:
		return malformed("messages[%d].content[%d] must be a text or an image_url", i, k)
	case !images:
		return unsupported("messages[%d].content[%d]: this model's server takes no images", i, k)
	case !strings.HasPrefix(p.Image.URL, "data:image/"):
		return malformed("messages[%d].content[%d].image_url.url must be a data: URL with the image inside; the server fetches nothing", i, k)
	}
	return nil
}
