// Package config turns environment variables into a checked [Config].
//
// [Load] reads the environment and, where present, a `.env` file; the environment wins. It promises that a Config
// without error is usable as it stands, that every fault of a configuration is reported at once ([Faults], one line
// each), and that no line, log or String ever shows a password.
//
// A variable that is set to nothing counts as not set, and variables that are not ours are ignored. settings.go lists
// every variable with its default, its bound and its meaning; reader.go reads values of one form each. The tables of
// docs/configuration.md and .env.example are written from settings.go.
package config

//go:generate go run ./write
