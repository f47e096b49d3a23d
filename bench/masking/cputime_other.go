//go:build !unix

package main

import "time"

var started = time.Now()

// processorTime is the time of day here: there is nothing better.
func processorTime() time.Duration { return time.Since(started) }
