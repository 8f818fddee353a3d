package devservices

import "errors"

var (
	// ErrInUse: another process runs services in this directory.
	ErrInUse = errors.New("services run in this directory already")
	// ErrMissing: a program that is needed is not installed.
	ErrMissing = errors.New("program not found")

	errPortTaken = errors.New("the port is taken")
	errHopeless  = errors.New("waiting will not help")
)
