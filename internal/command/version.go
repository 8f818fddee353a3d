package command

import "runtime/debug"

// The linker sets version for a release and commit for every other build of the Makefile.
var version, commit string

// Version tells two builds apart: an operator asks it which one runs where.
func Version() string {
	const next = "0.1.0-dev"
	if version != "" {
		return version
	}
	if commit != "" {
		return next + "+" + commit
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return next
}
