package policy

// Match is one pattern against one name, for the fuzz test.
func Match(text, name string) bool {
	p := parsePattern(text)
	return p.match(name)
}
