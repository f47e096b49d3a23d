package backends

// Verified is a [Backend] that asks its server what kind it is, and refuses calls
// while that is another than the configured one.
type Verified interface {
	Backend
	// Mismatch says which two kinds they are, for operators; nil while nothing is
	// known against the server. It asks nobody.
	Mismatch() error
}

// Mismatch is what b, if it is [Verified], says of its server; nil otherwise.
func Mismatch(b Backend) error {
	if v, ok := b.(Verified); ok {
		return v.Mismatch()
	}
	return nil
}
