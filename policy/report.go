package policy

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/sluice-gateway/sluice/access"
)

// SuiteResult is what came of one suite.
type SuiteResult struct {
	Name  string       `json:"name"`
	File  string       `json:"file"`
	Cases []CaseResult `json:"cases"`
}

// CaseResult is what came of one principal, verb and model of a test. Want and
// Got are "allow" or "deny".
type CaseResult struct {
	Test      string `json:"test"`
	Principal string `json:"principal"`
	Verb      string `json:"verb"`
	Model     string `json:"model"`
	Want      string `json:"want"`
	Got       string `json:"got"`
	Rule      string `json:"rule"`
	Passed    bool   `json:"passed"`
}

// Report is what came of all suites of a run.
type Report []SuiteResult

// Count returns how many cases there were and how many of them failed.
func (r Report) Count() (cases, failed int) {
	for _, s := range r {
		n, f := s.count()
		cases, failed = cases+n, failed+f
	}
	return cases, failed
}

func (s *SuiteResult) count() (cases, failed int) {
	for _, c := range s.Cases {
		if !c.Passed {
			failed++
		}
	}
	return len(s.Cases), failed
}

// WriteTable writes the failed cases, each suite's count and a last line with
// the whole, for people; with all, the passed cases too.
func (r Report) WriteTable(w io.Writer, all bool) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range r {
		n, f := s.count()
		_, _ = fmt.Fprintf(t, "%s: %d of %d cases passed\n", s.Name, n-f, n)
		for _, c := range s.Cases {
			if verdict := c.verdict(); all || !c.Passed {
				_, _ = fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\n", verdict, c.Test, c.Principal, c.act(), c.outcome())
			}
		}
	}
	cases, failed := r.Count()
	_, _ = fmt.Fprintf(t, "%d cases, %d failed\n", cases, failed)
	return t.Flush() // which reports what any of the writes ran into
}

func (c *CaseResult) verdict() string {
	if c.Passed {
		return "ok"
	}
	return "FAIL"
}

func (c *CaseResult) act() string { return strings.TrimSpace(c.Verb + " " + shownName(c.Model)) }

// outcome names the rule too: it is what one wants to know of a failed case.
func (c *CaseResult) outcome() string {
	if c.Passed {
		return fmt.Sprintf("%s (%s)", c.Got, c.Rule)
	}
	return fmt.Sprintf("want %s, got %s (%s)", c.Want, c.Got, c.Rule)
}

// WriteJSON writes the report as one JSON object with stable names:
// {"cases", "failed", "suites": [...]}.
func (r Report) WriteJSON(w io.Writer) error {
	cases, failed := r.Count()
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		Cases  int    `json:"cases"`
		Failed int    `json:"failed"`
		Suites Report `json:"suites"`
	}{cases, failed, append(Report{}, r...)})
}

// What JUnit's readers agree on.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		File     string      `xml:"file,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Failure *junitFailure `xml:"failure"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
	}
)

// WriteJUnit writes the report as JUnit XML, one testcase a case.
func (r Report) WriteJUnit(w io.Writer) error {
	var out junitSuites
	out.Tests, out.Failures = r.Count()
	for _, s := range r {
		suite := junitSuite{Name: s.Name, File: s.File}
		suite.Tests, suite.Failures = s.count()
		for _, c := range s.Cases {
			jc := junitCase{Class: s.Name, Name: fmt.Sprintf("%s: %s %s", c.Test, c.Principal, c.act())}
			if !c.Passed {
				jc.Failure = &junitFailure{c.outcome()}
			}
			suite.Cases = append(suite.Cases, jc)
		}
		out.Suites = append(out.Suites, suite)
	}
	text, err := xml.MarshalIndent(out, "", "  ")
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, xml.Header+string(text)+"\n")
	return err
}

// plainName is how long a name may be that is shown without quotes, in bytes.
const plainName = 128

// shownName leaves a plain name as it is and quotes any other.
func shownName(s string) string {
	if len(s) <= plainName && printable(s) {
		return s
	}
	return access.Quote(s)
}
