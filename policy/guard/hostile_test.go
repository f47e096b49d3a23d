package guard_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/policy/guard"
	"github.com/sluice-gateway/sluice/wire"
)

// hidden is what a prompt may not hold in these tests; no refusal may hold it.
const hidden = "forbidden-word"

// Guards that look at requests in different ways.
const (
	byText   = `when: "text('text_input').contains('forbidden-word')"`
	byTexts  = `when: "texts('text_input').exists(t, t.contains('forbidden-word'))"`
	byList   = `deny_list: {text: {patterns: [forbidden-word]}}`
	byTokens = `deny_list: {max_tokens: 100}`
	byJSON   = `when: "has(json('sampling_parameters').max_tokens) && json('sampling_parameters').max_tokens > 100"`
	byParam  = `when: "has(parameters.max_tokens) && parameters.max_tokens > 100"`
	byNames  = `deny_list: {parameters: {names: ["lora*"], values: ["^evil"]}}`
	byInputs = `when: "inputs.exists(i, i.datatype == 'FP64' || i.bytes > 1000)"`
	byBatch  = `deny_list: {max_batch: 8}`
	bySize   = `deny_list: {max_bytes: 1KiB}`
)

const (
	passes = ""
	denies = access.ReasonGuard
	fails  = access.ReasonGuardFailed
)

func tensor(name, datatype string, shape ...int64) *pb.ModelInferRequest_InferInputTensor {
	return &pb.ModelInferRequest_InferInputTensor{Name: name, Datatype: datatype, Shape: shape}
}

// of is a request with BYTES inputs: name, text, name, text, …
func of(pairs ...string) *pb.ModelInferRequest {
	m := &pb.ModelInferRequest{ModelName: "m"}
	for i := 0; i < len(pairs); i += 2 {
		m.Inputs = append(m.Inputs, tensor(pairs[i], "BYTES", 1))
		m.RawInputContents = append(m.RawInputContents, element(pairs[i+1]))
	}
	return m
}

func with(m *pb.ModelInferRequest, change func(*pb.ModelInferRequest)) *pb.ModelInferRequest {
	change(m)
	return m
}

func text(s string) *pb.InferParameter {
	return &pb.InferParameter{ParameterChoice: &pb.InferParameter_StringParam{StringParam: s}}
}

func param(key string, p *pb.InferParameter) *pb.ModelInferRequest {
	return &pb.ModelInferRequest{ModelName: "m", Parameters: map[string]*pb.InferParameter{key: p}}
}

func double(v float64) *pb.InferParameter {
	return &pb.InferParameter{ParameterChoice: &pb.InferParameter_DoubleParam{DoubleParam: v}}
}

func shared(t *pb.ModelInferRequest_InferInputTensor) *pb.ModelInferRequest_InferInputTensor {
	t.Parameters = map[string]*pb.InferParameter{"shared_memory_region": text("r"), "shared_memory_byte_size": number(4096)}
	return t
}

func typed(name string, elements ...string) *pb.ModelInferRequest {
	t := tensor(name, "BYTES", int64(len(elements)))
	t.Contents = &pb.InferTensorContents{}
	for _, e := range elements {
		t.Contents.BytesContents = append(t.Contents.BytesContents, []byte(e))
	}
	return &pb.ModelInferRequest{ModelName: "m", Inputs: []*pb.ModelInferRequest_InferInputTensor{t}}
}

func declared(m *pb.ModelInferRequest, contentType *pb.InferParameter) *pb.ModelInferRequest {
	m.Inputs[0].Parameters = map[string]*pb.InferParameter{"content_type": contentType}
	return m
}

