package system_test

import "syscall"

// endsWithParent has a process end with the thread that started it, so that a
// test that is cut off leaves nothing running.
func endsWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
