// Package config turns environment variables into a checked [Config].
//
// [Load] reads the environment and, where present, a `.env` file; the environment wins. It promises that a Config
// without error is usable as it stands, that every fault of a configuration is reported at once ([Faults], one line
// each), and that no line, log or String ever shows a password.
//
// A variable that is set to nothing counts as not set, and variables that are not ours are ignored. config.go lists
// every variable with its default and bound; reader.go holds the readers of one variable each.
package config
