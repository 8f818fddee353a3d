package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Summary is a run in a table: what clients did and how it ended, what went
// wrong, and how much was done.
func Summary(seed uint64, took time.Duration, r *Recording, faults map[string]int, events int64) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	count := map[Kind]map[Result]int{}
	acknowledged := 0
	for i := range r.operations {
		o := &r.operations[i]
		if count[o.Kind] == nil {
			count[o.Kind] = map[Result]int{}
		}
		count[o.Kind][o.Result]++
		if o.Result == Acknowledged {
			acknowledged++
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, %s, %d operations (%.0f acknowledged a second), %d events, %d endings, %d uses held against them, %d checkpoints seen\n",
		seed, took.Round(time.Millisecond), len(r.operations), float64(acknowledged)/took.Seconds(), events, len(r.endings), len(r.uses), len(r.checkpoints))
	fmt.Fprintf(&b, "%-26s%14s%10s%10s\n", "operation", "acknowledged", "refused", "unknown")
	for _, kind := range slices.Sorted(maps.Keys(count)) {
		c := count[kind]
		fmt.Fprintf(&b, "%-26s%14d%10d%10d\n", kind, c[Acknowledged], c[Refused], c[Unknown])
	}
	for _, fault := range slices.Sorted(maps.Keys(faults)) {
		fmt.Fprintf(&b, "%-36s%4d\n", fault, faults[fault])
	}
	return b.String()
}

// Acknowledged counts the operations that were.
func (r *Recording) Acknowledged() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for i := range r.operations {
		if r.operations[i].Result == Acknowledged {
			n++
		}
	}
	return n
}
