package guard

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/access"
)

// maxPatterns bounds the expressions of one list: each is tried on each text.
const maxPatterns = 1000

// denyList checks and compiles a deny list. It returns the contents of the file
// that the list names, which are part of what the guard says.
func (c *checker) denyList(path string, g *guard) (file []byte) {
	d := g.DenyList
	if d == nil {
		return nil
	}
	if d.Text == nil && d.Parameters == nil && len(d.Override) == 0 && d.MaxTokens == 0 && d.MaxBytes == 0 && d.MaxBatch == 0 {
		c.add(path, "deny_list is empty; name text, parameters, override, max_tokens, max_bytes or max_batch")
	}
	for _, limit := range []struct {
		key   string
		value int64
	}{{"max_tokens", d.MaxTokens}, {"max_bytes", int64(d.MaxBytes)}, {"max_batch", d.MaxBatch}} {
		if limit.value < 0 {
			c.add(path+"."+limit.key, "must be positive")
		}
	}
	for i, p := range d.Override {
		c.pattern(fmt.Sprintf("%s.override[%d]", path, i), p)
	}
	if d.Text != nil {
		file = c.text(path+".text", d.Text, g)
	}
	if d.Parameters != nil {
		c.parameterList(path+".parameters", d.Parameters, g)
	}
	c.effect(path, d, g)
	return file
}

// effect notes what the list reads, and refuses what no request of the guard's
// verbs has.
func (c *checker) effect(path string, d *DenyList, g *guard) {
	for _, key := range []struct {
		name  string
		set   bool
		verb  access.Verb
		reads facts
	}{
		{"text", d.Text != nil, access.Infer, factInputs},
		{"max_tokens", d.MaxTokens > 0, access.Infer, factParameters | factInputs},
		{"max_batch", d.MaxBatch > 0, access.Infer, factInputs},
		{"override", len(d.Override) > 0, access.LoadOverride, factOverride},
	} {
		if !key.set {
			continue
		}
		g.facts |= key.reads
		if !g.verbs[key.verb] {
			c.add(path+"."+key.name, "has no effect: the guard is not about %s", key.verb)
		}
	}
	if d.Parameters != nil || d.MaxBytes > 0 {
		g.facts |= factParameters | factInputs
	}
}

func (c *checker) text(path string, t *TextList, g *guard) (file []byte) {
	g.textInputs = t.Tensors
	if len(t.Tensors) == 0 {
		g.textInputs = []string{"*"}
	}
	for i, p := range t.Tensors {
		c.pattern(fmt.Sprintf("%s.tensors[%d]", path, i), p)
	}
	for i, p := range t.Patterns {
		c.expression(fmt.Sprintf("%s.patterns[%d]", path, i), "", p, &g.patterns)
	}
	if t.File != "" {
		var err error
		if file, err = c.options.ReadFile(string(t.File)); err != nil {
			c.add(path+".file", "%s %v", t.File, err)
			return nil
		}
		number := 0
		for line := range strings.Lines(string(file)) {
			number++
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				c.expression(path+".file", fmt.Sprintf("line %d: ", number), line, &g.patterns)
			}
		}
	}
	if len(t.Patterns) == 0 && len(file) == 0 {
		c.add(path, "text needs patterns, or a file of them")
	}
	if len(g.patterns) > maxPatterns {
		c.add(path, "has %d expressions, more than %d", len(g.patterns), maxPatterns)
	}
	return file
}

func (c *checker) parameterList(path string, p *ParameterList, g *guard) {
	if len(p.Names) == 0 && len(p.Values) == 0 {
		c.add(path, "parameters needs names or values")
	}
	for i, name := range p.Names {
		c.pattern(fmt.Sprintf("%s.names[%d]", path, i), name)
	}
	for i, v := range p.Values {
		c.expression(fmt.Sprintf("%s.values[%d]", path, i), "", v, &g.values)
	}
}

// expression compiles one in RE2 syntax. One that matches the empty text would
// match all.
func (c *checker) expression(path, where, text string, into *[]*regexp.Regexp) {
	re, err := regexp.Compile(text)
	switch {
	case text == "":
		c.add(path, "%san empty expression matches everything", where)
	case len(text) > maxPattern:
		c.add(path, "%san expression has at most %d bytes", where, maxPattern)
	case err != nil:
		c.add(path, "%s%v", where, err)
	case re.MatchString("") && !slices.Contains([]string{"^$", `\A\z`}, text):
		c.add(path, "%s%q matches the empty text, so it matches everything", where, text)
	default:
		*into = append(*into, re)
	}
}