// TestHostileRequests has requests that mean to get by a guard, and what becomes of
// them.
func TestHostileRequests(t *testing.T) {
	for name, c := range map[string]struct {
		guard string
		m     *pb.ModelInferRequest
		want  string
	}{
		"a good text":              {byText, of("text_input", "hello"), passes},
		"a bad text":               {byText, of("text_input", "a forbidden-word"), denies},
		"the text typed":           {byText, typed("text_input", "a forbidden-word"), denies},
		"in the second element":    {byTexts, typed("text_input", "a", "forbidden-word"), denies},
		"elements are lines":       {byText, typed("text_input", "forbidden", "-word"), passes},
		"another input":            {byText, of("other", "a forbidden-word"), passes},
		"any input":                {byList, of("other", "a forbidden-word"), denies},
		"no such input":            {byText, of("other", "hello"), passes},
		"twice, a good one last":   {byText, of("text_input", hidden, "text_input", "hello"), fails},
		"twice, and only the name": {byInputs, of("x", "", "x", ""), fails},
		"a name that ends early":   {byText, of("text_input\x00x", hidden), fails},
		"a name without end":       {byText, of(strings.Repeat("x", 5000), hidden), fails},
		"not UTF-8":                {byText, of("text_input", "forbidden\xff-word"), fails},
		"not UTF-8, by the list":   {byList, of("text_input", "forbidden\xff-word"), fails},
		"a lying length":           {byText, with(of("text_input", hidden), func(m *pb.ModelInferRequest) { m.RawInputContents[0][0]++ }), fails},
		"half a length":            {byList, with(of("text_input", hidden), func(m *pb.ModelInferRequest) { m.RawInputContents[0] = []byte{1, 0} }), fails},
		"no data":                  {byText, with(of("text_input", hidden), func(m *pb.ModelInferRequest) { m.RawInputContents = nil }), fails},
		"more data than inputs": {byText, with(of("text_input", hidden), func(m *pb.ModelInferRequest) {
			m.RawInputContents = append([][]byte{element("x")}, m.RawInputContents...)
		}), fails},
		"raw and typed":              {byText, with(typed("text_input", "hello"), func(m *pb.ModelInferRequest) { m.RawInputContents = [][]byte{element(hidden)} }), fails},
		"raw and typed, by the list": {byList, with(typed("text_input", "hello"), func(m *pb.ModelInferRequest) { m.RawInputContents = [][]byte{element(hidden)} }), fails},
		"typed as another datatype": {byList, with(typed("text_input", "hello"), func(m *pb.ModelInferRequest) {
			m.Inputs[0].Contents.Fp32Contents = []float32{1}
		}), fails},
		"numbers have no text": {byText, with(of(), func(m *pb.ModelInferRequest) {
			m.Inputs, m.RawInputContents = append(m.Inputs, tensor("text_input", "INT32", 1)), [][]byte{{1, 0, 0, 0}}
		}), fails},
		"numbers beside": {byList, with(of(), func(m *pb.ModelInferRequest) {
			m.Inputs, m.RawInputContents = append(m.Inputs, tensor("x", "INT32", 1)), [][]byte{{1, 0, 0, 0}}
		}), passes},
		"text called numbers":      {byList, with(typed("text_input", hidden), func(m *pb.ModelInferRequest) { m.Inputs[0].Datatype = "INT32" }), fails},
		"a datatype of lower case": {byList, with(of("text_input", hidden), func(m *pb.ModelInferRequest) { m.Inputs[0].Datatype = "bytes" }), fails},
		"no datatype":              {byText, with(of("text_input", hidden), func(m *pb.ModelInferRequest) { m.Inputs[0].Datatype = "" }), fails},
		"in shared memory":         {byText, with(of(), func(m *pb.ModelInferRequest) { m.Inputs = append(m.Inputs, shared(tensor("text_input", "BYTES", 1))) }), fails},
		"whatever else is said":    {`when: "size < 0 && text('text_input') == ''"`, with(of(), func(m *pb.ModelInferRequest) { m.Inputs = append(m.Inputs, shared(tensor("text_input", "BYTES", 1))) }), fails},
		"shared, by the list":      {byList, with(of(), func(m *pb.ModelInferRequest) { m.Inputs = append(m.Inputs, shared(tensor("text_input", "BYTES", 1))) }), fails},
		"another in shared memory": {byText, with(of("text_input", "hello"), func(m *pb.ModelInferRequest) {
			m.Inputs = append([]*pb.ModelInferRequest_InferInputTensor{shared(tensor("x", "FP32", 1))}, m.Inputs...)
		}), passes},
		"numbers in shared memory": {byList, with(of(), func(m *pb.ModelInferRequest) { m.Inputs = append(m.Inputs, shared(tensor("x", "FP32", 1))) }), passes},
		"shared memory counts":     {bySize, with(of(), func(m *pb.ModelInferRequest) { m.Inputs = append(m.Inputs, shared(tensor("x", "FP32", 1))) }), denies},
		"a size":                   {bySize, of("x", strings.Repeat("y", 2000)), denies},
		"a small size":             {bySize, of("x", "y"), passes},
		"shared bytes of an input": {byInputs, with(of(), func(m *pb.ModelInferRequest) { m.Inputs = append(m.Inputs, shared(tensor("x", "FP32", 1))) }), denies},
		"bytes of typed contents":  {byInputs, typed("x", strings.Repeat("y", 2000)), denies},
		"a datatype":               {byInputs, with(of("x", ""), func(m *pb.ModelInferRequest) { m.Inputs[0].Datatype = "FP64" }), denies},
		"base64 for MLServer":      {byText, declared(of("text_input", "Zm9yYmlkZGVuLXdvcmQ="), text("base64")), fails},
		"base64, by the list":      {byList, declared(of("text_input", "Zm9yYmlkZGVuLXdvcmQ="), text("base64")), fails},
		"base64 of the request": {byText, with(of("text_input", "x"), func(m *pb.ModelInferRequest) {
			m.Parameters = map[string]*pb.InferParameter{"content_type": text("base64")}
		}), fails},
		"a content type of numbers":         {byList, declared(with(of("x", ""), func(m *pb.ModelInferRequest) { m.Inputs[0].Datatype = "UINT8" }), text("base64")), fails},
		"numbers that are text to MLServer": {byList, declared(with(of("x", ""), func(m *pb.ModelInferRequest) { m.Inputs[0].Datatype = "UINT8" }), text("str")), fails},
		"numbers that are declared":         {byList, declared(with(of("x", ""), func(m *pb.ModelInferRequest) { m.Inputs[0].Datatype = "UINT8" }), text("np")), passes},
		"a content type of no type":         {byText, declared(of("text_input", "x"), number(1)), fails},
		"plain text for MLServer":           {byText, declared(of("text_input", "hello"), text("str")), passes},
		"JSON escapes":                      {byList, of("messages", `[{"content":"\u0066orbidden\u002dword"}]`), denies},
		"escapes in what is no JSON": {
			byList, of("messages", `[{"content":"\u0066orbidden-word", "x": NaN}]`), denies,
		},
		"JSON in JSON":           {byList, of("messages", `["{\"content\":\"\\u0066orbidden-word\"}"]`), denies},
		"escapes that say no":    {byList, of("messages", `["\u0061\n\"\/\ud83d\ude00\ud800 \x \u12"]`), passes},
		"too much text":          {byText, of("text_input", strings.Repeat("x", 1<<20)), fails},
		"too much, by the list":  {byList, of("a", strings.Repeat("x", 600<<10), "b", strings.Repeat("x", 600<<10)), fails},
		"too many inputs":        {byInputs, of(make([]string, 4000)...), fails},
		"huge, where not looked": {byParam, of("a", strings.Repeat("x", 4<<20)), passes},

		"tokens":                 {byTokens, param("max_tokens", number(101)), denies},
		"few tokens":             {byTokens, param("max_tokens", number(100)), passes},
		"not said":               {byTokens, of("text_input", "x"), passes},
		"tokens as a double":     {byTokens, param("max_tokens", double(1e6)), denies},
		"tokens as text":         {byTokens, param("max_tokens", text("1000")), denies},
		"tokens in Python's way": {byTokens, param("max_tokens", text("1_000")), fails},
		"tokens in other digits": {byTokens, param("max_tokens", text("١٠٠٠")), fails},
		"tokens unsigned":        {byTokens, param("max_tokens", &pb.InferParameter{ParameterChoice: &pb.InferParameter_Uint64Param{Uint64Param: 1 << 63}}), denies},
		"tokens as a truth":      {byTokens, param("max_tokens", &pb.InferParameter{ParameterChoice: &pb.InferParameter_BoolParam{BoolParam: true}}), fails},
		"tokens of no value":     {byTokens, param("max_tokens", &pb.InferParameter{}), fails},
		"TGI's name for them":    {byTokens, param("max_new_tokens", number(101)), denies},
		"OpenAI's name for them": {byTokens, of("sampling_parameters", `{"max_completion_tokens": 101}`), denies},
		"in vLLM's JSON":         {byTokens, of("sampling_parameters", `{"max_tokens": 101}`), denies},
		"as text in it":          {byTokens, of("sampling_parameters", `{"max_tokens": " 101 "}`), denies},
		"as a fraction":          {byTokens, of("sampling_parameters", `{"max_tokens": 1.01e2}`), denies},
		"with an escaped key":    {byTokens, of("sampling_parameters", `{"max\u005ftokens": 101}`), denies},
		"null is no limit":       {byTokens, of("sampling_parameters", `{"max_tokens": null}`), fails},
		"twice in it":            {byTokens, of("sampling_parameters", `{"max_tokens": 101, "max_tokens": 1}`), fails},
		"twice, escaped":         {byTokens, of("sampling_parameters", `{"max_tokens": 101, "max\u005ftokens": 1}`), fails},
		"Python's infinity":      {byTokens, of("sampling_parameters", `{"max_tokens": Infinity}`), fails},
		"a number beyond all":    {byTokens, of("sampling_parameters", `{"max_tokens": 1e999}`), fails},
		"a list":                 {byTokens, of("sampling_parameters", `[]`), fails},
		"something behind it":    {byTokens, of("sampling_parameters", `{} {"max_tokens": 101}`), fails},
		"nested for ever":        {byTokens, of("sampling_parameters", strings.Repeat(`{"a":`, 100)), fails},
		"two elements":           {byTokens, typed("sampling_parameters", `{}`, `{"max_tokens": 101}`), fails},
		"sampling in shared": {byTokens, with(of(), func(m *pb.ModelInferRequest) {
			m.Inputs = append(m.Inputs, shared(tensor("sampling_parameters", "BYTES", 1)))
		}), fails},
		"TensorRT-LLM's input": {byTokens, with(of(), func(m *pb.ModelInferRequest) {
			m.Inputs, m.RawInputContents = append(m.Inputs, tensor("max_tokens", "INT32", 1)), [][]byte{{101, 0, 0, 0}}
		}), denies},
		"few there": {byTokens, with(of(), func(m *pb.ModelInferRequest) {
			m.Inputs, m.RawInputContents = append(m.Inputs, tensor("max_tokens", "INT32", 1)), [][]byte{{100, 0, 0, 0}}
		}), passes},
		"typed there": {byTokens, with(of(), func(m *pb.ModelInferRequest) {
			m.Inputs = append(m.Inputs, &pb.ModelInferRequest_InferInputTensor{Name: "request_output_len", Datatype: "UINT32", Contents: &pb.InferTensorContents{UintContents: []uint32{1, 101}}})
		}), denies},
		"floating there": {byTokens, with(of(), func(m *pb.ModelInferRequest) {
			m.Inputs = append(m.Inputs, &pb.ModelInferRequest_InferInputTensor{Name: "max_tokens", Datatype: "FP32", Contents: &pb.InferTensorContents{Fp32Contents: []float32{101}}})
		}), denies},
		"text there":   {byTokens, of("max_tokens", "101"), denies},
		"shared there": {byTokens, with(of(), func(m *pb.ModelInferRequest) { m.Inputs = append(m.Inputs, shared(tensor("max_tokens", "INT32", 1))) }), fails},
		"of half a number": {byTokens, with(of(), func(m *pb.ModelInferRequest) {
			m.Inputs, m.RawInputContents = append(m.Inputs, tensor("max_tokens", "INT32", 1)), [][]byte{{100, 0, 0}}
		}), fails},
		"by a condition":           {byJSON, of("sampling_parameters", `{"max_tokens": 101}`), denies},
		"by a condition, no input": {byJSON, of("text_input", `x`), passes},
		"a condition meets text":   {byJSON, of("sampling_parameters", `{"max_tokens": "101"}`), fails},
		"a parameter":              {byParam, param("max_tokens", number(101)), denies},
		"a parameter of doubles":   {byParam, param("max_tokens", double(100.5)), denies},
		"a parameter of text":      {byParam, param("max_tokens", text("101")), fails},
		"a parameter's name ends":  {byParam, param("max_tokens\x00", number(101)), fails},
		"a parameter of megabytes": {byParam, param("x", text(strings.Repeat("x", 2<<20))), fails},

		"a name":  {byNames, param("lora_name", text("x")), denies},
		"a value": {byNames, param("x", text("evil")), denies},
		"a value of an input": {byNames, with(of("x", ""), func(m *pb.ModelInferRequest) {
			m.Inputs[0].Parameters = map[string]*pb.InferParameter{"p": text("evil")}
		}), denies},
		"a name of an output": {byNames, with(of(), func(m *pb.ModelInferRequest) {
			m.Outputs = append(m.Outputs, &pb.ModelInferRequest_InferRequestedOutputTensor{Name: "o", Parameters: map[string]*pb.InferParameter{"lora_x": number(1)}})
		}), denies},
		"a name in vLLM's JSON":  {byNames, of("sampling_parameters", `{"lora_name": "x"}`), denies},
		"a value inside of JSON": {byNames, of("sampling_parameters", `{"x": ["y", {"z": "evil"}]}`), denies},
		"a number by its digits": {`deny_list: {parameters: {values: ["^666$"]}}`, param("seed", number(666)), denies},
		"an output of no name": {byNames, with(of(), func(m *pb.ModelInferRequest) {
			m.Outputs = append(m.Outputs, &pb.ModelInferRequest_InferRequestedOutputTensor{Name: "o\x00"})
		}), fails},
		"too many outputs": {byNames, with(of(), func(m *pb.ModelInferRequest) {
			for range 2000 {
				m.Outputs = append(m.Outputs, &pb.ModelInferRequest_InferRequestedOutputTensor{Name: "o"})
			}
		}), fails},
		"too many parameters": {byParam, with(of(), func(m *pb.ModelInferRequest) {
			m.Parameters = map[string]*pb.InferParameter{}
			for i := range 2000 {
				m.Parameters[fmt.Sprint(i)] = number(1)
			}
		}), fails},
		"the same input twice":     {`when: "inputs[0] == inputs[0] && inputs[0] != inputs[1]"`, of("a", "x", "b", "x"), denies},
		"neither":                  {byNames, param("temperature", number(1)), passes},
		"a batch":                  {byBatch, with(of("x", ""), func(m *pb.ModelInferRequest) { m.Inputs[0].Shape = []int64{9, 2} }), denies},
		"a small batch":            {byBatch, with(of("x", ""), func(m *pb.ModelInferRequest) { m.Inputs[0].Shape = []int64{8, 9} }), passes},
		"a negative batch":         {byBatch, with(of("x", ""), func(m *pb.ModelInferRequest) { m.Inputs[0].Shape = []int64{-9} }), passes},
		"an expression of a value": {`when: "int(text('text_input')) > 5"`, of("text_input", hidden), fails},
		"a key of a value":         {`when: "parameters[text('text_input')] == 1"`, of("text_input", hidden), fails},
		"beyond the cost":          {`when: "json('j').exists(a, json('j').exists(b, b == -1))"`, of("j", "["+strings.Repeat("1,", 90_000)+"1]"), fails},
		"outputs": {`when: "'logits' in outputs"`, with(of(), func(m *pb.ModelInferRequest) {
			m.Outputs = append(m.Outputs, &pb.ModelInferRequest_InferRequestedOutputTensor{Name: "logits"})
		}), denies},
		"a condition and a list": {`when: "version == '1'", deny_list: {text: {patterns: [x]}}`, of("a", "x"), passes},
	} {
		t.Run(name, func(t *testing.T) {
			p := compile(t, "guards: [{name: g, verbs: [infer], deny: no, "+c.guard+"}]")
			judge(t, p, request(t, c.m), c.want)
		})
	}
}

