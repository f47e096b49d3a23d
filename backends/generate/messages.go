package generate

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/sluice-gateway/sluice/access"
)

// messageKeys are what a message of a conversation may have.
var messageKeys = map[string]bool{"role": true, "content": true, "name": true, "tool_calls": true, "tool_call_id": true, "refusal": true}

// checkMessages reads a conversation, a JSON array of messages, and writes it
// anew, so that the server reads what was checked. A part that has the server
// fetch a URL is refused: the server stands in a network that callers are kept
// out of.
func checkMessages(text []byte, images bool) ([]byte, *access.Error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var messages []map[string]any
	if err := dec.Decode(&messages); err != nil || !ends(dec) || len(messages) == 0 {
		return nil, malformed("input 'messages' must be the text of a JSON array of messages")
	}
	for i, m := range messages {
		for key := range m {
			if !messageKeys[key] {
				return nil, malformed("messages[%d] has %s, which is no field of a message", i, access.Quote(key))
			}
		}
		if role, ok := m["role"].(string); !ok || role == "" {
			return nil, malformed("messages[%d].role must be text", i)
		}
		if err := checkContent(i, m["content"], images); err != nil {
			return nil, err
		}
	}
	b, err := json.Marshal(messages)
	if err != nil {
		return nil, malformed("input 'messages' must be the text of a JSON array of messages")
	}
	return b, nil
}

// checkContent checks a message's content: text, nothing, or parts.
func checkContent(i int, content any, images bool) *access.Error {
	switch content := content.(type) {
	case nil, string:
		return nil
	case []any:
		for k, part := range content {
			p, ok := part.(map[string]any)
			if !ok {
				return malformed("messages[%d].content[%d] must be an object", i, k)
			}
			if err := checkPart(i, k, p, images); err != nil {
				return err
			}
		}
		return nil
	}
	return malformed("messages[%d].content must be text or a list of parts", i)
}

// checkPart lets through texts and, where the backend's models see, images that
// are inside the request.
func checkPart(i, k int, p map[string]any, images bool) *access.Error {
	for key := range p {
		if key != "type" && key != "text" && key != "image_url" {
			return malformed("messages[%d].content[%d] has %s, which is no field of a part", i, k, access.Quote(key))
		}
	}
	image, there := p["image_url"]
	text, isText := p["text"].(string)
	switch {
	case p["type"] == "text" && isText && !there:
		_ = text
		return nil
	case p["type"] != "image_url" || !there || p["text"] != nil:
		return malformed("messages[%d].content[%d] must be a text or an image_url", i, k)
	case !images:
		return unsupported("messages[%d].content[%d]: this model's server takes no images", i, k)
	}
	o, _ := image.(map[string]any)
	for key := range o {
		if key != "url" && key != "detail" {
			return malformed("messages[%d].content[%d].image_url has %s, which is no field of an image", i, k, access.Quote(key))
		}
	}
	if url, _ := o["url"].(string); !strings.HasPrefix(url, "data:image/") {
		return malformed("messages[%d].content[%d].image_url.url must be a data: URL with the image inside; the server fetches nothing", i, k)
	}
	return nil
}
