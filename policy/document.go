package policy

// Document is one policy file.
type Document struct {
	// Roles are named lists of entries. A name stands in one file only.
	Roles map[string][]Entry `yaml:"roles"`
	// Bindings give roles to groups and subjects; they may name roles of other
	// files.
	Bindings []Binding `yaml:"bindings"`
}

// Entry allows (or with Deny, denies) each of its verbs on each model that
// one of its patterns matches.
type Entry struct {
	// Models are patterns of whole names, case-sensitive; "*" is any run of bytes.
	Models []string `yaml:"models"`
	// Verbs are what is allowed, or denied; "*" is every verb on models but shm.
	Verbs []string `yaml:"verbs"`
	// Deny turns the entry round. It wins over what any role allows.
	Deny bool `yaml:"deny"`
}

// Binding gives Role to the members of each of Groups and to each of
// Subjects, which are written "issuer#subject".
type Binding struct {
	// Role is the name of a role, in this file or another one.
	Role string `yaml:"role"`
	// Groups get the role; with more than one identity source they are written
	// "source:group".
	Groups []string `yaml:"groups"`
	// Subjects get the role by themselves, written "issuer#subject".
	Subjects []string `yaml:"subjects"`
}

// File is a document and the name that problems and explanations call it by.
type File struct {
	Name     string
	Document Document
}

// Options are what [Compile] has to know of the rest of the configuration.
type Options struct {
	// Sources are the names of the identity sources. With more than one, a
	// group has to be written "source:group", so that no issuer can speak for
	// another. Empty means not known: groups are then taken as written.
	Sources []string
}
