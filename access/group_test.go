package access_test

import (
	"testing"

	"github.com/sluice-gateway/sluice/access"
)

func TestGroupProblem(t *testing.T) {
	two := []string{"corp", "ci"}
	for _, c := range []struct {
		name, group string
		sources     []string
		want        string
	}{
		{"the only source is not said", "ops", []string{"corp"}, ""},
		{"a colon that names no source", "a:b", []string{"corp"}, ""},
		{"sources that are not known", "corp:ops", nil, ""},
		{"one of several", "ci:ops", two, ""},
		{"no group", "", nil, "an empty group"},
		{"the only source is said", "corp:ops", []string{"corp"}, `there is one identity source, so groups are written without it: write "ops"`},
		{"none of several is said", "ops", two, `group "ops" does not say which identity source it is of; with several, write source:group, as in "corp:ops"`},
		{"a source's name alone", "ops:", two, `group "ops:" does not say which identity source it is of; with several, write source:group, as in "corp:ops"`},
		{"a source that is none", "crop:ops", two, `group "crop:ops" is of an unknown identity source "crop" (did you mean "corp"?)`},
	} {
		if got := access.GroupProblem(c.group, c.sources); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestFileProblemNamesItsPlace(t *testing.T) {
	for want, p := range map[string]access.FileProblem{
		"a.yaml: roles.x: is empty": {File: "a.yaml", Problem: access.Problem{Path: "roles.x", Message: "is empty"}},
		"a.yaml: is empty":          {File: "a.yaml", Problem: access.Problem{Message: "is empty"}},
		"roles.x: is empty":         {Problem: access.Problem{Path: "roles.x", Message: "is empty"}},
	} {
		if got := p.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
