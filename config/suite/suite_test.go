package suite_test

import (
	"encoding/json"
	"encoding/xml"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/config/suite"
)

const policyText = `
roles:
  model-admin: [ { models: ["*"], verbs: ["*"] } ]
  model-viewer: [ { models: ["*"], verbs: [infer, list] } ]
  ci: [ { models: [simple], verbs: [infer] } ]
bindings:
  - { role: model-admin, groups: [model-admin] }
  - { role: model-viewer, groups: [model-viewer] }
  - { role: ci, subjects: ["https://issuer#ci-7"] }
access:
  - { models: ["*"], verbs: [load], for: [model-viewer], by: [approvers], max: 4h }
guards:
  - { name: no-push, verbs: [load_override], deny: "from the pipeline only" }
  - { name: unload-prod, verbs: [unload], models: ["prod-*"], approve: { by: [approvers] } }
  - { name: unload-all, verbs: [unload], models: ["*-x"], approve: { by: [owners] } }
  - { name: long, verbs: [infer], when: "size(text('text_input')) > 5", deny: "too long" }
  - { name: tokens, verbs: [infer], when: "parameters.max_tokens > 10", kinds: [service], deny: "too many" }
  - { name: night, verbs: [load], hours: [ { from: "20:00", to: "06:00" } ], deny: "by day only" }
  - { name: batch, verbs: [infer], observe: true, when: "batch > 2", deny: "large" }
`

func rules(t *testing.T) *config.Rules {
	t.Helper()
	r, problems := config.ReadRules([]string{"policy.yaml"}, config.RulesOptions{ReadFile: func(string) ([]byte, error) { return []byte(policyText), nil }})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return r
}

// read makes a suite of one test about alice, bob and ci-7, and what is wrong with it.
func read(t *testing.T, test string) (*suite.Suite, error) {
	t.Helper()
	text := `principals:
  alice: { groups: [others, model-admin] }
  bob: { groups: [model-viewer] }
  ci: { issuer: "https://issuer", subject: ci-7, kind: service }
tests: [ { name: n, ` + test + ` } ]`
	s := new(suite.Suite)
	at, problems := config.Decode("t_test.yaml", []byte(text), s)
	return s, append(problems, at.Place("", s.Check(suite.Options{Guards: rules(t).Guards.Names()}))...).Err()
}

