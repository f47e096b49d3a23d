//go:build unix

package main

import (
	"syscall"
	"time"
)

// processorTime is that of this process so far. What else the machine does
// meanwhile does not count.
func processorTime() time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		return 0
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}
