package masking

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/masking/detect"
	"github.com/sluice-gateway/sluice/wire"
)

// Policy is a compiled set of policy files. It never changes but for its
// caches, and is safe for concurrent use. A nil Policy masks nothing.
type Policy struct {
	rules  []*rule
	models cache[string, *modelRules]
	sets   cache[ruleSet, *set]

	recordings cache[string, *Recording]

	vault atomic.Pointer[Vault] // keeps tokens
}

// rule is a [Rule] as compiled.
type rule struct {
	number   int
	name     string
	file     string
	models   []string
	tensors  []string
	types    uint16 // 1 << wire.Datatype; 0 for all
	first    int    // elements
	last     int
	entities []entity
	paths    []jsonPath
	action   action
	whole    bool // about whole tensors, not text
	except   []string
	observe  bool
	mode     Mode
	format   Format
	holdBack int
	onError  OnError
}

// entity is an [Entity] as compiled, with its detector.
type entity struct {
	name      string
	threshold float64
	detector  *detect.Detector
	context   []string
	paths     []jsonPath
	analyzer  *analyzer
}

// Compile checks files and compiles them into one policy. It reports all
// problems at once; with any problem, there is no policy. It reads dictionaries
// and the keys of hashes, and keeps them until the next policy.
func Compile(files []File, opts Options) (*Policy, []access.FileProblem) {
	c := &checker{opts: opts, detectors: map[string]*detector{}, rules: map[string]string{}}
	c.files(files)
	c.numberPaths()
	if len(c.problems) > 0 {
		return nil, c.problems
	}
	return &Policy{rules: c.compiled}, nil
}

// numberPaths gives every JSON path its bit.
func (c *checker) numberPaths() {
	n := uint(0)
	number := func(paths []jsonPath) {
		for i := range paths {
			paths[i].bit = n
			n++
		}
	}
	for _, d := range c.detectors {
		number(d.paths)
	}
	for _, r := range c.compiled {
		number(r.paths)
	}
	if n > maxPaths {
		c.add("masking", "%d JSON paths; there may be %d in all", n, maxPaths)
	}
}

// matches tells whether the rule is about a model.
func (r *rule) matches(model string) bool {
	return slices.ContainsFunc(r.models, func(pattern string) bool { return access.Match(pattern, model) })
}

// names tells whether the rule names a tensor itself.
func (r *rule) names(tensor string) bool { return slices.Contains(r.tensors, tensor) }

// covers tells whether the rule is about a tensor, by name or by pattern.
func (r *rule) covers(tensor string) bool {
	return slices.ContainsFunc(r.tensors, func(pattern string) bool { return access.Match(pattern, tensor) })
}

// takes tells whether the rule is about tensors of a datatype.
func (r *rule) takes(t wire.Datatype) bool { return r.types == 0 || r.types&(1<<t) != 0 }

// excepts tells whether the rule does not hold for a principal.
func (r *rule) excepts(p *access.Principal) bool {
	if p == nil {
		return false
	}
	return slices.ContainsFunc(r.except, func(group string) bool {
		_, found := slices.BinarySearch(p.Groups, group)
		return found
	})
}

// literal tells whether a tensor's name in a rule is no pattern.
func literal(name string) bool { return !strings.Contains(name, "*") }

// use is what becomes of the matches of one entity.
type use struct {
	entity  string
	rule    *rule
	action  *action
	observe bool
}

// set is what is looked for in a text, and what is done to it: rules merged.
type set struct {
	detect *detect.Set // nil where no detector looks at bytes
	uses   []use       // of detect's entries, by their index
	values []value     // of JSON texts
	asks   []asked     // of analyzer services
	broken error       // why none of it can be used
}

// value is an entity that stands at certain places of a JSON text.
type value struct {
	use
	paths []jsonPath
}

// asked is an entity that an analyzer service finds.
type asked struct {
	use
	*analyzer
	threshold float64
	onError   OnError
}

// compileSet merges rules: of two that name an entity the first one that
// enforces it decides, or else the first one.
func compileSet(rules []*rule) (*set, error) {
	type chosen struct {
		*entity
		use
	}
	var all []chosen
	holdBack := 0
	for _, r := range rules {
		holdBack = max(holdBack, r.holdBack)
		for i := range r.entities {
			one := chosen{&r.entities[i], use{r.entities[i].name, r, &r.action, r.observe}}
			at := slices.IndexFunc(all, func(c chosen) bool { return c.name == one.name })
			switch {
			case at < 0:
				all = append(all, one)
			case all[at].observe && !one.observe:
				all[at] = one
			}
		}
	}
	slices.SortStableFunc(all, func(a, b chosen) int { return place(a.name) - place(b.name) })
	s := &set{}
	var entries []detect.Entry
	for _, c := range all {
		switch {
		case c.analyzer != nil:
			a := asked{use: c.use, analyzer: c.analyzer, threshold: c.threshold, onError: c.analyzer.config.OnError}
			if c.rule.onError != "" {
				a.onError = c.rule.onError
			}
			s.asks = append(s.asks, a)
		case c.entity.paths != nil:
			s.values = append(s.values, value{c.use, c.entity.paths})
		default:
			entries = append(entries, detect.Entry{Detector: c.detector, Threshold: float32(c.threshold), Context: c.context})
			s.uses = append(s.uses, c.use)
		}
	}
	if len(entries) == 0 {
		return s, nil
	}
	var err error
	s.detect, err = detect.Compile(entries, detect.Options{HoldBack: holdBack})
	return s, err
}

// place is where an entity stands in the table of built-in ones, which decides
// between equal matches; the operator's own come after.
func place(entity string) int {
	all := detect.Entities()
	if i := slices.IndexFunc(all, func(info detect.Info) bool { return info.Entity == entity }); i >= 0 {
		return i
	}
	return len(all)
}

// ruleSet is a set of rules by number, as a key.
type ruleSet [maxRules / 64]uint64

func (s *ruleSet) add(number int) { s[number>>6] |= 1 << (number & 63) }

// String names the rules of a set, for messages.
func names(rules []*rule) string {
	var list []string
	for _, r := range rules {
		list = append(list, fmt.Sprintf("%q", r.name))
	}
	return strings.Join(list, ", ")
}

func (s *ruleSet) has(number int) bool { return s[number>>6]&(1<<(number&63)) != 0 }
