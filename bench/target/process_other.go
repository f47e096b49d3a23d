//go:build !linux

package target

import "syscall"

// diesWithUs does nothing here: the benchmark measures on Linux alone.
func diesWithUs() *syscall.SysProcAttr { return nil }
