package config

import "strings"

// Fault is one thing that is wrong with one variable.
type Fault struct {
	Variable string // its name, such as PORT
	Found    string // what was there, never a secret: `"99999"`, "nothing", "a value that is no URL"
	Bound    string // what is accepted
	Remedy   string // what to do about it
}

// String is the fault on one line.
func (f Fault) String() string {
	return f.Variable + ": found " + f.Found + "; must be " + f.Bound + "; " + f.Remedy
}

// Faults is the error of [Load]: all that is wrong with a configuration, never empty.
type Faults []Fault

// Error puts every fault on a line of its own.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.String()
	}
	return strings.Join(lines, "\n")
}