func TestSuitesAskGuards(t *testing.T) {
	const prompt = `inputs: [ { name: text_input, datatype: BYTES, shape: [1], text: ["far too long"] } ]`
	for _, c := range []struct{ name, test, want string }{
		{"who denies", `principals: [bob], models: [m], request: { ` + prompt + ` }, expect: { infer: deny }, guards: [long]`, ""},
		{"another one denies", `principals: [bob], models: [m], request: { ` + prompt + ` }, expect: { infer: deny }, guards: [tokens]`, `want deny (guard tokens), got deny (guard long)`},
		{"a role denies before any guard", `principals: [bob], models: [m], request: {}, expect: { unload: deny }, guards: [unload-all]`, `want deny (guard unload-all), got deny (no role allows it)`},
		{"a request that is allowed", `principals: [bob], models: [m], request: { inputs: [ { name: text_input, datatype: BYTES, shape: [1], text: [ok] } ] }, expect: { infer: allow }`, ""},
		{"a guard that has no answer denies", `principals: [ci], models: [simple], request: {}, expect: { infer: deny }, guards: [tokens]`, ""},
		{"a parameter, of a service", `principals: [ci], models: [simple], request: { parameters: { max_tokens: 11 } }, expect: { infer: deny }, guards: [tokens]`, ""},
		{"people are not services", `principals: [bob], models: [simple], request: { parameters: { max_tokens: 11 } }, expect: { infer: allow }`, ""},
		{"who is asked", `principals: [alice], models: [prod-a], request: {}, expect: { unload: approve }, guards: [unload-prod], by: [approvers]`, ""},
		{"all that ask", `principals: [alice], models: [prod-x], request: {}, expect: { unload: approve }, guards: [unload-all, unload-prod], by: [approvers, owners]`, ""},
		{"one of those that ask", `principals: [alice], models: [prod-x], request: {}, expect: { unload: approve }, guards: [unload-all]`, `want approve (guard unload-all), got approve (guard unload-prod, guard unload-all), by approvers, owners`},
		{"others are asked", `principals: [alice], models: [prod-a], request: {}, expect: { unload: approve }, by: [owners]`, `want approve, by owners, got approve (guard unload-prod), by approvers`},
		{"held is not allowed", `principals: [alice], models: [prod-a], request: {}, expect: { unload: allow }`, `want allow, got approve (guard unload-prod), by approvers`},
		{"a configuration makes a load an override", `principals: [alice], models: [m], request: { config: { backend: python } }, expect: { load: deny }, guards: [no-push]`, ""},
		{"files do, too", `principals: [alice], models: [m], request: { files: { "1/m.py": 10 } }, expect: { load: deny }, guards: [no-push]`, ""},
		{"at noon unless it says when", `principals: [alice], models: [m], request: {}, expect: { load: allow }`, ""},
		{"by night", `principals: [alice], models: [m], request: { time: "2026-05-04T23:00:00Z" }, expect: { load: deny }, guards: [night]`, ""},
		{"who observes", `principals: [bob], models: [m], request: { inputs: [ { name: a, datatype: FP32, shape: [3, 2] } ] }, expect: { infer: allow }, observed: [batch]`, ""},
		{"nobody observes", `principals: [bob], models: [m], request: {}, expect: { infer: allow }, observed: [batch]`, `want allow, observed by guard batch, got allow (role model-viewer)`},
		{"asked for ahead", `principals: [bob], models: [m], expect: { load: access }, by: [approvers]`, ""},
		{"what may be asked for is denied", `principals: [bob], models: [m], expect: { load: deny }`, ""},
		{"who is asked is of the verbs that ask", `principals: [bob], models: [m], expect: { load: access, infer: allow, unload: deny }, by: [approvers]`, ""},
		{"who decides is of the verbs that are not allowed", `principals: [alice], models: [m], request: { files: { "1/m.py": 10 } }, expect: { load: deny, list: allow }, guards: [no-push]`, ""},
		{"not to be asked for", `principals: [bob], models: [m], expect: { unload: access }`, `want access, got deny (no role allows it)`},
		{"roles alone where there is no request", `principals: [alice], models: [prod-a], expect: { unload: allow }`, ""},
		{"what was not asked is said", `principals: [alice], models: [prod-a], expect: { unload: deny }`, `want deny, got allow (role model-admin); no request, so not asked: guard unload-prod`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := read(t, c.test)
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			r := suite.Report{s.Run(rules(t), "t_test.yaml")}
			if err := r.WriteTable(&b, true); err != nil {
				t.Fatal(err)
			}
			_, failed := r.Count()
			if failed != min(len(c.want), 1) || !strings.Contains(b.String(), c.want+"\n") {
				t.Errorf("%d failed, got\n%swant %s", failed, b.String(), c.want)
			}
		})
	}
}

