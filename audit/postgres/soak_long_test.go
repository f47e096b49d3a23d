//go:build soak

package postgres_test

import "time"

const (
	records = 10_000_000 // of which a search has to take less than 200 ms
	bar     = 200 * time.Millisecond
)
