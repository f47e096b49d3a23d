package backends_test

import (
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/backends"
)

func TestTGIConfigValidate(t *testing.T) {
	for name, c := range map[string]struct {
		config backends.TGIConfig
		want   string
	}{
		"nothing":           {backends.TGIConfig{}, ""},
		"all":               {backends.TGIConfig{Model: "org/chat", Adapters: []string{"doll", "sheep"}, MaxTokens: 1}, ""},
		"negative":          {backends.TGIConfig{MaxTokens: -1}, "max_tokens: must be at least 1"},
		"a path":            {backends.TGIConfig{Model: "/data/model"}, "model: "},
		"no adapter's name": {backends.TGIConfig{Adapters: []string{"a", ""}}, "adapters[1]: "},
		"an adapter twice":  {backends.TGIConfig{Adapters: []string{"a", "b", "a"}}, `adapters[2]: "a" is there twice`},
		"the model again":   {backends.TGIConfig{Model: "a", Adapters: []string{"a"}}, `adapters[0]: "a" is there twice`},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, p := range c.config.Validate() {
				got = append(got, p.Path+": "+p.Message)
			}
			if text := strings.Join(got, "; "); (text == "") != (c.want == "") || !strings.HasPrefix(text, c.want) {
				t.Errorf("got %q, want %q", text, c.want)
			}
		})
	}
}

// TestTGISectionOfAnotherType: who wrote it relies on it.
func TestTGISectionOfAnotherType(t *testing.T) {
	c := right()
	c.TGI = &backends.TGIConfig{}
	problems := c.Validate()
	if len(problems) != 1 || problems[0].Path != "tgi" || problems[0].Message != "is for backends of type tgi" {
		t.Errorf("got %v", problems)
	}
}
