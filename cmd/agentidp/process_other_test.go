//go:build !linux

package main

import "syscall"

// endsWithParent is Linux's doing alone.
func endsWithParent() *syscall.SysProcAttr { return nil }
