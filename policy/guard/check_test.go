package guard_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/policy/guard"
)

// TestCheck has what a policy file can get wrong about a guard, and where it is
// said. Each text is the part of the guard that is wrong.
func TestCheck(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"right":                   {`when: "size > 1"`, ""},
		"unknown verb":            {`verbs: [infr]`, `guards[0].verbs[0]: unknown verb "infr" (did you mean "infer"?)`},
		"no verbs":                {`verbs: []`, "guards[0].verbs: verbs is empty"},
		"a verb of the admin API": {`verbs: [approve]`, "guards[0].verbs[0]: approve is a verb of the admin API"},
		"no name":                 {`name: ""`, "guards[0].name: a guard needs a name"},
		"a name with blanks":      {`name: "a b"`, "guards[0].name: a guard's name holds printable"},
		"shm on some models":      {`verbs: [shm], models: ["a*"]`, "guards[0].models: shm is never about one model"},
		"an empty pattern":        {`models: [""]`, "guards[0].models[0]: an empty pattern"},
		"no subject":              {`subjects: [alice]`, `guards[0].subjects[0]: subject "alice" is not of the form issuer#subject`},
		"an empty group":          {`groups: [""]`, "guards[0].groups[0]: an empty group"},
		"an empty exception":      {`except: [""]`, "guards[0].except[0]: an empty group"},
		"an unknown kind":         {`kinds: [robot]`, "guards[0].kinds[0]: must be user or service"},

		"a variable that is not there": {`when: "parametres.x == 1"`, "guards[0].when: 1:1: undeclared reference to 'parametres' (did you mean \"parameters\"?)"},
		"a field that is not there":    {`when: "inputs.exists(i, i.nmae == 'x')"`, "guards[0].when: 1:19: undefined field 'nmae'"},
		"a field of the configuration": {`verbs: [load_override], when: "override.config.bakend == 'x'"`, "guards[0].when: 1:16: undefined field 'bakend'"},
		"the wrong type":               {`when: "size > 'x'"`, "guards[0].when: 1:6: found no matching overload for '_>_'"},
		"no condition":                 {`when: "size"`, "guards[0].when: must be a condition, which is true or false, but is of type int"},
		"a syntax error on line 2":     {"when: \"size > 1 &&\\n )\"", "guards[0].when: 2:2: Syntax error"},
		"a condition of any type":      {`when: "parameters.x"`, "guards[0].when: must be a condition"},
		"the hidden variable":          {`when: "@call == 1"`, "guards[0].when: 1:1: Syntax error"},
		"a name that is not literal":   {`when: "text(model) == 'x'"`, "guards[0].when: text() takes the name of an input as a string in quotes"},
		"an expression of the request": {`when: "text('a').matches(model)"`, "guards[0].when: matches() takes an expression in quotes"},
		"a wrong expression":           {`when: "text('a').matches('(')"`, "guards[0].when: 1:19: invalid matches argument"},
		"an input made up":             {`when: "inputs[0] == guard.Input{name: 'x'}"`, "guards[0].when: guard.Input can't be made here"},
		"a key misspelt":               {`when: "override.config == inference.ModelConfig{}", verbs: [load]`, "guards[0].when: inference.ModelConfig can't be made here"},
		"no network":                   {`when: "cidr(client.address, '10.0.0.0')"`, "guards[0].when: cidr() takes an address and a network"},
		"too much work":                {`when: "inputs.all(a, inputs.all(b, inputs.all(c, a.name == b.name)))"`, "guards[0].when: may cost too much"},
		"deeper than that":             {`when: "inputs.all(a, inputs.all(b, inputs.all(c, inputs.all(d, true))))"`, "guards[0].when: 1:"},
		"inputs of a load":             {`verbs: [load], when: "batch > 1"`, "guards[0].when: looks at inputs or outputs"},
		"the override of an infer":     {`when: "size(override.files) > 0"`, "guards[0].when: looks at what a load pushes"},

		"days that are none":   {`hours: [{days: [mon-funday]}]`, `guards[0].hours[0]: "mon-funday" are no days`},
		"a time that is none":  {`hours: [{from: "9"}]`, `guards[0].hours[0]: "9" is no time of day`},
		"hours of no length":   {`hours: [{from: "09:00", to: "09:00"}]`, "guards[0].hours[0]: from has to be before 24:00"},
		"no such zone":         {`hours: [{tz: Europe/Berlim}]`, `guards[0].hours[0]: unknown time zone "Europe/Berlim"`},
		"the machine's zone":   {`hours: [{tz: Local}]`, "guards[0].hours[0]: tz must be a time zone by name"},
		"deny and approve":     {`approve: {by: [a]}`, "guards[0]: deny and approve exclude each other"},
		"neither":              {`deny: ""`, "guards[0]: guard says neither deny"},
		"a reason of two rows": {`deny: "a\nb"`, "guards[0].deny: a reason is one line"},

		"an empty list":           {`deny_list: {}`, "guards[0].deny_list: deny_list is empty"},
		"a negative limit":        {`deny_list: {max_tokens: -1}`, "guards[0].deny_list.max_tokens: must be positive"},
		"no expressions":          {`deny_list: {text: {tensors: [a]}}`, "guards[0].deny_list.text: text needs patterns"},
		"an expression is wrong":  {`deny_list: {text: {patterns: ["("]}}`, "guards[0].deny_list.text.patterns[0]: error parsing regexp"},
		"one that matches all":    {`deny_list: {text: {patterns: ["a*"]}}`, `guards[0].deny_list.text.patterns[0]: "a*" matches the empty text`},
		"a file with a wrong one": {`deny_list: {text: {file: list}}`, "guards[0].deny_list.text.file: line 3: error parsing regexp"},
		"a file that is not":      {`deny_list: {text: {file: nope}}`, "guards[0].deny_list.text.file: nope not there"},
		"no parameters":           {`deny_list: {parameters: {}}`, "guards[0].deny_list.parameters: parameters needs names or values"},
		"a value is wrong":        {`deny_list: {parameters: {values: ["("]}}`, "guards[0].deny_list.parameters.values[0]: error parsing"},
		"override of an infer":    {`deny_list: {override: [backend]}`, "guards[0].deny_list.override: has no effect: the guard is not about load_override"},
		"text of a load":          {`verbs: [load], deny_list: {text: {patterns: [a]}}`, "guards[0].deny_list.text: has no effect: the guard is not about infer"},

		"a header's key":    {`when: "'X-Team' in metadata"`, `guards[0].when: metadata has its keys in lower case, so that "X-Team" is never in it; write "x-team"`},
		"nobody approves":   {`deny: "", approve: {}`, "guards[0].approve.by: by is missing"},
		"no count":          {`deny: "", approve: {by: [a], count: 0}`, "guards[0].approve.count: must be from 1"},
		"too long":          {`deny: "", approve: {by: [a], within: 8d}`, "guards[0].approve.within: must be positive, and at most 7d"},
		"a grant for ever":  {`deny: "", approve: {by: [a], grant: 0s}`, "guards[0].approve.grant: must be positive"},
		"negative uses":     {`deny: "", approve: {by: [a], uses: -1}`, "guards[0].approve.uses: must be positive"},
		"a reason said so":  {`deny: "", approve: {by: [a], reason: yes}`, "guards[0].approve.reason: must be required"},
		"a ticket is wrong": {`deny: "", approve: {by: [a], ticket: "("}`, "guards[0].approve.ticket: error parsing"},
		"an unknown mode":   {`deny: "", approve: {by: [a], mode: wate}`, `guards[0].approve.mode: must be wait or ask (did you mean "wait"?)`},
		"an unknown scope":  {`deny: "", approve: {by: [a], scope: modl}`, `guards[0].approve.scope: must be call or model (did you mean "model"?)`},
		"without a store":   {`deny: "", approve: {by: [a]}`, "guards[0].approve: approvals have to be kept somewhere"},
	} {
		t.Run(name, func(t *testing.T) {
			text := c.text
			for _, key := range []string{"name: g", "verbs: [infer]", "deny: no"} {
				if word, _, _ := strings.Cut(key, ":"); !strings.HasPrefix(text, word+":") && !strings.Contains(text, ", "+word+":") {
					text += ", " + key
				}
			}
			p, problems := guard.Compile([]guard.File{{Name: "p.yaml", Document: document(t, "guards: [{"+text+"}]")}}, guard.Options{ReadFile: files, Stateless: name == "without a store"})
			if c.want == "" {
				if p == nil || len(problems) > 0 {
					t.Errorf("got %v", problems)
				}
				return
			}
			if p != nil || len(problems) == 0 || !strings.HasPrefix(problems[0].String(), "p.yaml: "+c.want) {
				t.Errorf("got %v\nwant p.yaml: %s", problems, c.want)
			}
		})
	}
}

