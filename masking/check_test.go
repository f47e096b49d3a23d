package masking_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/masking"
)

// problemsOf reads a policy file's keys of masking and compiles them.
func problemsOf(t testing.TB, yaml string, opts masking.Options) (*masking.Policy, []string) {
	t.Helper()
	file := masking.File{Name: "p.yaml"}
	_, wrong := config.Decode("p.yaml", []byte(yaml), &file.Document)
	if len(wrong) > 0 {
		t.Fatalf("the file does not load: %v", wrong)
	}
	p, problems := masking.Compile([]masking.File{file}, opts)
	var list []string
	for _, problem := range problems {
		list = append(list, strings.TrimPrefix(problem.String(), "p.yaml: "))
	}
	return p, list
}

func TestDesignsExampleLoads(t *testing.T) {
	p, problems := problemsOf(t, `
masking:
  - { name: pii, models: ["*"], tensors: ["*"], entities: [EMAIL, CARD, SSN, PHONE, IBAN], action: redact, except: [pii-readers] }
  - { name: logits, models: ["ranker"], tensors: ["logits"], action: { round: 2 } }
`, masking.Options{})
	if len(problems) > 0 || p.Plan(nil, "ranker") == nil {
		t.Errorf("got %v", problems)
	}
}

func TestEverythingLoads(t *testing.T) {
	t.Setenv("MASK_KEY", "a key of enough bytes")
	_, problems := problemsOf(t, `
detectors:
  - { name: EMPLOYEE_ID, regex: 'E-[0-9]{6}', context: [employee, staff] }
  - { name: PROJECT, dictionary: projects.txt }
  - { name: ACCOUNT, json_path: $.account.id }
  - { name: BALANCE, json_path: ["$.balance", "$.list[*]['the balance']"] }
  - { name: PERSON, presidio: { url: "http://presidio:3000", timeout: 500ms, language: de, entities: [PERSON], stream: window, on_error: pass } }
masking:
  - { name: a, models: ["chat-*"], entities: [EMAIL, { name: CARD, threshold: 0.9 }, EMPLOYEE_ID, PROJECT, PERSON], mode: delta, hold_back: 512, on_error: block }
  - { name: b, models: [j], tensors: [doc], datatypes: [BYTES], index: "0-2", entities: [ACCOUNT, BALANCE, SSN], format: json, action: { hash: { key: "${MASK_KEY}" } } }
  - { name: c, models: [j], entities: [IBAN], format: json, json_path: '$.a[*].b', action: { partial: { keep_last: 2 } }, observe: true }
  - { name: d, models: [j], entities: [PHONE], action: { replace: "(gone)" } }
  - { name: e, models: [n], tensors: [x, y], action: drop }
  - { name: f, models: [n], tensors: [x], datatypes: [FP32, FP16], action: { top_k: 5 } }
  - { name: g, models: [n], tensors: [x], action: { clip: [-1, 1.5] } }
  - { name: h, models: [n], tensors: [x], action: { noise: 0.1 } }
  - { name: i, models: [n], tensors: [x], action: zero }
  - { name: j, models: [n], entities: [JWT], action: block }
`, masking.Options{
		ReadFile: func(name string) ([]byte, error) { return []byte("Bluebird\nProject X\n"), nil },
		Analyzer: func(masking.Presidio) (masking.Analyzer, error) { return analyzer(nil), nil },
	})
	if len(problems) > 0 {
		t.Errorf("got %s", strings.Join(problems, "\n"))
	}
}

