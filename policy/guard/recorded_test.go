package guard_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/policy/guard"
)

// TestRecordedCalls: a call that was written down gets the verdict that it would
// have got when it was made.
func TestRecordedCalls(t *testing.T) {
	for name, c := range map[string]struct{ guard, call, want string }{
		"its text":                 {`verbs: [infer], when: "text('text_input') == 'a\\nb'"`, `{"verb":"infer","inputs":[{"name":"text_input","datatype":"BYTES","shape":[2],"text":["a","b"]}]}`, denies},
		"text that was not kept":   {`verbs: [infer], when: "text('text_input') == 'a'"`, `{"verb":"infer","inputs":[{"name":"text_input","datatype":"BYTES","shape":[1]}]}`, fails},
		"the text beside that":     {`verbs: [infer], when: "text('a') == 'x'"`, `{"verb":"infer","inputs":[{"name":"b","datatype":"BYTES","shape":[1]},{"name":"a","datatype":"BYTES","shape":[1],"text":["x"]}]}`, denies},
		"numbers":                  {`verbs: [infer], when: "inputs[0].bytes == 24 && inputs[0].shape == [2, 3]"`, `{"verb":"infer","inputs":[{"name":"n","datatype":"FP32","shape":[2,3]}]}`, denies},
		"shared memory":            {`verbs: [infer], when: "inputs[0].shared_memory"`, `{"verb":"infer","inputs":[{"name":"n","datatype":"FP32","shape":[2],"shared_memory":true}]}`, denies},
		"whole numbers are whole":  {`verbs: [infer], when: "parameters.a == 5 && type(parameters.a) == int && parameters.b == 0.5 && parameters.c && parameters.d == 'x'"`, `{"verb":"infer","parameters":{"a":5,"b":0.5,"c":true,"d":"x"}}`, denies},
		"outputs":                  {`verbs: [infer], when: "outputs == ['o']"`, `{"verb":"infer","outputs":["o"]}`, denies},
		"the caller":               {`verbs: [infer], groups: [g], kinds: [service], when: "client.address == '10.0.0.1' && 'k' in metadata"`, `{"verb":"infer","client":"10.0.0.1","metadata":["k"],"principal":{"kind":"service","groups":["g"]}}`, denies},
		"the time":                 {`verbs: [infer], hours: [{from: "10:00", to: "11:00"}]`, `{"verb":"infer","time":"2026-01-01T10:30:00Z"}`, denies},
		"the size":                 {`verbs: [infer], deny_list: {max_bytes: 10}`, `{"verb":"infer","size":11}`, denies},
		"a configuration as JSON":  {`verbs: [load], deny_list: {override: [backend]}`, `{"verb":"load_override","config":{"backend":"x"}}`, denies},
		"a configuration as text":  {`verbs: [load], deny_list: {override: [backend]}`, `{"verb":"load_override","config":"{\"backend\":\"x\"}"}`, denies},
		"files":                    {`verbs: [load], when: "override.files[0].name == 'm.py' && override.files[0].bytes == 3"`, `{"verb":"load_override","files":{"m.py":3}}`, denies},
		"an unload's parameters":   {`verbs: [unload], when: "parameters.unload_dependents == true && parameters.n == 1"`, `{"verb":"unload","parameters":{"unload_dependents":true,"n":1}}`, denies},
		"a verb without a message": {`verbs: [describe]`, `{"verb":"describe"}`, denies},
	} {
		t.Run(name, func(t *testing.T) {
			p := compile(t, "guards: [{name: g, deny: no, "+c.guard+"}]")
			r, err := recorded(t, c.call).Request()
			if err != nil {
				t.Fatal(err)
			}
			v := p.For(r.Verb, "m").Decide(r)
			if v.Refused == nil || v.Refused.Reason != c.want {
				t.Errorf("got %v, want %s", v.Refused, c.want)
			}
		})
	}
}

func recorded(t *testing.T, text string) *guard.Recorded {
	t.Helper()
	c := &guard.Recorded{Model: "m"}
	if err := json.Unmarshal([]byte(text), c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRecordedCallsThatAreWrong(t *testing.T) {
	for call, want := range map[string]string{
		`{"verb":"infr"}`:                                                                            `verb: unknown verb "infr"`,
		`{"verb":"infer","client":"here"}`:                                                           "client: is no IP address",
		`{"verb":"infer","parameters":{"a":[1]}}`:                                                    "parameters.a: must be a truth, a number or a string",
		`{"verb":"load","parameters":{"a":0.5}}`:                                                     "parameters.a: must be a whole number",
		`{"verb":"load","parameters":{"a":null}}`:                                                    "parameters.a: must be a truth, a number or a string",
		`{"verb":"load","files":{"f":-1}}`:                                                           "files.f: must be a length",
		`{"verb":"infer","inputs":[{"name":"a","datatype":"FP3"}]}`:                                  `inputs[0].datatype: unknown datatype "FP3"`,
		`{"verb":"infer","inputs":[{"name":"a","datatype":"FP32","shape":[-1]}]}`:                    "inputs[0].shape: is not one",
		`{"verb":"infer","inputs":[{"name":"a","datatype":"FP32","shape":[4000000000,4000000000]}]}`: "inputs[0].shape: is not one",
	} {
		if _, err := recorded(t, call).Request(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", call, err, want)
		}
	}
}
