// Package rounds says how often a test tries what shows only now and then.
package rounds

import (
	"os"
	"testing"
)

// Of is usual, or with the race detector, which makes everything some five times as
// slow, a fifth of that. `make test-long`, which sets LONG_TESTS, takes all of them.
func Of(usual int) int {
	if Fewer() {
		return max(1, usual/5)
	}
	return usual
}

// Fewer reports that the tests are to be short for the race detector's sake.
func Fewer() bool { return Race && os.Getenv("LONG_TESTS") == "" }

// NoRace skips a test in which nothing happens at once and which takes long with the
// race detector. `make test` runs those that call it once more, without it: its
// list has their names.
func NoRace(tb testing.TB) {
	tb.Helper()
	if Fewer() {
		tb.Skip("nothing happens at once here: make test runs it without the race detector, too")
	}
}
