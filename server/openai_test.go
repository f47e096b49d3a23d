package server_test

import (
	"encoding/json"
	"strings"
	"testing"
)

const (
	chatRequest  = `{"model":"tokens","messages":[{"role":"user","content":"hi"}]`
	emailOfDemo  = "jane.doe@example.com"
	maskedPolicy = rolesOfTheDemo + `
masking:
  - { name: pii, models: ["*"], tensors: ["*"], entities: [EMAIL, CARD, SSN], action: redact, except: [pii-readers] }
`
)

// completion is what the tests read of an answer, or of an event of one.
type completion struct {
	Object  string
	Model   string
	Choices []struct {
		Text           string
		Message, Delta struct{ Role, Content string }
		Finish         *string `json:"finish_reason"`
	}
	Usage *struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
		Total      int `json:"total_tokens"`
	}
	Error *struct{ Message, Type, Param, Code string }
}

func parseCompletion(t *testing.T, body string) (c completion) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), &c); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return c
}

// events takes a body of events apart, which has to end as OpenAI's do.
func events(t *testing.T, body string) (all []completion) {
	t.Helper()
	parts := strings.Split(body, "\n\n")
	if n := len(parts); n < 2 || parts[n-1] != "" || parts[n-2] != "data: [DONE]" {
		t.Fatalf("no end of events: %q", body)
	}
	for _, part := range parts[:len(parts)-2] {
		data, ok := strings.CutPrefix(part, "data: ")
		if !ok {
			t.Fatalf("not an event: %q", part)
		}
		all = append(all, parseCompletion(t, data))
	}
	return all
}

