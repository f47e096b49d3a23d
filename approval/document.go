package approval

import "time"

// Document is what one policy file says about who may ask ahead.
type Document struct {
	// Access says who may ask for what no role gives them.
	Access []Entry `yaml:"access"`
}

// Entry lets the members of some groups ask for verbs on models, for a time.
type Entry struct {
	// Models are patterns of whole names, case-sensitive; "*" is any run of bytes.
	Models []string `yaml:"models"`
	// Verbs are what may be asked for: verbs on models; "*" is all of them but shm.
	Verbs []string `yaml:"verbs"`
	// For are the groups whose members may ask.
	For []string `yaml:"for"`
	// By are the groups whose members approve, people only and never who asks.
	By []string `yaml:"by"`
	// Max is the longest time that may be asked for, and given.
	Max time.Duration `yaml:"max"`
	// Count is how many people have to approve. Default: 1.
	Count int `yaml:"count"`
	// Within is how long a request is open. Default: 15m.
	Within time.Duration `yaml:"within"`
	// Reason may be required: then who asks has to give one.
	Reason string `yaml:"reason"`
	// Ticket, if set, is an expression (RE2) that the whole of the requester's
	// ticket has to match.
	Ticket string `yaml:"ticket"`
}

// File is a document and the name that problems call it by.
type File struct {
	Name     string
	Document Document
}

// Options are what [Compile] has to know of the rest of the configuration.
type Options struct {
	// Sources are the names of the identity sources. With more than one, a group
	// has to be written "source:group". Empty means not known.
	Sources []string
	// Stateless tells that there is no store: nobody can ask for anything then, and
	// entries are problems.
	Stateless bool
}
