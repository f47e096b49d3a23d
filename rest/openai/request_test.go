package openai_test

import (
	"encoding/binary"
	"strings"
	"testing"

	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/rest/openai"
)

// config is a model with inputs and outputs of these names.
func config(inputs, outputs string) *pb.ModelConfig {
	c := new(pb.ModelConfig)
	for _, name := range strings.Fields(inputs) {
		c.Input = append(c.Input, &pb.ModelInput{Name: name, Dims: []int64{1}})
	}
	for _, name := range strings.Fields(outputs) {
		c.Output = append(c.Output, &pb.ModelOutput{Name: name, Dims: []int64{-1}})
	}
	return c
}

// full has all that a server with OpenAI's routes has, plain the least, and batched
// embeds any number of texts.
func full() *pb.ModelConfig {
	return config("text_input messages stream sampling_parameters exclude_input_in_output return_finish_reason return_logprobs "+
		"return_num_input_tokens return_num_output_tokens embedding_request",
		"text_output finish_reason logprobs num_input_tokens num_output_tokens embedding")
}

func plain() *pb.ModelConfig { return config("text_input", "text_output") }

func batched() *pb.ModelConfig {
	c := config("text_input embedding_request return_num_input_tokens", "embedding text_output num_input_tokens")
	c.Input[0].Dims, c.MaxBatchSize = []int64{-1}, 8
	return c
}

// inputsOf are a message's inputs as text: "a=b c=true".
func inputsOf(m *pb.ModelInferRequest) string {
	var all []string
	for i, in := range m.GetInputs() {
		raw, value := m.GetRawInputContents()[i], ""
		switch in.GetDatatype() {
		case "BOOL":
			value = map[byte]string{0: "false", 1: "true"}[raw[0]]
		default:
			for len(raw) > 0 {
				n := binary.LittleEndian.Uint32(raw)
				value, raw = value+string(raw[4:4+n])+"|", raw[4+n:]
			}
		}
		all = append(all, in.GetName()+"="+strings.TrimSuffix(value, "|"))
	}
	return strings.Join(all, " ")
}

const (
	counts   = " return_finish_reason=true return_num_input_tokens=true return_num_output_tokens=true"
	excluded = " exclude_input_in_output=true" + counts
	hi       = `"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":[{"type":"text","text":"Hello"}]}]`
)

func message(route openai.Route, body string, c *pb.ModelConfig) (*pb.ModelInferRequest, *openai.Error) {
	model, fields, wrong := openai.Model([]byte(body))
	if wrong != nil {
		return nil, wrong
	}
	r, wrong := openai.Read(route, model, fields)
	if wrong != nil {
		return nil, wrong
	}
	return r.Message(c, "id")
}

