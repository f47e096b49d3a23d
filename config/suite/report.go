package suite

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/access"
)

// Result is what came of one suite.
type Result struct {
	Name  string `json:"name"`
	File  string `json:"file"`
	Cases []Case `json:"cases"`
}

// Case is what came of one principal, verb and model of a test.
type Case struct {
	Test      string `json:"test"`
	Principal string `json:"principal"`
	Verb      string `json:"verb"`
	Model     string `json:"model"`
	Want      Effect `json:"want"`
	Got       Effect `json:"got"`
	Rule      string `json:"rule"`
	// Guards are those that decided, By the groups that are asked, Observed the guards
	// that would have done something.
	Guards   []string `json:"guards,omitempty"`
	By       []string `json:"by,omitempty"`
	Observed []string `json:"observed,omitempty"`
	// Unasked are the guards about such a call that no request was there for.
	Unasked []string `json:"unasked,omitempty"`
	Passed  bool     `json:"passed"`

	wanted string // in words
}

// Report is what came of all suites of a run.
type Report []Result

// Count returns how many cases there were and how many of them failed.
func (r Report) Count() (cases, failed int) {
	for _, s := range r {
		n, f := s.count()
		cases, failed = cases+n, failed+f
	}
	return cases, failed
}

func (s *Result) count() (cases, failed int) {
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

func (c *Case) verdict() string {
	if c.Passed {
		return "ok"
	}
	return "FAIL"
}

func (c *Case) act() string { return strings.TrimSpace(c.Verb + " " + shownName(c.Model)) }

// outcome names the rule too: it is what one wants to know of a failed case.
func (c *Case) outcome() string {
	got := described(fmt.Sprintf("%s (%s)", c.Got, c.Rule), c.By, c.Observed)
	if c.Passed {
		return got
	}
	if len(c.Unasked) > 0 {
		got += "; no request, so not asked: guard " + strings.Join(c.Unasked, ", guard ")
	}
	return fmt.Sprintf("want %s, got %s", c.wanted, got)
}

// described is an effect, who is asked, and the guards that only observe.
func described(effect string, by, observed []string) string {
	if len(by) > 0 {
		effect += ", by " + strings.Join(by, ", ")
	}
	if len(observed) > 0 {
		effect += ", observed by guard " + strings.Join(observed, ", guard ")
	}
	return effect
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
	odd := func(r rune) bool { return !unicode.IsPrint(r) || unicode.IsSpace(r) }
	if len(s) <= plainName && utf8.ValidString(s) && !strings.ContainsFunc(s, odd) {
		return s
	}
	return access.Quote(s)
}
