//go:build race

package detect_test

// The race detector has sync.Pool drop a part of what it is given.
func init() { racing = true } //nolint:gochecknoinits // what the build says