// judge asks the guards about a message to infer.
func judge(t *testing.T, p *guard.Policy, m *wire.Message, want string) {
	t.Helper()
	view, err := m.InferRequest()
	if err != nil {
		t.Fatal(err)
	}
	r := &guard.Request{Verb: access.Infer, Model: "m", Infer: &view, Size: m.Len()}
	v := p.For(access.Infer, "m").Decide(r)
	got := ""
	if v.Refused != nil {
		got = v.Refused.Reason
		if s := v.Refused.Message; strings.Contains(s, hidden) || v.Refused.Cause != nil && strings.Contains(v.Refused.Cause.Error(), hidden) {
			t.Errorf("the refusal quotes the prompt: %s", s)
		}
	}
	if got != want {
		t.Errorf("got %q, want %q: %v", got, want, v.Refused)
	}
}

// TestWhatTheBackendReads: of a field or key that comes twice the last one counts,
// as it does for the backend.
func TestWhatTheBackendReads(t *testing.T) {
	entry := func(key string, n int64) []byte {
		v, _ := proto.Marshal(number(n))
		e := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), key)
		return protowire.AppendBytes(protowire.AppendTag(e, 2, protowire.BytesType), v)
	}
	twice := func(first, last int64) []byte {
		b := protowire.AppendBytes(protowire.AppendTag(nil, 4, protowire.BytesType), entry("max_tokens", first))
		return protowire.AppendBytes(protowire.AppendTag(b, 4, protowire.BytesType), entry("max_tokens", last))
	}
	p := compile(t, "guards: [{name: g, verbs: [infer], deny: no, "+byParam+"}]")
	for name, c := range map[string]struct {
		first, last int64
		want        string
	}{"the last is many": {1, 1000, denies}, "the first was many": {1000, 1, passes}} {
		t.Run(name, func(t *testing.T) {
			m := wire.FromBytes(twice(c.first, c.last))
			defer m.Free()
			judge(t, p, m, c.want)
		})
	}
}