func TestSuiteProblemsOfRequests(t *testing.T) {
	for test, want := range map[string]string{
		`principals: [bob], expect: { unload: approve }`:                                                               "tests[0].expect.unload: approve is what guards say",
		`principals: [bob], expect: { infer: deny }, guards: [long]`:                                                   "tests[0]: guards are asked about a request",
		`principals: [bob], request: {}, expect: { infer: deny }, guards: [lang]`:                                      `tests[0].guards[0]: unknown guard "lang" (did you mean "long"?)`,
		`principals: [bob], request: {}, expect: { infer: allow }, observed: [lang]`:                                   `tests[0].observed[0]: unknown guard "lang"`,
		`principals: [bob], request: {}, expect: { infer: allow }, guards: [long]`:                                     "tests[0].guards: no guard decides",
		`principals: [bob], request: {}, expect: { infer: allow }, by: [approvers]`:                                    "tests[0].by: nobody is asked",
		`principals: [bob], request: { inputs: [ { name: a, datatype: FP3, shape: [1] } ] }, expect: { infer: allow }`: `tests[0].request.inputs[0].datatype: unknown datatype "FP3"`,
		`principals: [bob], request: { client: here }, expect: { infer: allow, load: deny }`:                           "tests[0].request.client: is no IP address",
		`principals: [bob], request: { verb: load }, expect: { infer: allow }`:                                         "tests[0].request.verb: unknown key",
		`principals: [bob], request: { parameters: { max_tokens: [1] } }, expect: { infer: allow }`:                    "tests[0].request.parameters.max_tokens: must be a truth, a number or a string",
		`principals: [bob], request: { time: soon }, expect: { infer: allow }`:                                         "tests[0].request.time: ",
		`principals: [bob], expect: { infer: maybe }`:                                                                  `tests[0].expect.infer: expected "maybe"; write "allow"`,
	} {
		_, err := read(t, test)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Count(err.Error(), "\n") > 0 {
			t.Errorf("%s: got %v, want %s", test, err, want)
		}
	}
}

func TestFixtureProblems(t *testing.T) {
	f := suite.Fixture{Groups: []string{""}, Kind: "users"}
	got := f.Check(suite.Options{})
	if len(got) != 2 || got[0].Path != "groups[0]" || got[1].Message != `must be user or service (did you mean "user"?)` {
		t.Errorf("got %v", got)
	}
}

func roles() *suite.Suite {
	return &suite.Suite{
		Name: "roles",
		Principals: map[string]suite.Fixture{
			"alice": {Groups: []string{"model-admin"}},
			"bob":   {Groups: []string{"model-viewer"}},
			"ci":    {Issuer: "https://issuer", Subject: "ci-7"},
		},
		Tests: []suite.Test{
			{Name: "loading", Principals: []string{"alice", "bob"}, Models: []string{"simple", "prod-x"}, Expect: expect("load", "infer")},
			{Name: "log", Principals: []string{"alice"}, Expect: expect("log")},
			{Name: "ci", Principals: []string{"ci"}, Models: []string{"simple"}, Expect: map[string]suite.Effect{"infer": suite.Allow, "list": suite.Deny}},
		},
	}
}

func expect(verbs ...string) map[string]suite.Effect {
	allowed := map[string]suite.Effect{}
	for _, v := range verbs {
		allowed[v] = suite.Allow
	}
	return allowed
}

func TestSuiteRuns(t *testing.T) {
	s := roles()
	if problems := s.Check(suite.Options{}); len(problems) > 0 {
		t.Fatal(problems)
	}
	r := suite.Report{s.Run(rules(t), "suite.yaml")}
	if cases, failed := r.Count(); cases != 11 || failed != 2 {
		t.Errorf("got %d cases, %d failed, want 11 and 2", cases, failed)
	}
	var failed []string
	for _, c := range r[0].Cases {
		if !c.Passed {
			failed = append(failed, c.Principal+" "+c.Verb+" "+c.Model+" "+string(c.Got))
		}
	}
	if want := []string{"bob load simple deny", "bob load prod-x deny"}; !slices.Equal(failed, want) {
		t.Errorf("failed %q, want %q", failed, want)
	}
}

func TestSuiteWithoutNameIsCalledByItsFile(t *testing.T) {
	s := roles()
	s.Name = ""
	if r := s.Run(rules(t), "suite.yaml"); r.Name != "suite.yaml" {
		t.Errorf("got %q", r.Name)
	}
}

