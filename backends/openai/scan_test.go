package openai

import (
	"encoding/json"
	"reflect"
	"testing"
)

const chunk = `{"id":"cmpl-7c1b","object":"text_completion","created":1760000000,"model":"tiny/llama","choices":[{"index":0,"text":" word","logprobs":null,"finish_reason":null,"stop_reason":null}],"usage":null}`

var chunks = []string{
	chunk,
	`{"choices":[{"index":1,"delta":{"role":"assistant","content":"a\n\"b\""},"finish_reason":"stop"}]}`,
	`{"choices":[],"usage":{"prompt_tokens":7,"total_tokens":9,"completion_tokens":2,"prompt_tokens_details":{"a":[1,{"b":true}]}}}`,
	`{"choices":[{"text":"héllo 🙂","index":0}]}`,
	` { "choices" : [ { "index" : 0 , "text" : "" } ] } `,
	`{"choices":[{"delta":{"content":null}}]}`,
	`{}`,
}

// TestUsualChunksAreScanned and not left to encoding/json.
func TestUsualChunksAreScanned(t *testing.T) {
	for _, c := range chunks {
		var got, want answer
		if !scan([]byte(c), &got) {
			t.Errorf("%s is not scanned", c)
			continue
		}
		if err := json.Unmarshal([]byte(c), &want); err != nil || !alike(got, want) {
			t.Errorf("%s: %+v, want %+v, %v", c, got, want, err)
		}
	}
}

// alike takes no list for an empty one.
func alike(a, b answer) bool {
	if len(a.Choices) == 0 && len(b.Choices) == 0 {
		a.Choices, b.Choices = nil, nil
	}
	return reflect.DeepEqual(a, b)
}

// TestUnusualChunksAreLeft to encoding/json: what has other fields in it, what is
// there twice or in another case, and what is wrong.
func TestUnusualChunksAreLeft(t *testing.T) {
	for _, c := range []string{
		`{"error":{"message":"x"}}`, `{"choices":[{"logprobs":{}}]}`, `{"choices":[{"index":0}],"choices":[]}`, `{"Choices":[]}`, `{"choices":[{"TEXT":"a"}]}`,
		`{"choices":[{"text":"a","text":"b"}]}`, `{"choices":[{"text":"\u00e9"}]}`, "{\"choices\":[{\"text\":\"\xff\"}]}", "{\"choices\":[{\"text\":\"a\nb\"}]}",
		`{"choices":[{"index":-1}]}`, `{"choices":[{"index":1.5}]}`, `{"choices":[{"index":01}]}`, `{"choices":[{"index":99999999999}]}`, `{"choices":[`, `{"choices":[]}x`,
		`{"choices":{}}`, `[]`, ``, `{"a":[[[[[[[[[[1]]]]]]]]]]}`, `{"choices":[{"text":"a}]}`, `{"choices":[{"text":"a\`, `{"choices":[,]}`, `{"choices":[],}`, `{"a" 1}`, `{"a":tru}`,
	} {
		var a answer
		if scan([]byte(c), &a) {
			t.Errorf("%s is scanned: %+v", c, a)
		}
	}
}

// FuzzScan: what the scanner accepts, encoding/json accepts and reads alike.
func FuzzScan(f *testing.F) {
	for _, c := range chunks {
		f.Add([]byte(c))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var got, want answer
		if !scan(data, &got) {
			return
		}
		if err := json.Unmarshal(data, &want); err != nil {
			t.Fatalf("%q is scanned, and no JSON: %v", data, err)
		}
		if !alike(got, want) {
			t.Fatalf("%q is scanned as %+v, encoding/json reads %+v", data, got, want)
		}
	})
}

func BenchmarkChunk(b *testing.B) {
	for name, read := range map[string]func(*answer) bool{
		"scanned":       func(a *answer) bool { return scan([]byte(chunk), a) },
		"encoding/json": func(a *answer) bool { return json.Unmarshal([]byte(chunk), a) == nil },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var a answer
				if !read(&a) {
					b.Fatal("not read")
				}
			}
		})
	}
}