// load is a load that pushes things: name, value, …
func load(pairs ...any) *pb.RepositoryModelLoadRequest {
	m := &pb.RepositoryModelLoadRequest{ModelName: "m", Parameters: map[string]*pb.ModelRepositoryParameter{}}
	for i := 0; i < len(pairs); i += 2 {
		p := new(pb.ModelRepositoryParameter)
		switch v := pairs[i+1].(type) {
		case string:
			p.ParameterChoice = &pb.ModelRepositoryParameter_StringParam{StringParam: v}
		case []byte:
			p.ParameterChoice = &pb.ModelRepositoryParameter_BytesParam{BytesParam: v}
		case bool:
			p.ParameterChoice = &pb.ModelRepositoryParameter_BoolParam{BoolParam: v}
		}
		m.Parameters[pairs[i].(string)] = p
	}
	return m
}

func TestHostileLoads(t *testing.T) {
	const (
		byKeys   = `deny_list: {override: [backend, parameters, default_model_filename, "file:*.py"]}`
		byConfig = `when: "override.config.backend == 'python' || override.config.default_model_filename != ''"`
		byFiles  = `when: "override.files.exists(f, f.name.endsWith('.py') || f.bytes > 1000)"`
	)
	unknown := load()
	unknown.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 77, protowire.VarintType), 1))
	inside := load("x", true)
	inside.Parameters["x"].ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 77, protowire.VarintType), 1))
	for name, c := range map[string]struct {
		guard string
		m     proto.Message
		want  string
	}{
		"nothing":                     {byKeys, load(), passes},
		"a harmless configuration":    {byKeys, load("config", `{"max_batch_size": 4}`), passes},
		"the backend":                 {byKeys, load("config", `{"backend": "python"}`), denies},
		"the backend, escaped":        {byKeys, load("config", `{"\u0062ackend": "python"}`), denies},
		"in protobuf's other name":    {byKeys, load("config", `{"defaultModelFilename": "x"}`), denies},
		"in both names":               {byKeys, load("config", `{"max_batch_size": 1, "maxBatchSize": 2}`), fails},
		"a key twice":                 {byKeys, load("config", `{"backend": "python", "backend": ""}`), fails},
		"no JSON":                     {byKeys, load("config", `{backend: python}`), fails},
		"no object":                   {byKeys, load("config", `["backend"]`), fails},
		"of another type":             {byKeys, load("config", []byte(`{"backend": "python"}`)), passes},
		"of no type":                  {byKeys, load("config", true), fails},
		"an empty one":                {byKeys, load("config", ``), fails},
		"a file":                      {byKeys, load("file:1/model.py", []byte("x")), denies},
		"another file":                {byKeys, load("file:1/model.onnx", []byte("x")), passes},
		"a file as text":              {byKeys, load("file:1/model.onnx", "x"), fails},
		"a name that ends early":      {byKeys, load("file:1/model.py\x00.onnx", []byte("x")), fails},
		"a parameter by name":         {byKeys, load("parameters", "x"), denies},
		"a condition":                 {byConfig, load("config", `{"backend": "python"}`), denies},
		"a condition, other name":     {byConfig, load("config", `{"defaultModelFilename": "x"}`), denies},
		"a condition, nothing":        {byConfig, load(), passes},
		"a condition, unknown field":  {byConfig, load("config", `{"bakend": "python"}`), fails},
		"a condition on files":        {byFiles, load("file:1/model.py", []byte("x")), denies},
		"a condition on their size":   {byFiles, load("file:1/w", make([]byte, 2000)), denies},
		"files do not matter":         {byFiles, load("file:1/w", make([]byte, 20)), passes},
		"a parameter of a load":       {`when: "'x' in parameters && parameters.x == true"`, load("x", true), denies},
		"files are no parameters":     {`when: "size(parameters) > 0"`, load("file:x", []byte("x")), passes},
		"fields that nobody knows":    {`when: "size > 1000000"`, unknown, fails},
		"fields inside":               {`when: "size > 1000000"`, inside, fails},
		"names and values":            {`deny_list: {parameters: {values: [evil]}}`, load("config", `{"x": "evil"}`), denies},
		"a whole load, by its length": {`deny_list: {max_bytes: 10}`, load("x", "0123456789"), denies},
	} {
		t.Run(name, func(t *testing.T) {
			p := compile(t, "guards: [{name: g, verbs: [load], deny: no, "+c.guard+"}]")
			v := p.For(access.LoadOverride, "m").Decide(&guard.Request{Verb: access.LoadOverride, Model: "m", Control: c.m, Size: proto.Size(c.m)})
			got := ""
			if v.Refused != nil {
				got = v.Refused.Reason
			}
			if got != c.want {
				t.Errorf("got %q, want %q: %v", got, c.want, v.Refused)
			}
		})
	}
}

