#!/usr/bin/env bash
# Expected: a UUID of version 7 that google/uuid 1.6.0 makes after a testing/synctest bubble has ended carries the time at which it is
# made. Seen: the package remembers its newest time for the whole process and never goes back, so once a bubble has minted an id in
# its virtual future, every later id of the process, in other tests and outside of bubbles, carries that future. Code that takes the
# time in an id for the time of what has the id meets ids that are years ahead of the clock, as after a clock that was set back.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >go.mod <<'EOF'
module example.test/v7

go 1.26

require github.com/google/uuid v1.6.0
EOF
cat >v7_test.go <<'EOF'
package v7

import (
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
)

func minted() time.Time {
	sec, nsec := uuid.Must(uuid.NewV7()).Time().UnixTime()
	return time.Unix(sec, nsec)
}

func TestAfterABubble(t *testing.T) {
	before := time.Until(minted()).Round(time.Hour)
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)))
		minted()
	})
	after := time.Until(minted()).Round(time.Hour)
	fmt.Printf("google/uuid 1.6.0, %s: an id is ahead of the clock by %s before a bubble that reaches the year 2100, by %s after it\n", runtime.Version(), before, after)
	if before != 0 || after < 10*365*24*time.Hour {
		t.Fatal("this is another behaviour than was seen")
	}
}
EOF
go mod tidy >/dev/null 2>&1
go test -count=1 -v . | grep -v '^=== \|^--- \|^PASS'