// files are what guards of these tests name.
func files(name string) ([]byte, error) {
	switch name {
	case "list":
		return []byte("# words\n\n(\n"), nil
	case "words":
		return []byte("# words\n\n(?i)forbidden\nsecret\\d+\n"), nil
	}
	return nil, errors.New("not there")
}

func TestEveryProblemIsReported(t *testing.T) {
	_, problems := guard.Compile([]guard.File{
		{Name: "a", Document: document(t, `guards: [{name: one, verbs: [x], deny: no}, {name: one, verbs: [infer], deny: no}]`)},
		{Name: "b", Document: document(t, `guards: [{name: one, verbs: [infer]}]`)},
	}, guard.Options{})
	var all []string
	for _, p := range problems {
		all = append(all, p.File+" "+p.Path)
	}
	want := "a guards[0].verbs[0], a guards[1].name, b guards[0].name, b guards[0]"
	if got := strings.Join(all, ", "); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// TestGroupsSayTheirSource: no issuer speaks for another, neither as caller nor
// as approver.
func TestGroupsSayTheirSource(t *testing.T) {
	d := document(t, `guards: [{name: g, verbs: [infer], groups: [corp:a, b], except: [c], approve: {by: [d, "ci:e"]}}]`)
	_, problems := guard.Compile([]guard.File{{Document: d}}, guard.Options{Sources: []string{"corp", "ci"}})
	var paths []string
	for _, p := range problems {
		paths = append(paths, p.Path)
	}
	if got, want := strings.Join(paths, " "), "guards[0].groups[1] guards[0].except[0] guards[0].approve.by[0]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAnObserverNeedsNoStore(t *testing.T) {
	d := document(t, `guards: [{name: g, verbs: [infer], observe: true, approve: {by: [a]}}]`)
	if _, problems := guard.Compile([]guard.File{{Document: d}}, guard.Options{Stateless: true}); len(problems) > 0 {
		t.Error(problems)
	}
}