func TestSettingsAndRegions(t *testing.T) {
	for name, c := range map[string]struct {
		guard string
		verb  access.Verb
		m     proto.Message
	}{
		"a trace setting": {`verbs: [trace], when: "'OFF' in parameters.trace_level"`, access.Trace, &pb.TraceSettingRequest{ModelName: "m", Settings: map[string]*pb.TraceSettingRequest_SettingValue{"trace_level": {Value: []string{"OFF"}}}}},
		"a log setting":   {`verbs: [log], when: "parameters.log_verbose_level > 1"`, access.Log, &pb.LogSettingsRequest{Settings: map[string]*pb.LogSettingsRequest_SettingValue{"log_verbose_level": {ParameterChoice: &pb.LogSettingsRequest_SettingValue_Uint32Param{Uint32Param: 2}}}}},
		"a region":        {`verbs: [shm], when: "parameters.key == '/k' && parameters.byte_size > 10"`, access.Shm, &pb.SystemSharedMemoryRegisterRequest{Name: "r", Key: "/k", ByteSize: 11}},
		"a CUDA region":   {`verbs: [shm], when: "parameters.device_id == 1"`, access.Shm, &pb.CudaSharedMemoryRegisterRequest{Name: "r", DeviceId: 1}},
		"dependents":      {`verbs: [unload], when: "parameters.unload_dependents == true"`, access.Unload, &pb.RepositoryModelUnloadRequest{ModelName: "m", Parameters: load("unload_dependents", true).GetParameters()}},
	} {
		t.Run(name, func(t *testing.T) {
			p := compile(t, "guards: [{name: g, deny: no, "+c.guard+"}]")
			v := p.For(c.verb, "m").Decide(&guard.Request{Verb: c.verb, Model: "m", Control: c.m})
			if v.Refused == nil || v.Refused.Reason != denies {
				t.Errorf("got %v", v.Refused)
			}
		})
	}
}

