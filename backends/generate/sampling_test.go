package generate_test

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends/generate"
	pb "github.com/sluice-gateway/sluice/gen/inference"
)

func TestSamplingParameters(t *testing.T) {
	values := func(pairs ...any) map[string]any {
		m := make(map[string]any)
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i].(string)] = pairs[i+1]
		}
		return m
	}
	tests := map[string]struct {
		text string
		want map[string]any
		err  string // part of the refusal
	}{
		"none":                    {`{}`, values(), ""},
		"numbers":                 {`{"max_tokens":5,"temperature":0.2}`, values("max_tokens", int64(5), "temperature", 0.2), ""},
		"numbers as text":         {`{"max_tokens":" 5 ","temperature":"0.2"}`, values("max_tokens", int64(5), "temperature", 0.2), ""},
		"whole as float":          {`{"max_tokens":5.0}`, values("max_tokens", int64(5)), ""},
		"whole with exponent":     {`{"max_tokens":1e3}`, values("max_tokens", int64(1000)), ""},
		"float as whole":          {`{"temperature":1}`, values("temperature", 1.0), ""},
		"null is absent":          {`{"max_tokens":null,"stop":null}`, values(), ""},
		"renamed":                 {`{"repetition_penalty":"1.1"}`, values("repeat_penalty", 1.1), ""},
		"true":                    {`{"ignore_eos":true}`, values("ignore_eos", true), ""},
		"true as Python's text":   {`{"ignore_eos":"True"}`, values("ignore_eos", true), ""},
		"false as text is false":  {`{"ignore_eos":"false"}`, values("ignore_eos", false), ""},
		"one is true":             {`{"ignore_eos":1}`, values("ignore_eos", true), ""},
		"one stop":                {`{"stop":"a"}`, values("stop", []string{"a"}), ""},
		"stops":                   {`{"stop":["a","b"]}`, values("stop", []string{"a", "b"}), ""},
		"ids":                     {`{"stop_token_ids":[1,"2"]}`, values("stop_token_ids", []int64{1, 2}), ""},
		"biases":                  {`{"logit_bias":{"5":-1,"7":"0.5"}}`, values("logit_bias", map[string]float64{"5": -1, "7": 0.5}), ""},
		"an object":               {`{"structured_outputs":{"json": {}}}`, values("structured_outputs", json.RawMessage(`{"json":{}}`)), ""},
		"an object as text":       {`{"structured_outputs":" {\"regex\": \"a\"} "}`, values("structured_outputs", json.RawMessage(`{"regex":"a"}`)), ""},
		"blanks around":           {" {\"n\" : 2 } \n", values("n", int64(2)), ""},
		"no object":               {`[]`, nil, "must be the text of a JSON object"},
		"no JSON":                 {`temperature=1`, nil, "must be the text of a JSON object"},
		"nothing":                 {``, nil, "must be the text of a JSON object"},
		"cut off":                 {`{"n":1`, nil, "must be the text of a JSON object"},
		"two objects":             {`{}{}`, nil, "something behind"},
		"a bracket behind":        {`{}}`, nil, "something behind"},
		"unknown key":             {`{"temprature":1}`, nil, `unknown sampling parameter "temprature" (did you mean "temperature"?)`},
		"another model":           {`{"model":"secret"}`, nil, `unknown sampling parameter "model"`},
		"twice":                   {`{"n":1,"n":2}`, nil, `sampling parameter "n" is there twice`},
		"twice, escaped":          {`{"n":1,"\u006e":2}`, nil, `"n" is there twice`},
		"text for a number":       {`{"temperature":"hot"}`, nil, `"temperature" must be a number`},
		"not finite":              {`{"temperature":"NaN"}`, nil, `"temperature" must be a number`},
		"infinite":                {`{"temperature":"Infinity"}`, nil, `"temperature" must be a number`},
		"too large":               {`{"temperature":1e999}`, nil, `"temperature" must be a number`},
		"hexadecimal":             {`{"temperature":"0x10"}`, nil, `"temperature" must be a number`},
		"a part for a whole":      {`{"max_tokens":5.7}`, nil, `"max_tokens" must be a whole number`},
		"a flag for a whole":      {`{"max_tokens":true}`, nil, `"max_tokens" must be a whole number`},
		"a huge whole":            {`{"max_tokens":1e300}`, nil, `"max_tokens" must be a whole number`},
		"any text is true":        {`{"ignore_eos":"no"}`, nil, `"ignore_eos" must be true or false`},
		"two is true":             {`{"ignore_eos":2}`, nil, `"ignore_eos" must be true or false`},
		"a number for text":       {`{"user":5}`, nil, `"user" must be text`},
		"stop that is a number":   {`{"stop":1}`, nil, `"stop" must be text or a list of texts`},
		"stops with a null":       {`{"stop":["a",null]}`, nil, `"stop" must be text or a list of texts`},
		"ids with a part":         {`{"stop_token_ids":[1.5]}`, nil, `"stop_token_ids" must be a list of whole numbers`},
		"bias of no id":           {`{"logit_bias":{"x":1}}`, nil, `"logit_bias" must be an object of numbers`},
		"bias of a negative id":   {`{"logit_bias":{"-1":1}}`, nil, `"logit_bias" must be an object of numbers`},
		"a list for an object":    {`{"structured_outputs":"[]"}`, nil, `"structured_outputs" must be a JSON object`},
		"broken object as text":   {`{"structured_outputs":"{"}`, nil, `"structured_outputs" must be a JSON object`},
		"no sequences":            {`{"n":0}`, nil, `"n" must be from 1 to 128`},
		"too many sequences":      {`{"n":129}`, nil, `"n" must be from 1 to 128`},
		"an adapter with a path":  {`{"lora_name":"../x"}`, nil, "model name"},
		"an adapter of no name":   {`{"lora_name":""}`, nil, "model name"},
		"two adapters":            {`{"lora_name":"a","adapter_id":"b"}`, nil, "both choose a model"},
		"parameters without end":  {`{"user":"` + strings.Repeat("x", 300<<10) + `"}`, nil, "more than 262144"},
		"a key of another's case": {`{"Temperature":1}`, nil, `unknown sampling parameter "Temperature"`},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			s, err := schema.Check(c.text)
			switch {
			case c.err != "" && (err == nil || err.Kind != access.Malformed || !strings.Contains(err.Message, c.err)):
				t.Errorf("got %v, want %q", err, c.err)
			case c.err == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.err == "" && !reflect.DeepEqual(s.Values, c.want):
				t.Errorf("got %#v, want %#v", s.Values, c.want)
			}
		})
	}
}