func TestSuiteProblems(t *testing.T) {
	s := &suite.Suite{
		Principals: map[string]suite.Fixture{"alice": {Groups: []string{"ops"}}},
		Tests: []suite.Test{
			{},
			{Name: "x", Principals: []string{"alice", "alcie"}, Expect: map[string]suite.Effect{"lod": "allow", "load": "permit"}},
		},
	}
	var got []string
	for _, p := range s.Check(suite.Options{Sources: []string{"corp", "ci"}}) {
		got = append(got, p.Path+": "+p.Message)
	}
	want := []string{
		`principals.alice.groups[0]: group "ops" does not say which identity source it is of; with several, write source:group, as in "corp:ops"`,
		`tests[0].name: a test needs a name`,
		`tests[0].principals: test names no principal`,
		`tests[0].expect: test expects nothing; write expect: {infer: allow, load: deny}`,
		`tests[1].principals[1]: unknown principal "alcie" (did you mean "alice"?)`,
		`tests[1].expect.load: expected "permit"; write "allow", "deny", "approve" (a guard asks for it) or "access" (it may be asked for ahead)`,
		`tests[1].expect.lod: unknown verb "lod" (did you mean "load"?)`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := (&suite.Suite{}).Check(suite.Options{}); len(got) != 1 || got[0].Path != "tests" {
		t.Errorf("an empty suite: got %v", got)
	}
}

func TestReportTable(t *testing.T) {
	r := suite.Report{roles().Run(rules(t), "suite.yaml")}
	var b strings.Builder
	if err := r.WriteTable(&b, false); err != nil {
		t.Fatal(err)
	}
	want := `roles: 9 of 11 cases passed
  FAIL  loading  bob  load simple  want allow, got deny (no role allows it)
  FAIL  loading  bob  load prod-x  want allow, got deny (no role allows it)
11 cases, 2 failed
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	b.Reset()
	if err := r.WriteTable(&b, true); err != nil {
		t.Fatal(err)
	}
	if all := b.String(); strings.Count(all, "\n") != 13 || !strings.Contains(all, "allow (role model-admin)") {
		t.Errorf("got\n%s", all)
	}
}

func TestReportJSON(t *testing.T) {
	var b strings.Builder
	if err := (suite.Report{roles().Run(rules(t), "suite.yaml")}).WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Cases, Failed int
		Suites        []suite.Result
	}
	if err := json.Unmarshal([]byte(b.String()), &got); err != nil {
		t.Fatal(err)
	}
	if got.Cases != 11 || got.Failed != 2 || len(got.Suites) != 1 || got.Suites[0].File != "suite.yaml" || len(got.Suites[0].Cases) != 11 {
		t.Errorf("got %+v", got)
	}
	b.Reset()
	if err := (suite.Report{}).WriteJSON(&b); err != nil || !strings.Contains(b.String(), `"suites": []`) {
		t.Errorf("no suites: %v, %s", err, b.String())
	}
}

func TestReportJUnit(t *testing.T) {
	s := roles()
	s.Name = "a <b> & \x01"
	s.Tests[0].Models = []string{"simple", "odd\x00\"name"}
	var b strings.Builder
	if err := (suite.Report{s.Run(rules(t), "suite.yaml")}).WriteJUnit(&b); err != nil {
		t.Fatal(err)
	}
	var got struct {
		XMLName  xml.Name `xml:"testsuites"`
		Tests    int      `xml:"tests,attr"`
		Failures int      `xml:"failures,attr"`
		Suites   []struct {
			Name  string `xml:"name,attr"`
			Cases []struct {
				Name    string `xml:"name,attr"`
				Failure *struct {
					Message string `xml:"message,attr"`
				} `xml:"failure"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal([]byte(b.String()), &got); err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	if got.Tests != 11 || got.Failures != 2 || got.Suites[0].Name != "a <b> & \ufffd" {
		t.Errorf("got %+v", got)
	}
	first, odd := got.Suites[0].Cases[5], got.Suites[0].Cases[7]
	if first.Name != "loading: bob load simple" || first.Failure == nil || first.Failure.Message != "want allow, got deny (no role allows it)" {
		t.Errorf("got %+v", first)
	}
	if odd.Name != `loading: bob load "odd\x00\"name"` {
		t.Errorf("got %q", odd.Name)
	}
}
