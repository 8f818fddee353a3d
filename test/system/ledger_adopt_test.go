package system_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sentryagent/agentidp/server/servertest"
)

// A server that was overlooked when the ledger moved, frozen at that, must not go
// on with the old one.
func TestAServerThatMissedTheMoveStops(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve(t)
	s.mustToken(t, w.operator.ClientID, w.operator.ClientSecret, "")
	moved := w.movedTo(t)
	if r := mustLedger(t, moved, exitBadUsage, "adopt"); !strings.Contains(r.stderr, "stop all servers") {
		t.Errorf("adopted while a server runs:\n%s", r.stderr)
	}
	s.signal(t, syscall.SIGSTOP)
	await(t, "the frozen server to lose its leases", func(context.Context) error {
		if r := runToEnd(t, moved, "ledger", "adopt"); r.code != exitOK {
			return fmt.Errorf("code %d: %s", r.code, r.stderr)
		}
		return nil
	})
	s.signal(t, syscall.SIGCONT)
	if r := s.wait(t, patience); r.code == exitOK || !strings.Contains(r.stderr, "derived from another ledger") {
		t.Errorf("the server ended with code %d:\n%s", r.code, lastLines(r.stderr))
	}
}

func TestNoOtherLedgerIsAdopted(t *testing.T) {
	t.Parallel()
	w, stranger := newWorld(t), newWorld(t)
	for _, each := range []*world{w, stranger} {
		s := each.serve(t)
		s.mustToken(t, each.operator.ClientID, each.operator.ClientSecret, "")
		s.signal(t, syscall.SIGTERM)
		s.wait(t, patience)
	}
	other := append(slices.Clone(w.settings), stranger.movedTo(t)[len(stranger.settings):]...)
	_, nothing := servertest.ESDB(t, 1)
	empty := append(slices.Clone(w.settings), nothing...)
	for name, settings := range map[string][]string{"another": other, "an empty one": empty} {
		r := mustLedger(t, settings, exitFailed, "adopt")
		if !strings.Contains(r.stderr, "does not go on from what is known of it") {
			t.Errorf("%s:\n%s", name, r.stderr)
		}
	}
	s := w.serve(t) // nothing has changed
	s.mustToken(t, w.operator.ClientID, w.operator.ClientSecret, "")
}

// movedTo copies the ledger to an EventStoreDB, and gives the settings for it.
func (w *world) movedTo(t *testing.T) []string {
	t.Helper()
	there, settings := servertest.ESDB(t, 1)
	copied(t, runToEnd(t, nil, "ledger", "copy", "--from", w.setting("DATABASE_URL"), "--to", there.URL(), "--json"), exitOK)
	return append(append(slices.Clone(w.settings), settings...), "LEDGER_ORIGIN=moved.agentidp.test")
}
