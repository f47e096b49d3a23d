//go:build soak

package sqlite_test

import "time"

const (
	kills   = 100
	cuts    = 200
	records = 10_000_000 // of which a search has to take less than 200 ms
	bar     = 200 * time.Millisecond
)
