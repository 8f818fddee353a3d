//go:build race

package rounds

// Race says that the race detector runs.
const Race = true
