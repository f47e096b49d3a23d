package config

import (
	"path/filepath"
	"slices"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/approval"
	"github.com/sluice-gateway/sluice/masking"
	"github.com/sluice-gateway/sluice/masking/presidio"
	"github.com/sluice-gateway/sluice/policy"
	"github.com/sluice-gateway/sluice/policy/guard"
)

// PolicyFile is what one policy file may hold: the keys of each part that
// decides by it.
type PolicyFile struct {
	Access  policy.Document   `yaml:",inline"`
	Guards  guard.Document    `yaml:",inline"`
	Masking masking.Document  `yaml:",inline"`
	Asking  approval.Document `yaml:",inline"`
}

// Rules are all policy files together, compiled for the parts that decide by
// them. They are immutable.
type Rules struct {
	Policy  *policy.Policy
	Guards  *guard.Policy
	Masking *masking.Policy
	// Asking says who may ask ahead for what no role gives.
	Asking *approval.Policy
	// Guarding and Entries are the guards and the access entries as written, in
	// order, for who looks at the policy.
	Guarding []guard.Guard
	Entries  []approval.Entry
}

// RulesOptions are what [ReadRules] has to know beside the files.
type RulesOptions struct {
	// Sources are the names of the identity sources; empty means not known.
	Sources []string
	// ReadFile reads the files and what they name; os.ReadFile if nil.
	ReadFile func(path string) ([]byte, error)
	// Incomplete tells that some of the policy's files can't be read: the others
	// are checked by themselves, and not compiled.
	Incomplete bool
	// Analyzer makes what asks a presidio service; without it, none is asked and
	// rules that need one are problems.
	Analyzer func(masking.Presidio) (masking.Analyzer, error)
	// Stateless tells that there is no store: what has to be kept in one is a
	// problem.
	Stateless bool
	// Unread leaves the keys that rules refer to unread: the rules are looked at and
	// not put in force.
	Unread bool
	// NoTokens, if not empty, says why nothing can be kept of what masking's tokens
	// stand for.
	NoTokens string
}

// Presidio makes what asks a presidio service; it does not connect.
func Presidio(p masking.Presidio) (masking.Analyzer, error) { return presidio.New(p) }

// ReadRules reads policy files and compiles them together. It returns either
// rules or problems. A file that is not YAML at all leaves nothing to compile:
// what is bound to its roles would be reported as wrong.
func ReadRules(paths []string, o RulesOptions) (*Rules, Problems) {
	if o.ReadFile == nil {
		o.ReadFile = readFile
	}
	r := rulesReader{options: o, places: make(map[string]*Positions), whole: true}
	for _, path := range paths {
		r.read(path)
	}
	if !r.whole || len(r.access) == 0 || o.Incomplete {
		return nil, r.problems.sorted()
	}
	rules := r.compile()
	if len(r.problems) > 0 {
		return nil, r.problems.sorted()
	}
	return rules, nil
}

type rulesReader struct {
	options  RulesOptions
	access   []policy.File
	guards   []guard.File
	masking  []masking.File
	asking   []approval.File
	places   map[string]*Positions
	problems Problems
	whole    bool // every file could be read as YAML
}

func (r *rulesReader) read(path string) {
	data, err := r.options.ReadFile(path)
	if err != nil {
		r.problems = append(r.problems, Problem{File: path, Message: err.Error()})
		r.whole = false
		return
	}
	var file PolicyFile
	at, problems := Decode(path, data, &file)
	r.problems = append(r.problems, problems...)
	r.whole = r.whole && at.any()
	anchor(&file, filepath.Dir(path))
	r.access = append(r.access, policy.File{Name: path, Document: file.Access})
	r.guards = append(r.guards, guard.File{Name: path, Document: file.Guards})
	r.masking = append(r.masking, masking.File{Name: path, Document: file.Masking})
	r.asking = append(r.asking, approval.File{Name: path, Document: file.Asking})
	r.places[path] = at
}

func (r *rulesReader) compile() *Rules {
	rules := new(Rules)
	for i := range r.guards {
		rules.Guarding = append(rules.Guarding, r.guards[i].Document.Guards...)
		rules.Entries = append(rules.Entries, r.asking[i].Document.Access...)
	}
	var ofPolicy, ofGuards, ofMasking, ofAsking []access.FileProblem
	rules.Policy, ofPolicy = policy.Compile(r.access, policy.Options{Sources: r.options.Sources})
	rules.Guards, ofGuards = guard.Compile(r.guards, guard.Options{
		Sources: r.options.Sources, ReadFile: r.options.ReadFile, Stateless: r.options.Stateless,
	})
	rules.Masking, ofMasking = masking.Compile(r.masking, masking.Options{
		Sources: r.options.Sources, ReadFile: r.options.ReadFile, Analyzer: r.options.Analyzer, NoTokens: r.options.NoTokens, Unread: r.options.Unread,
	})
	rules.Asking, ofAsking = approval.Compile(r.asking, approval.Options{Sources: r.options.Sources, Stateless: r.options.Stateless})
	for _, p := range slices.Concat(ofPolicy, ofGuards, ofMasking, ofAsking) {
		r.problems = append(r.problems, r.places[p.File].Place("", []access.Problem{p.Problem})...)
	}
	return rules
}
