package replaytest_test

import (
	"slices"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/replay/replaytest"
)

func TestTheSameSeedWritesTheSameBooks(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC)
	one, two := replaytest.Write(1, 500, begin), replaytest.Write(1, 500, begin)
	if !slices.EqualFunc(one.Events, two.Events, func(a, b eventstore.Event) bool { return a.Hash == b.Hash }) {
		t.Error("they differ")
	}
}
