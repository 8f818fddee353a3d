package limits

import (
	"errors"
	"time"
)

// Unbounded is the Max of what is counted and never refused.
const Unbounded = -1

// Unknown is the Floor of a counter that has not been looked up where its hits
// are on record: see [ErrUncounted].
const Unknown = -1

// ErrUncounted: how far a [Counter] that is on record is, is not known here.
// Nothing was counted; look it up and try again with the Floor set.
var ErrUncounted = errors.New("the count is not known")

// Window allows at most Max hits under one key in any Span (a sliding window).
//
// Hits are kept by part of the span, so a key costs the same whatever Max is.
// A hit counts for Span at least and a thirtieth of it longer at most: never
// are there more than Max in a Span, and a steady caller gets 30/31 of it.
type Window struct {
	Key  string
	Max  int
	Span time.Duration // at least 30 ms
}

// parts is how many parts a span has.
const parts = 30

func (w Window) width() int64 { return max(1, w.Span.Milliseconds()/parts) }

// reach is how many parts back a hit still counts.
func (w Window) reach() int64 {
	width := w.width()
	return (w.Span.Milliseconds() + width - 1) / width
}

func (w Window) part(now time.Time) int64 { return now.UnixMilli() / w.width() }

// frees is when hits of a part stop counting.
func (w Window) frees(part int64) time.Time {
	return time.UnixMilli((part + w.reach() + 1) * w.width())
}

// life is how long a hit can matter.
func (w Window) life() time.Duration {
	return time.Duration((w.reach()+1)*w.width()) * time.Millisecond
}

// Counter allows at most Max hits under one key in one period. A later period
// starts at nothing; it is told by its name, not by the key's expiry, so that
// no count of yesterday can survive into today.
type Counter struct {
	Key    string
	Max    int
	Period string    // such as 2026-11-23; later periods sort after earlier ones
	Ends   time.Time // of the period
	Floor  int       // what the count is known to be at least

	// OnRecord: the hits are recorded elsewhere as well, so that a count that
	// was lost, or went on in several places, is looked up and not guessed. Its
	// Floor is [Unknown] until [ErrUncounted] asks for it.
	OnRecord bool

	backlog int // hits that only this node has counted
}

// Demand is one request and everything it counts for. It passes when nothing
// is full. One that a window refuses counts for nothing; one that a counter
// refuses has counted for the windows.
type Demand struct {
	Windows  []Window
	Counters []Counter
	Look     bool // only look: nothing is counted
}

// State is how a window stands.
type State struct {
	Count int       // hits that count, this one included if it passed
	Frees time.Time // when the oldest of them stops counting
}

// Outcome is what became of a demand. When a window was full by this node's
// own count, nothing is said about the counters.
type Outcome struct {
	FullWindow  int     // index of the first window that was full, or -1
	FullCounter int     // index of the first counter that was full, or -1
	Windows     []State // as in the demand
	Counts      []int   // of the counters, this hit included if it passed
}

// Passed reports whether nothing was full.
func (o Outcome) Passed() bool { return o.FullWindow < 0 && o.FullCounter < 0 }

func full(count, most int) bool { return most != Unbounded && count >= most }
