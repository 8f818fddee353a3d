package esdb

import (
	"slices"
	"sync"
)

// maxPlaces is how many places are remembered.
const maxPlaces = 2048

// places are positions at which records have been met, spread over the server's
// log. A record that is scavenged later may still be read from.
type places struct {
	mu    sync.Mutex // guards known
	known []uint64   // in order
}

func (p *places) add(at uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i, met := slices.BinarySearch(p.known, at)
	if met {
		return
	}
	p.known = slices.Insert(p.known, i, at)
	if len(p.known) < maxPlaces {
		return
	}
	for i := range len(p.known) / 2 {
		p.known[i] = p.known[2*i]
	}
	p.known = p.known[:len(p.known)/2]
}

// around are the nearest places before a position and after it, of those
// known and some more; 0 where there is none.
func (p *places) around(at uint64, more ...uint64) (before, after uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i, met := slices.BinarySearch(p.known, at)
	if i > 0 {
		before = p.known[i-1]
	}
	if met {
		i++
	}
	if i < len(p.known) {
		after = p.known[i]
	}
	for _, place := range more {
		switch {
		case place == 0 || place == at:
		case place < at:
			before = max(before, place)
		case after == 0 || place < after:
			after = place
		}
	}
	return before, after
}