func TestProblems(t *testing.T) {
	rule := func(keys string) string { return "masking: [ { name: r, models: ['*'], " + keys + " } ]" }
	text := func(keys string) string { return rule("entities: [EMAIL], " + keys) }
	numbers := func(keys string) string { return rule("tensors: [x], " + keys) }
	detector := func(keys string) string { return "detectors: [ { " + keys + " } ]" }
	presidio := func(keys string) string { return detector("name: P, presidio: { " + keys + " }") }
	two := []string{"corp", "ci"}
	tests := []struct {
		name, yaml string
		sources    []string
		want       string
	}{
		{"no name", "masking: [ { models: ['*'], entities: [EMAIL] } ]", nil, "masking[0].name: a rule needs a name"},
		{"name with a blank", "masking: [ { name: a b, models: ['*'], entities: [EMAIL] } ]", nil, "masking[0].name: a rule's name has"},
		{"name twice", "masking: [ { name: r, models: ['*'], entities: [EMAIL] }, { name: r, models: ['*'], entities: [EMAIL] } ]", nil, `masking[1].name: rule "r" is already defined in p.yaml`},
		{"no models", "masking: [ { name: r, entities: [EMAIL] } ]", nil, "masking[0].models: models is empty"},
		{"empty pattern", "masking: [ { name: r, models: [''], entities: [EMAIL] } ]", nil, "masking[0].models[0]: an empty pattern"},
		{"empty tensor", text("tensors: ['']"), nil, "masking[0].tensors[0]: an empty pattern"},
		{"neither entities nor numbers", rule("action: redact"), nil, "masking[0].entities: entities is empty"},
		{"unknown entity", rule("entities: [EMIAL]"), nil, `masking[0].entities[0]: unknown entity "EMIAL" (did you mean "EMAIL"?)`},
		{"entity in small letters", rule("entities: [email]"), nil, `masking[0].entities[0]: unknown entity "email" (did you mean "EMAIL"?)`},
		{"entity twice", rule("entities: [EMAIL, { name: EMAIL }]"), nil, "masking[0].entities[1]: entity EMAIL is named twice"},
		{"threshold of nothing", rule("entities: [{ name: EMAIL, threshold: 0 }]"), nil, "masking[0].entities[0].threshold: must be over 0"},
		{"threshold over one", rule("entities: [{ name: EMAIL, threshold: 1.5 }]"), nil, "masking[0].entities[0].threshold: must be over 0"},
		{"unknown action", text("action: redcat"), nil, `masking[0].action: unknown action "redcat" (did you mean "redact"?)`},
		{"two actions", text("action: { replace: x, partial: {} }"), nil, "masking[0].action: one action a rule: partial and replace are too many"},
		{"numeric action on entities", text("action: { round: 2 }"), nil, "masking[0].action: round is for whole tensors of numbers"},
		{"numeric action on all tensors", rule("action: { round: 2 }"), nil, "masking[0].tensors[0]: a rule about whole tensors names each one"},
		{"numeric action on a pattern", rule("tensors: ['x*'], action: zero"), nil, "masking[0].tensors[0]: a rule about whole tensors names each one"},
		{"drop of all tensors", rule("action: drop"), nil, "masking[0].tensors[0]: a rule about whole tensors names each one"},
		{"hash without a key", text("action: { hash: {} }"), nil, "masking[0].action.hash.key: hash needs a key"},
		{"hash as a word", text("action: hash"), nil, "masking[0].action: hash needs a setting"},
		{"hash with a key that is not there", text("action: { hash: { key: '${NOT_THERE}' } }"), nil, "masking[0].action.hash.key: environment variable NOT_THERE is not set"},
		{"hash with a short key", text("action: { hash: { key: '${SHORT_KEY}' } }"), nil, "masking[0].action.hash.key: the key has 5 bytes"},
		{"tokenize without a key", text("action: { tokenize: {} }"), nil, "masking[0].action.tokenize.key: tokenize needs a key"},
		{"tokenize as a word", text("action: tokenize"), nil, `masking[0].action: tokenize needs a setting: write { tokenize: { key: "${NAME}" } }`},
		{"tokenize with a short key", text("action: { tokenize: { key: '${SHORT_KEY}' } }"), nil, "masking[0].action.tokenize.key: the key has 5 bytes"},
		{"tokens kept for no time", text(`action: { tokenize: { key: "${MASK_KEY}", keep: 1s } }`), nil, "masking[0].action.tokenize.keep: must be at least 1m0s"},
		{"tokens of numbers", numbers(`action: { tokenize: { key: "${MASK_KEY}" } }`), nil, "masking[0].entities: entities is empty"},
		{"partial of too much", text("action: { partial: { keep_last: 5 } }"), nil, "masking[0].action.partial.keep_last: must be from 1 to 4"},
		{"long replacement", text("action: { replace: " + strings.Repeat("x", 1025) + " }"), nil, "masking[0].action.replace: must be UTF-8 of at most"},
		{"negative round", numbers("action: { round: -1 }"), nil, "masking[0].action.round: must be from 0 to 15"},
		{"top none", numbers("action: { top_k: 0 }"), nil, "masking[0].action.top_k: must be at least 1"},
		{"clip backwards", numbers("action: { clip: [1, 0] }"), nil, "masking[0].action.clip: must be two numbers"},
		{"clip of one bound", numbers("action: { clip: [1] }"), nil, "masking[0].action.clip: must be two numbers"},
		{"no noise", numbers("action: { noise: 0 }"), nil, "masking[0].action.noise: must be a standard deviation over 0"},
		{"unknown mode", text("mode: dleta"), nil, `masking[0].mode: unknown word "dleta" (did you mean "delta"?)`},
		{"unknown format", text("format: yaml"), nil, `masking[0].format: unknown word "yaml"`},
		{"mode of numbers", numbers("action: zero, mode: delta"), nil, "masking[0].mode: has no meaning"},
		{"format of numbers", numbers("action: zero, format: json"), nil, "masking[0].format: has no meaning"},
		{"index of numbers", numbers("action: zero, index: '0'"), nil, "masking[0].index: has no meaning"},
		{"observe of numbers", numbers("action: zero, observe: true"), nil, "masking[0].observe: has no meaning"},
		{"unknown datatype", text("datatypes: [BYTE]"), nil, `masking[0].datatypes[0]: unknown datatype "BYTE" (did you mean "BYTES"?)`},
		{"text in numbers", text("datatypes: [FP32]"), nil, "masking[0].datatypes[0]: entities are looked for in text"},
		{"round of integers", numbers("datatypes: [INT32], action: { round: 1 }"), nil, "masking[0].datatypes: round does not work on INT32"},
		{"wrong index", text("index: a"), nil, "masking[0].index: must be an element's number"},
		{"index backwards", text("index: 5-2"), nil, "masking[0].index: must be an element's number"},
		{"little hold-back", text("hold_back: 3"), nil, "masking[0].hold_back: must be from 64 to 65536 bytes"},
		{"hold-back too little for an entity", "masking: [ { name: r, models: ['*'], entities: [EMAIL], hold_back: 64 } ]", nil, "masking[0].hold_back: EMAIL: its longest match"},
		{"path without JSON", text("json_path: $.a"), nil, "masking[0].json_path: values of a JSON text need format: json"},
		{"wrong path", text("format: json, json_path: $..a"), nil, "masking[0].json_path[0]: must be a JSONPath such as"},
		{"on_error of nothing", text("on_error: pass"), nil, "masking[0].on_error: has no meaning here"},
		{"empty group", text("except: ['']"), nil, "masking[0].except[0]: an empty group"},
		{"bare group, two sources", text("except: [g]"), two, `masking[0].except[0]: group "g" does not say which identity source`},
		{"unknown source", text("except: ['crop:g']"), two, `masking[0].except[0]: group "crop:g" is of an unknown identity source "crop" (did you mean "corp"?)`},
		{"source where there is one", text("except: ['corp:g']"), two[:1], `masking[0].except[0]: there is one identity source`},

		{"detector without a way", detector("name: A"), nil, "detectors[0]: a detector has exactly one of"},
		{"detector with two", detector("name: A, regex: 'ab', json_path: $.a"), nil, "detectors[0]: a detector has exactly one of"},
		{"detector's name", detector("name: a-b, regex: 'ab'"), nil, "detectors[0].name: a detector's name is shown"},
		{"detector that is built in", detector("name: EMAIL, regex: 'ab'"), nil, "detectors[0].name: EMAIL is a built-in detector"},
		{"detector twice", "detectors: [ { name: A, regex: 'ab' }, { name: A, regex: 'ab' } ]", nil, "detectors[1].name: detector A is already defined in p.yaml"},
		{"unbounded regex", detector("name: A, regex: 'a+'"), nil, "detectors[0].regex: "},
		{"wrong regex", detector("name: A, regex: '('"), nil, "detectors[0].regex: "},
		{"missing dictionary", detector("name: A, dictionary: gone.txt"), nil, "detectors[0].dictionary: no such file"},
		{"context of a path", detector("name: A, json_path: $.a, context: [x]"), nil, "detectors[0].context: has a meaning for"},
		{"wrong path of a detector", detector("name: A, json_path: a.b"), nil, "detectors[0].json_path[0]: must be a JSONPath"},
		{"path detector in text", detector("name: A, json_path: $.a") + "\n" + rule("entities: [A]"), nil, "masking[0].entities[0]: A is a value of a JSON text"},
		{"threshold of a path", detector("name: A, json_path: $.a") + "\n" + rule("format: json, entities: [{ name: A, threshold: 0.5 }]"), nil, "masking[0].entities[0].threshold: has no meaning"},
		{"presidio without a url", presidio("language: en"), nil, "detectors[0].presidio.url: url is missing"},
		{"presidio at no url", presidio("url: presidio"), nil, "detectors[0].presidio.url: must be a URL"},
		{"presidio with a password", presidio("url: 'http://a:b@p'"), nil, "detectors[0].presidio.url: must not hold a password"},
		{"presidio that waits for ever", presidio("url: 'http://p', timeout: 2h"), nil, "detectors[0].presidio.timeout: must be from 1ms to 1m0s"},
		{"presidio on a stream", presidio("url: 'http://p', stream: half"), nil, `detectors[0].presidio.stream: unknown word "half"`},
		{"presidio's errors", presidio("url: 'http://p', on_error: ignore"), nil, `detectors[0].presidio.on_error: unknown word "ignore"`},
		{"presidio in JSON", presidio("url: 'http://p'") + "\n" + rule("format: json, entities: [P]"), nil, "masking[0].entities[0]: P asks an analyzer service"},
	}
	t.Setenv("SHORT_KEY", "short")
	t.Setenv("MASK_KEY", "a key of enough bytes")
	opts := masking.Options{
		ReadFile: func(string) ([]byte, error) { return nil, errors.New("no such file") },
		Analyzer: func(masking.Presidio) (masking.Analyzer, error) { return analyzer(nil), nil },
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			opts.Sources = tt.sources
			p, got := problemsOf(t, tt.yaml, opts)
			if len(got) != 1 || !strings.HasPrefix(got[0], tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
			if p != nil {
				t.Error("got a policy beside the problem")
			}
		})
	}
}

