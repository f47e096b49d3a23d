package target

import "syscall"

// diesWithUs has the kernel end a child with its parent. It is bound to the
// thread that starts the child, so [Start] must be called on a thread that
// lives as long as the program: main's, locked.
func diesWithUs() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