func TestAParameterThatChoosesAModelIsNoneOfTheServers(t *testing.T) {
	s, err := schema.Check(`{"lora_name":"org/doll","n":"3"}`)
	if err != nil {
		t.Fatal(err)
	}
	if s.Model != "org/doll" || s.Key != "lora_name" || s.N != 3 || s.Values["lora_name"] != nil {
		t.Errorf("got %+v", s)
	}
}

func TestRequestParametersStandInForTheTensor(t *testing.T) {
	params := map[string]*pb.InferParameter{
		"temperature":                        {ParameterChoice: &pb.InferParameter_DoubleParam{DoubleParam: 0.5}},
		"max_tokens":                         {ParameterChoice: &pb.InferParameter_Int64Param{Int64Param: math.MaxInt64}},
		"n":                                  {ParameterChoice: &pb.InferParameter_Uint64Param{Uint64Param: 2}},
		"ignore_eos":                         {ParameterChoice: &pb.InferParameter_BoolParam{BoolParam: true}},
		"stop":                               {ParameterChoice: &pb.InferParameter_StringParam{StringParam: `a"b`}},
		"sequence_id":                        {ParameterChoice: &pb.InferParameter_Int64Param{Int64Param: 1}},
		"triton_enable_empty_final_response": {ParameterChoice: &pb.InferParameter_BoolParam{BoolParam: true}},
		"priority":                           {ParameterChoice: &pb.InferParameter_Uint64Param{Uint64Param: 1}},
		"timeout":                            {ParameterChoice: &pb.InferParameter_Int64Param{Int64Param: 1}},
		"headers":                            {ParameterChoice: &pb.InferParameter_StringParam{StringParam: "x"}},
	}
	s, err := schema.CheckRequest(params)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"temperature": 0.5, "max_tokens": int64(math.MaxInt64), "n": int64(2), "ignore_eos": true, "stop": []string{`a"b`}}
	if !reflect.DeepEqual(s.Values, want) || s.N != 2 {
		t.Errorf("got %#v, want %#v", s.Values, want)
	}
	for name, p := range map[string]*pb.InferParameter{
		"temperature": {ParameterChoice: &pb.InferParameter_DoubleParam{DoubleParam: math.NaN()}},
		"unknown":     {ParameterChoice: &pb.InferParameter_BoolParam{}},
		"max_tokens":  {ParameterChoice: &pb.InferParameter_DoubleParam{DoubleParam: 1.5}},
	} {
		if _, err := schema.CheckRequest(map[string]*pb.InferParameter{name: p}); err == nil || !strings.Contains(err.Message, name) {
			t.Errorf("%s: got %v, want a refusal that names it", name, err)
		}
	}
}

// FuzzSampling: whatever is accepted is a JSON object to encoding/json too, and
// what is sent of it is known, of the kind's type, and can be written.
func FuzzSampling(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"n":1}`, `{"temperature":"0.2","stop":["a"],"logit_bias":{"1":2}}`, `{"structured_outputs":"{\"a\":[]}"}`, `{"n":1,"n":2}`,
		`{"max_tokens":1e3}`, `{"ignore_eos":"False"}`, `{"lora_name":"a/b"}`, `{"a":`, "{\"\\ud800\":1}", `{"stop_token_ids":[]}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := schema.Check(text)
		if err != nil {
			return
		}
		var m map[string]any
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			t.Fatalf("%q is accepted, and is no JSON object: %v", text, err)
		}
		if _, err := json.Marshal(s.Values); err != nil {
			t.Fatalf("%q makes what cannot be sent: %v", text, err)
		}
		sent := 0
		for key := range m {
			if m[key] != nil && schema[key].Kind != generate.ModelName {
				sent++
			}
		}
		if sent != len(s.Values) {
			t.Fatalf("%q has %d parameters, %d are sent", text, sent, len(s.Values))
		}
	})
}
