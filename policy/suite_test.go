package policy_test

import (
	"encoding/json"
	"encoding/xml"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/policy"
)

func suite() *policy.Suite {
	return &policy.Suite{
		Name: "roles",
		Principals: map[string]policy.Fixture{
			"alice": {Groups: []string{"model-admin"}},
			"bob":   {Groups: []string{"model-viewer"}},
			"ci":    {Issuer: "https://issuer", Subject: "ci-7"},
		},
		Tests: []policy.Test{
			{Name: "loading", Principals: []string{"alice", "bob"}, Models: on("simple", "prod-x"), Expect: map[string]string{"load": "allow", "infer": "allow"}},
			{Name: "log", Principals: []string{"alice"}, Expect: map[string]string{"log": "allow"}},
			{Name: "ci", Principals: []string{"ci"}, Models: on("simple"), Expect: map[string]string{"infer": "allow", "list": "deny"}},
		},
	}
}

func suitePolicy(t *testing.T) *policy.Policy {
	t.Helper()
	d := roles(map[string][]policy.Entry{
		"model-admin":  {allow(on("*"), "*")},
		"model-viewer": {allow(on("*"), "infer", "list")},
		"ci":           {allow(on("simple"), "infer")},
	})
	d.Bindings = append(d.Bindings, policy.Binding{Role: "ci", Subjects: []string{"https://issuer#ci-7"}})
	return compile(t, d)
}

func TestSuiteRuns(t *testing.T) {
	s := suite()
	if problems := s.Check(policy.Options{}); len(problems) > 0 {
		t.Fatal(problems)
	}
	r := policy.Report{s.Run(suitePolicy(t), "suite.yaml")}
	if cases, failed := r.Count(); cases != 11 || failed != 2 {
		t.Errorf("got %d cases, %d failed, want 11 and 2", cases, failed)
	}
	var failed []string
	for _, c := range r[0].Cases {
		if !c.Passed {
			failed = append(failed, c.Principal+" "+c.Verb+" "+c.Model+" "+c.Got)
		}
	}
	if want := []string{"bob load simple deny", "bob load prod-x deny"}; !slices.Equal(failed, want) {
		t.Errorf("failed %q, want %q", failed, want)
	}
}

func TestSuiteWithoutNameIsCalledByItsFile(t *testing.T) {
	s := suite()
	s.Name = ""
	if r := s.Run(suitePolicy(t), "suite.yaml"); r.Name != "suite.yaml" {
		t.Errorf("got %q", r.Name)
	}
}

func TestSuiteProblems(t *testing.T) {
	s := &policy.Suite{
		Principals: map[string]policy.Fixture{"alice": {Groups: []string{"ops"}}},
		Tests: []policy.Test{
			{},
			{Name: "x", Principals: []string{"alice", "alcie"}, Expect: map[string]string{"lod": "allow", "load": "permit"}},
		},
	}
	var got []string
	for _, p := range s.Check(policy.Options{Sources: []string{"corp", "ci"}}) {
		got = append(got, p.Path+": "+p.Message)
	}
	want := []string{
		`principals.alice.groups[0]: group "ops" does not say which identity source it is of; with several, write source:group, as in "corp:ops"`,
		`tests[0].name: a test needs a name`,
		`tests[0].principals: test names no principal`,
		`tests[0].expect: test expects nothing; write expect: {infer: allow, load: deny}`,
		`tests[1].principals[1]: unknown principal "alcie" (did you mean "alice"?)`,
		`tests[1].expect.load: expected "permit"; write "allow" or "deny"`,
		`tests[1].expect.lod: unknown verb "lod" (did you mean "load"?)`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := (&policy.Suite{}).Check(policy.Options{}); len(got) != 1 || got[0].Path != "tests" {
		t.Errorf("an empty suite: got %v", got)
	}
}

func TestReportTable(t *testing.T) {
	r := policy.Report{suite().Run(suitePolicy(t), "suite.yaml")}
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
	if err := (policy.Report{suite().Run(suitePolicy(t), "suite.yaml")}).WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Cases, Failed int
		Suites        []policy.SuiteResult
	}
	if err := json.Unmarshal([]byte(b.String()), &got); err != nil {
		t.Fatal(err)
	}
	if got.Cases != 11 || got.Failed != 2 || len(got.Suites) != 1 || got.Suites[0].File != "suite.yaml" || len(got.Suites[0].Cases) != 11 {
		t.Errorf("got %+v", got)
	}
	b.Reset()
	if err := (policy.Report{}).WriteJSON(&b); err != nil || !strings.Contains(b.String(), `"suites": []`) {
		t.Errorf("no suites: %v, %s", err, b.String())
	}
}

func TestReportJUnit(t *testing.T) {
	s := suite()
	s.Name = "a <b> & \x01"
	s.Tests[0].Models = []string{"simple", "odd\x00\"name"}
	var b strings.Builder
	if err := (policy.Report{s.Run(suitePolicy(t), "suite.yaml")}).WriteJUnit(&b); err != nil {
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
