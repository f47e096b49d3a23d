package access

import (
	"fmt"
	"slices"
	"strings"
)

// GroupProblem holds the rule that no identity source speaks for another: with
// several sources a group is written "source:group". It returns what is wrong with a
// group as an operator wrote it, empty if nothing is. No sources means not known. The
// reverse, a source named where there is one only, would be a group that nobody is
// in: a deny or an exception for it would be lost without a word.
func GroupProblem(group string, sources []string) string {
	source, name, qualified := strings.Cut(group, ":")
	known := slices.Contains(sources, source)
	switch {
	case group == "":
		return "an empty group"
	case len(sources) == 1 && qualified && known:
		return fmt.Sprintf("there is one identity source, so groups are written without it: write %q", name)
	case len(sources) < 2:
	case !qualified || name == "":
		return fmt.Sprintf("group %q does not say which identity source it is of; with several, write source:group, as in %q", group, sources[0]+":"+strings.TrimSuffix(group, ":"))
	case !known:
		return fmt.Sprintf("group %q is of an unknown identity source %q%s", group, source, DidYouMean(source, sources))
	}
	return ""
}

// FileProblem is a [Problem] in one of several files that were given together.
type FileProblem struct {
	// File is the name that the file was given with.
	File string
	Problem
}

// String returns "file: path: message".
func (p FileProblem) String() string {
	s := p.Message
	if p.Path != "" {
		s = p.Path + ": " + s
	}
	if p.File != "" {
		s = p.File + ": " + s
	}
	return s
}