func TestLimits(t *testing.T) {
	var many masking.Document
	for i := range 257 {
		many.Masking = append(many.Masking, redacts(func(r *masking.Rule) { r.Name = fmt.Sprint("r", i) }))
	}
	if _, problems := masking.Compile([]masking.File{{Document: many}}, masking.Options{}); len(problems) != 1 || !strings.Contains(problems[0].Message, "more than 256 rules") {
		t.Errorf("got %v", problems)
	}
	var paths masking.Document
	for i := range 65 {
		paths.Detectors = append(paths.Detectors, masking.Detector{Name: fmt.Sprint("D", i), JSONPath: masking.Paths{"$.a"}})
	}
	if _, problems := masking.Compile([]masking.File{{Document: paths}}, masking.Options{}); len(problems) != 1 || !strings.Contains(problems[0].Message, "65 JSON paths") {
		t.Errorf("got %v", problems)
	}
	noAnalyzer := masking.Document{Detectors: []masking.Detector{{Name: "P", Presidio: &masking.Presidio{URL: "http://p"}}}}
	if _, problems := masking.Compile([]masking.File{{Document: noAnalyzer}}, masking.Options{}); len(problems) != 1 || !strings.Contains(problems[0].Message, "can't ask analyzer services") {
		t.Errorf("got %v", problems)
	}
}

// TestRulesOfSeveralFiles has a rule name a detector of a later file, and the
// same name in two.
func TestRulesOfSeveralFiles(t *testing.T) {
	files := []masking.File{
		{Name: "1.yaml", Document: masking.Document{Masking: []masking.Rule{redacts(func(r *masking.Rule) { r.Entities = entities("EMPLOYEE_ID") })}}},
		{Name: "2.yaml", Document: masking.Document{Detectors: []masking.Detector{{Name: "EMPLOYEE_ID", Regex: "E-[0-9]{6}"}}}},
	}
	p, problems := masking.Compile(files, masking.Options{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if got := p.Plan(nil, "m").Text(t.Context(), "it is E-123456.", nil); got != "it is [EMPLOYEE_ID]." {
		t.Errorf("got %q", got)
	}
	files[1].Document.Masking = []masking.Rule{redacts(nil)}
	_, problems = masking.Compile(files, masking.Options{})
	if len(problems) != 1 || problems[0].String() != `2.yaml: masking[0].name: rule "pii" is already defined in 1.yaml` {
		t.Errorf("got %v", problems)
	}
}