func TestOpenAI(t *testing.T) {
	g := start(t, setup{policy: maskedPolicy})
	for _, c := range []struct {
		name, as, method, path, body string
		status                       int
		want                         string
	}{
		{"the models", "bob", "GET", "/v1/models", "", 200, `"data":[{"id":"tokens","object":"model",`},
		{"one model", "bob", "GET", "/v1/models/tokens", "", 200, `{"id":"tokens","object":"model",`},
		{"no language model", "bob", "GET", "/v1/models/simple", "", 404, `"code":"model_not_found"`},
		{"no model", "bob", "GET", "/v1/models/a%2Fb", "", 404, `"code":"model_not_found"`},
		{"the models for a stranger", "", "GET", "/v1/models", "", 401, `"code":"invalid_api_key"`},
		{"the models for carol", "carol", "GET", "/v1/models", "", 403, `"code":"NO_ROLE_ALLOWS"`},
		{"text", "bob", "POST", "/v1/completions", `{"model":"tokens","prompt":"hi","max_tokens":2}`, 200, `"text":"Thank y"`},
		{"one prompt in a list", "bob", "POST", "/v1/completions", `{"model":"tokens","prompt":["hi"],"max_tokens":2,"user":"u","n":1,"best_of":1,"stop":null}`, 200, `"finish_reason":"length"`},
		{"echo", "bob", "POST", "/v1/completions", `{"model":"tokens","prompt":"hi ","max_tokens":2,"echo":true}`, 200, `"text":"hi Thank y"`},
		{"chat", "bob", "POST", "/v1/chat/completions", chatRequest + `,"max_completion_tokens":2}`, 200, `"message":{"role":"assistant","content":"Thank y"}`},
		{"masked", "bob", "POST", "/v1/chat/completions", chatRequest + `}`, 200, `[EMAIL]`},
		{"clear", "dana", "POST", "/v1/chat/completions", chatRequest + `}`, 200, emailOfDemo},
		{"a stranger", "", "POST", "/v1/chat/completions", chatRequest + `}`, 401, `"type":"authentication_error"`},
		{"a stranger's bad body", "", "POST", "/v1/chat/completions", `{`, 401, `"code":"invalid_api_key"`},
		{"carol", "carol", "POST", "/v1/chat/completions", chatRequest + `}`, 403, `"type":"permission_error"`},
		{"ci's other model", "ci", "POST", "/v1/completions", `{"model":"tokens","prompt":"hi","nonsense":1}`, 403, `"code":"NO_ROLE_ALLOWS"`},
		{"a model that there is not, for ci", "ci", "POST", "/v1/completions", `{"model":"nobody","prompt":"hi"}`, 403, `"code":"NO_ROLE_ALLOWS"`},
		{"a model that there is not", "bob", "POST", "/v1/completions", `{"model":"nobody","prompt":"hi"}`, 404, `"code":"model_not_found"`},
		{"a bad name", "bob", "POST", "/v1/completions", `{"model":"../x","prompt":"hi"}`, 400, `"code":"BAD_MODEL_NAME"`},
		{"no language model", "bob", "POST", "/v1/completions", `{"model":"simple","prompt":"hi"}`, 400, `"param":"model"`},
		{"no model at all", "bob", "POST", "/v1/completions", `{"prompt":"hi"}`, 400, `"param":"model"`},
		{"no JSON", "bob", "POST", "/v1/completions", `hi`, 400, `"type":"invalid_request_error"`},
		{"no body", "bob", "POST", "/v1/completions", ``, 400, `the body must be a JSON object`},
		{"a model twice", "bob", "POST", "/v1/completions", `{"model":"simple","prompt":"hi","model":"tokens"}`, 400, `twice`},
		{"an unknown field", "bob", "POST", "/v1/completions", `{"model":"tokens","prompt":"hi","temprature":1}`, 400, `did you mean \"temperature\"`},
		{"tools", "bob", "POST", "/v1/chat/completions", chatRequest + `,"tools":[{}]}`, 400, `"param":"tools"`},
		{"too many tokens", "bob", "POST", "/v1/chat/completions", chatRequest + `,"max_tokens":0}`, 400, `"param":"max_tokens"`},
		{"log probabilities", "dana", "POST", "/v1/chat/completions", chatRequest + `,"logprobs":true}`, 400, `"param":"logprobs"`},
		{"embeddings", "dana", "POST", "/v1/embeddings", `{"model":"tokens","input":"hi"}`, 400, `"param":"input"`},
		{"another method", "bob", "GET", "/v1/completions", "", 405, `"type":"invalid_request_error"`},
		{"another route", "bob", "POST", "/v1/images", "{}", 404, `"error"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, body, header := g.web(c.as, c.method, c.path, c.body)
			if status != c.status || !strings.Contains(body, c.want) {
				t.Errorf("got %d %s\n%v", status, body, header)
			}
			if got := header.Get("Content-Type"); got != "application/json" {
				t.Errorf("Content-Type is %q", got)
			}
			if c.status >= 400 && parseCompletion(t, body).Error == nil {
				t.Errorf("no error in OpenAI's shape: %s", body)
			}
			if c.status == 401 && !strings.HasPrefix(header.Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("WWW-Authenticate is %q", header.Get("WWW-Authenticate"))
			}
		})
	}
}

func TestOpenAIStreams(t *testing.T) {
	g := start(t, setup{policy: maskedPolicy})
	texts := make(map[string]string)
	for _, as := range []string{"bob", "dana"} {
		for path, request := range map[string]string{
			"/v1/chat/completions": chatRequest, "/v1/completions": `{"model":"tokens","prompt":"hi"`,
		} {
			t.Run(as+path, func(t *testing.T) {
				_, whole, _ := g.web(as, "POST", path, request+`}`)
				want := parseCompletion(t, whole)
				status, body, header := g.web(as, "POST", path, request+`,"stream":true,"stream_options":{"include_usage":true}}`)
				if got := header.Get("Content-Type"); status != 200 || got != "text/event-stream; charset=utf-8" {
					t.Fatalf("got %d, %s", status, got)
				}
				all := events(t, body)
				text, role, finish := "", "", ""
				for _, e := range all {
					for _, choice := range e.Choices {
						text += choice.Text + choice.Delta.Content
						role += choice.Delta.Role
						if choice.Finish != nil {
							finish += *choice.Finish
						}
					}
				}
				if wanted := want.Choices[0].Text + want.Choices[0].Message.Content; text != wanted {
					t.Errorf("the stream says\n%s\nand the whole\n%s", text, wanted)
				}
				if finish != "stop" || role != want.Choices[0].Message.Role || len(all) < 40 {
					t.Errorf("finish %q, role %q, %d events", finish, role, len(all))
				}
				usage := all[len(all)-1].Usage
				if usage == nil || *usage != *want.Usage || usage.Total < 40 || usage.Total != usage.Prompt+usage.Completion {
					t.Errorf("usage is %v, and of the whole %v", usage, want.Usage)
				}
				texts[as] = text
			})
		}
	}
	for _, secret := range []string{emailOfDemo, "4111 1111 1111 1111", "536-90-4399"} {
		if strings.Contains(texts["bob"], secret) || !strings.Contains(texts["dana"], secret) {
			t.Errorf("bob reads %q, dana %q", texts["bob"], texts["dana"])
		}
	}
}