func TestMessage(t *testing.T) {
	for name, c := range map[string]struct {
		route  openai.Route
		body   string
		config *pb.ModelConfig
		want   string
	}{
		"a prompt":              {openai.Completions, `{"model":"m","prompt":"p"}`, full(), "text_input=p" + excluded},
		"sampling":              {openai.Completions, `{"model":"m","prompt":"p","temperature":0.5,"stop":"x","n":2,"best_of":2}`, full(), `text_input=p sampling_parameters={"n":2,"stop":"x","temperature":0.5}` + excluded},
		"null is nothing":       {openai.Completions, `{"model":"m","prompt":"p","temperature":null,"tools":null}`, full(), "text_input=p" + excluded},
		"what changes nothing":  {openai.Completions, `{"model":"m","prompt":"p","user":"u","store":true,"suffix":""}`, full(), "text_input=p" + excluded},
		"log probabilities":     {openai.Completions, `{"model":"m","prompt":"p","logprobs":3}`, full(), `text_input=p return_logprobs=true sampling_parameters={"logprobs":3}` + excluded},
		"echo":                  {openai.Completions, `{"model":"m","prompt":"p","echo":true}`, full(), "text_input=p exclude_input_in_output=false" + counts},
		"a stream":              {openai.Completions, `{"model":"m","prompt":"p","stream":true}`, full(), "text_input=p stream=true" + excluded},
		"a model of little":     {openai.Completions, `{"model":"m","prompt":"p","stream":true}`, plain(), "text_input=p"},
		"a conversation":        {openai.Chat, `{"model":"m",` + hi + `}`, full(), `messages=[{"role":"system","content":"Be brief."},{"role":"user","content":[{"type":"text","text":"Hello"}]}]` + excluded},
		"a rendered one":        {openai.Chat, `{"model":"m",` + hi + `}`, plain(), "text_input=system: Be brief.\nuser: Hello\nassistant:"},
		"the limit":             {openai.Chat, `{"model":"m",` + hi + `,"max_completion_tokens":5,"max_tokens":5}`, config("text_input sampling_parameters", "text_output"), "text_input=system: Be brief.\nuser: Hello\nassistant: sampling_parameters={\"max_tokens\":5}"},
		"JSON":                  {openai.Chat, `{"model":"m","messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_schema","json_schema":{"name":"s","schema":{"type":"object"}}}}`, config("text_input sampling_parameters", "text_output"), "text_input=user: x\nassistant: sampling_parameters={\"structured_outputs\":\"{\\\"json\\\":{\\\"type\\\":\\\"object\\\"}}\"}"},
		"a chat's alternatives": {openai.Chat, `{"model":"m","messages":[{"role":"user","content":"x"}],"logprobs":true,"top_logprobs":2}`, config("text_input sampling_parameters return_logprobs", "text_output"), "text_input=user: x\nassistant: return_logprobs=true sampling_parameters={\"logprobs\":2}"},
		"a vector":              {openai.Embeddings, `{"model":"m","input":"a","dimensions":3}`, full(), `embedding_request={"input":"a","pooling_params":{"dimensions":[3]}} return_num_input_tokens=true`},
		"vectors":               {openai.Embeddings, `{"model":"m","input":["a","b"]}`, batched(), "text_input=a|b return_num_input_tokens=true"},
		"token ids":             {openai.Embeddings, `{"model":"m","input":[[1,2]]}`, full(), `embedding_request={"input":[1,2]} return_num_input_tokens=true`},
	} {
		t.Run(name, func(t *testing.T) {
			m, wrong := message(c.route, c.body, c.config)
			if wrong != nil {
				t.Fatal(wrong)
			}
			if got := inputsOf(m); got != c.want || m.GetModelName() != "m" || m.GetId() != "id" {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestRefusedRequests(t *testing.T) {
	for name, c := range map[string]struct {
		route       openai.Route
		body, param string
	}{
		"no object":            {openai.Completions, `[1]`, ""},
		"two objects":          {openai.Completions, `{"model":"m","prompt":"p"}{}`, ""},
		"an end too early":     {openai.Completions, `{"model":"m","prompt":"p"`, ""},
		"no model":             {openai.Completions, `{"prompt":"p"}`, "model"},
		"a model of numbers":   {openai.Completions, `{"model":1,"prompt":"p"}`, "model"},
		"no prompt":            {openai.Completions, `{"model":"m"}`, "prompt"},
		"two prompts":          {openai.Completions, `{"model":"m","prompt":["a","b"]}`, "prompt"},
		"token ids":            {openai.Completions, `{"model":"m","prompt":[1,2]}`, "prompt"},
		"another case":         {openai.Completions, `{"model":"m","prompt":"p","Temperature":1}`, `"Temperature"`},
		"a number as text":     {openai.Completions, `{"model":"m","prompt":"p","temperature":"1"}`, "temperature"},
		"not a number":         {openai.Completions, `{"model":"m","prompt":"p","n":1.5}`, "n"},
		"too many":             {openai.Completions, `{"model":"m","prompt":"p","n":129}`, "n"},
		"a choice":             {openai.Completions, `{"model":"m","prompt":"p","best_of":3}`, "best_of"},
		"an empty stop":        {openai.Completions, `{"model":"m","prompt":"p","stop":[""]}`, "stop"},
		"a suffix":             {openai.Completions, `{"model":"m","prompt":"p","suffix":"s"}`, "suffix"},
		"an echoed stream":     {openai.Completions, `{"model":"m","prompt":"p","echo":true,"stream":true}`, "echo"},
		"an adapter":           {openai.Completions, `{"model":"m","prompt":"p","lora_name":"other"}`, `"lora_name"`},
		"usage of no stream":   {openai.Completions, `{"model":"m","prompt":"p","stream_options":{"include_usage":true}}`, "stream_options"},
		"odd biases":           {openai.Completions, `{"model":"m","prompt":"p","logit_bias":{"x":1}}`, "logit_bias"},
		"no messages":          {openai.Chat, `{"model":"m"}`, "messages"},
		"an empty list":        {openai.Chat, `{"model":"m","messages":[]}`, "messages"},
		"a role twice":         {openai.Chat, `{"model":"m","messages":[{"role":"user","content":"x","role":"system"}]}`, "messages"},
		"an unknown role":      {openai.Chat, `{"model":"m","messages":[{"role":"root","content":"x"}]}`, "messages"},
		"a tool's answer":      {openai.Chat, `{"model":"m","messages":[{"role":"tool","content":"x","tool_call_id":"1"}]}`, "messages"},
		"an unknown part":      {openai.Chat, `{"model":"m","messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{}}]}]}`, "messages"},
		"two limits":           {openai.Chat, `{"model":"m",` + hi + `,"max_tokens":1,"max_completion_tokens":2}`, "max_tokens"},
		"alternatives to none": {openai.Chat, `{"model":"m",` + hi + `,"top_logprobs":2}`, "top_logprobs"},
		"a tool":               {openai.Chat, `{"model":"m",` + hi + `,"tools":[{}]}`, "tools"},
		"effort":               {openai.Chat, `{"model":"m",` + hi + `,"reasoning_effort":"low"}`, `"reasoning_effort"`},
		"an odd format":        {openai.Chat, `{"model":"m",` + hi + `,"response_format":{"type":"xml"}}`, "response_format"},
		"no input":             {openai.Embeddings, `{"model":"m"}`, "input"},
		"an empty input":       {openai.Embeddings, `{"model":"m","input":[]}`, "input"},
		"several token lists":  {openai.Embeddings, `{"model":"m","input":[[1],[2]]}`, "input"},
		"an odd encoding":      {openai.Embeddings, `{"model":"m","input":"a","encoding_format":"hex"}`, "encoding_format"},
	} {
		t.Run(name, func(t *testing.T) {
			_, wrong := message(c.route, c.body, full())
			if wrong == nil || wrong.Status != 400 || wrong.Param != c.param {
				t.Errorf("got %+v", wrong)
			}
		})
	}
}

// TestModelsThatLack asks models for what they have not: nothing of it is left out
// in silence.
func TestModelsThatLack(t *testing.T) {
	for name, c := range map[string]struct {
		route  openai.Route
		body   string
		config *pb.ModelConfig
	}{
		"no text":              {openai.Completions, `{"model":"m","prompt":"p"}`, config("INPUT0", "OUTPUT0")},
		"no sampling":          {openai.Completions, `{"model":"m","prompt":"p","max_tokens":3}`, plain()},
		"no log probabilities": {openai.Completions, `{"model":"m","prompt":"p","logprobs":1}`, plain()},
		"no echo":              {openai.Completions, `{"model":"m","prompt":"p","echo":true}`, plain()},
		"no images":            {openai.Chat, `{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:"}}]}]}`, plain()},
		"no vectors":           {openai.Embeddings, `{"model":"m","input":"a"}`, plain()},
		"one at a time":        {openai.Embeddings, `{"model":"m","input":["a","b"]}`, full()},
		"no dimensions":        {openai.Embeddings, `{"model":"m","input":["a","b"],"dimensions":3}`, batched()},
	} {
		t.Run(name, func(t *testing.T) {
			if m, wrong := message(c.route, c.body, c.config); wrong == nil || wrong.Status != 400 {
				t.Errorf("got %v, %v", m, wrong)
			}
		})
	}
}
