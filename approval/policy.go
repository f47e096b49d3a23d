package approval

// Policy are all files' access entries, compiled. It is immutable.
type Policy struct{}

// Compile checks files and compiles them. It reports all problems at once; with
// any problem there is no policy. No entry at all is a policy that lets nobody
// ask.
func Compile(files []File, o Options) (*Policy, []Problem) { return &Policy{}, nil }

// Empty tells whether nobody may ask for anything.
func (p *Policy) Empty() bool { return true }
