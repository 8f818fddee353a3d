package model

import "fmt"

// version is which server the model is: 23.10 unless it is told otherwise.
type version struct{ major, minor int }

func parseVersion(text string) (v version, err error) {
	if n, err := fmt.Sscanf(text, "%d.%d", &v.major, &v.minor); n != 2 || err != nil {
		return v, fmt.Errorf("%q is no version such as 23.10", text)
	}
	return v, nil
}

func (v version) atLeast(major, minor int) bool {
	return v.major > major || v.major == major && v.minor >= minor
}

// fallsBack: a subscriber that is slow goes back to history by itself, and is
// told so, instead of being dropped.
func (v version) fallsBack() bool { return v.atLeast(24, 2) }

// endsWithMetadata: subscriptions to $all may end when its metadata change.
func (v version) endsWithMetadata() bool { return v.atLeast(24, 2) }

// namesPositions: a subscription from a position that is none is refused as
// that.
func (v version) namesPositions() bool { return v.atLeast(24, 2) }

// pointsBeyond: a filter's checkpoint may name the end of the log, or no
// position at all. 24.10 and 25.0 did so for a time.
func (v version) pointsBeyond() bool { return v.atLeast(24, 10) && !v.atLeast(25, 1) }

// sizes is what an append may hold: all of it, and each event; and whether
// metadata and types count.
func (v version) sizes() (all, each int, everything bool) {
	if v.atLeast(25, 1) {
		return 256 << 20, 16 << 20, true
	}
	return 1 << 20, 0, false
}
