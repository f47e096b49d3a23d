//go:build !soak

package postgres_test

import "time"

const (
	records = 100_000
	bar     = time.Minute // not a bar: the machine has other things to do
)
