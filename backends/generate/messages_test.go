package generate_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/backends/generate"
	"github.com/sluice-gateway/sluice/backends/generate/generatetest"
)

func TestConversations(t *testing.T) {
	image := func(url string) string {
		return `[{"role":"user","content":[{"type":"image_url","image_url":{"url":"` + url + `"}}]}]`
	}
	tests := map[string]struct {
		text   string
		images bool
		want   string // what the server gets
		err    string
	}{
		"a turn":             {`[{"role":"user","content":"hi"}]`, false, `[{"role":"user","content":"hi"}]`, ""},
		"two turns":          {`[ {"content":"a","role":"system"}, {"role":"user","content":"b","name":"bob"} ]`, false, `[{"role":"system","content":"a"},{"role":"user","content":"b","name":"bob"}]`, ""},
		"parts":              {`[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":""}]}]`, false, `[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":""}]}]`, ""},
		"a tool's call":      {`[{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"1","content":"x"}]`, false, `[{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","content":"x","tool_call_id":"1"}]`, ""},
		"the last key wins":  {`[{"role":"user","content":"a","content":"b"}]`, false, `[{"role":"user","content":"b"}]`, ""},
		"an image inside":    {image("data:image/png;base64,aGk="), true, image("data:image/png;base64,aGk="), ""},
		"an image refused":   {image("data:image/png;base64,aGk="), false, "", "takes no images"},
		"a URL to fetch":     {image("http://169.254.169.254/latest/meta-data"), true, "", "must be a data: URL"},
		"a file":             {image("file:///etc/passwd"), true, "", "must be a data: URL"},
		"data of another":    {image("data:text/html,x"), true, "", "must be a data: URL"},
		"a sound":            {`[{"role":"user","content":[{"type":"audio_url","audio_url":{"url":"http://x"}}]}]`, true, "", `messages[0].content[0] is not a part that can go on: unknown field "audio_url"`},
		"a part of no type":  {`[{"role":"user","content":[{"text":"a"}]}]`, false, "", "must be a text or an image_url"},
		"both":               {`[{"role":"user","content":[{"type":"image_url","text":"a","image_url":{"url":"data:image/png,"}}]}]`, true, "", "must be a text or an image_url"},
		"a part that is not": {`[{"role":"user","content":["a"]}]`, false, "", "is not a part"},
		"no message":         {`[]`, false, "", "has no message"},
		"no array":           {`{"role":"user","content":"hi"}`, false, "", "must be a JSON array"},
		"cut off":            {`[{"role":"user","content":"hi"}`, false, "", "must be a JSON array"},
		"more behind":        {`[{"role":"user","content":"hi"}]]`, false, "", "must be a JSON array"},
		"no role":            {`[{"content":"hi"}]`, false, "", "messages[0].role is missing"},
		"a number":           {`[{"role":"user","content":5}]`, false, "", "content must be text or a list of parts"},
		"an object":          {`[{"role":"user","content":{"type":"text","text":"a"}}]`, false, "", "content must be text or a list of parts"},
		"another field":      {`[{"role":"user","content":"a","prefix":true}]`, false, "", `messages[0] is not a message: unknown field "prefix"`},
		"no object":          {`["hi"]`, false, "", "messages[0] is not a message"},
		"too many":           {"[" + strings.Repeat(`{"role":"u"},`, 10_001) + `{"role":"u"}]`, false, "", "more than 10000 elements"},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			got, a := seen(t, generatetest.Ask("m", "", inputs{"messages": c.text}), func(o *generate.Options) { o.Images = c.images })
			switch {
			case c.err != "" && (!strings.Contains(a.Error, c.err) || got != nil):
				t.Errorf("got %q, want %q", a.Error, c.err)
			case c.err == "" && (got == nil || string(got.Messages) != c.want):
				t.Errorf("got %+v (%s), want %s", got, a.Error, c.want)
			}
		})
	}
}

// FuzzConversations: what goes on to a server is a JSON array again, that is read
// alike a second time, and has no URL but those inside the request.
func FuzzConversations(f *testing.F) {
	for _, s := range []string{
		`[{"role":"user","content":"hi"}]`, `[{"role":"a","content":[{"type":"text","text":"b"}]}]`, `[{"Role":"a","content":null,"tool_calls":[{}]}]`,
		`[{"role":"u","content":[{"type":"image_url","image_url":{"url":"data:image/png,x"}}]}]`, `[{"role":"u","content":[{"type":"image_url","image_url":{"url":"http://x"}}]}]`, `[[]]`, `[`,
	} {
		f.Add(s)
	}
	var got []byte
	opened := open(f, &server{GenerateFunc: func(_ context.Context, r *generate.Request, emit func(generate.Chunk) error) error {
		got = r.Messages
		return emit(generate.Chunk{Finish: "stop"})
	}}, func(o *generate.Options) { o.Images = true })
	read := func(t *testing.T, text string) []byte {
		got = nil
		_, _ = generatetest.Infer(t.Context(), t, opened, generatetest.Ask("m", "", inputs{"messages": text}))
		return got
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return
		}
		once := read(t, text)
		if once == nil {
			return
		}
		if again := read(t, string(once)); string(again) != string(once) {
			t.Fatalf("%q is written as %s, and that as %s", text, once, again)
		}
		var messages []struct {
			Content json.RawMessage `json:"content"`
		}
		if err := json.Unmarshal(once, &messages); err != nil || len(messages) == 0 {
			t.Fatalf("%q is written as %s: %v", text, once, err)
		}
		for _, m := range messages {
			var parts []struct {
				Image *struct{ URL string } `json:"image_url"`
			}
			if json.Unmarshal(m.Content, &parts) != nil {
				continue
			}
			for _, p := range parts {
				if p.Image != nil && !strings.HasPrefix(p.Image.URL, "data:image/") {
					t.Fatalf("%q lets %q through", text, p.Image.URL)
				}
			}
		}
	})
}