// TestManyExpressionsOnMuchText: a prompt can't be made to cost seconds.
func TestManyExpressionsOnMuchText(t *testing.T) {
	var lines strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&lines, "(?i)w[aeiou]+rd%d\n", i)
	}
	d := document(t, `guards: [{name: g, verbs: [infer], deny: no, deny_list: {text: {file: many}}}]`)
	p, problems := guard.Compile([]guard.File{{Document: d}}, guard.Options{ReadFile: func(string) ([]byte, error) { return []byte(lines.String()), nil }})
	if p == nil {
		t.Fatal(problems)
	}
	judge(t, p, request(t, of("x", strings.Repeat("wa", 1<<10)+"WORD7")), denies)
	judge(t, p, request(t, of("x", strings.Repeat("wa", 1<<10))), passes)
	judge(t, p, request(t, of("x", strings.Repeat("wa", 100<<10))), fails)
}

// TestGuardsShareWhatIsRead: what one guard has read costs the next nothing of what
// may be read of a request.
func TestGuardsShareWhatIsRead(t *testing.T) {
	p := compile(t, `guards: [
		{name: a, verbs: [infer], when: "text('x').contains('no') || texts('x')[0].contains('no')", deny: no},
		{name: b, verbs: [infer], deny_list: {text: {patterns: [no]}}, deny: no},
		{name: c, verbs: [infer], observe: true, when: "text('x').contains('xx')", deny: no}]`)
	m := request(t, of("x", strings.Repeat("x", 900<<10)))
	view, err := m.InferRequest()
	if err != nil {
		t.Fatal(err)
	}
	v := p.For(access.Infer, "m").Decide(&guard.Request{Verb: access.Infer, Model: "m", Infer: &view})
	if v.Refused != nil || len(v.WouldHave) != 1 || v.Outcomes[0].Did != access.GuardWouldDeny {
		t.Errorf("got %v, %v", v.Refused, v.Outcomes)
	}
}
