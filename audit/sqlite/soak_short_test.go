//go:build !soak

package sqlite_test

import "time"

const (
	kills   = 5
	cuts    = 20
	records = 100_000
	bar     = time.Minute // not a bar: the machine has other things to do
)
