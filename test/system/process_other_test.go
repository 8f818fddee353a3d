//go:build !linux

package system_test

import "syscall"

// endsWithParent is Linux's doing alone.
func endsWithParent() *syscall.SysProcAttr { return nil }
