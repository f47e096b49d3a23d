package backendstest

import "time"

// Hurry lets the suite wait for little, where it is to find what never happens.
func Hurry() { patience = 5 * time.Second }
