package backends

import (
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/access"
)

// section is the options of some types of servers, a key of their own in a
// backend's entry. Each is a pointer to a struct, nil where it is not written.
type section struct {
	key      string
	types    []string // whose options they are
	written  bool
	validate func() []access.Problem
}

// sections lists the sections of an entry.
func (c *Config) sections() []section {
	return []section{
		{"openai", []string{"openai"}, c.OpenAI != nil, func() []access.Problem { return c.OpenAI.Validate() }},
		{"tgi", []string{"tgi"}, c.TGI != nil, func() []access.Problem { return c.TGI.Validate() }},
		{"vllm", []string{"vllm"}, c.VLLM != nil, func() []access.Problem { return c.VLLM.Validate() }},
	}
}

// checkSections refuses the options of other types: who wrote them relies on them.
func (ps *problems) checkSections(c *Config) {
	for _, s := range c.sections() {
		switch {
		case !s.written:
		case !slices.Contains(s.types, c.Type):
			ps.add(s.key, "is for backends of type %s", strings.Join(s.types, " or "))
		default:
			for _, p := range s.validate() {
				*ps = append(*ps, access.Problem{Path: s.key + "." + p.Path, Message: p.Message})
			}
		}
	}
}
