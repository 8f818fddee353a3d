package system_test

import (
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/internal/realstore"
)

// without is settings without those of some names.
func without(settings []string, names ...string) []string {
	return slices.DeleteFunc(slices.Clone(settings), func(setting string) bool {
		name, _, _ := strings.Cut(setting, "=")
		return slices.Contains(names, name)
	})
}

// Whoever looks for a ledger in another engine than it is in sees an empty one. That
// is no finding: it is said which engine it is in, and what to set. No server
// starts on it, and nothing is begun there.
func TestALedgerIsNotLookedForInAnotherEngine(t *testing.T) {
	t.Parallel()
	w := newWorldOn(t, config.EventStoreESDB)
	named := realstore.Ledger(w.setting("ESDB_URL"), "second")
	a := newAuditorOf(t, w)
	forgotten := without(a.settings, "EVENTSTORE", "ESDB_URL")
	for what, wrong := range map[string][]string{
		"the engine forgotten": forgotten,
		"another ledger":       append(slices.Clone(forgotten), "EVENTSTORE=esdb", "ESDB_URL="+named),
	} {
		for _, c := range []struct {
			args []string
			code int
		}{
			{[]string{"ledger", "verify", "--live"}, exitBadUsage},
			{[]string{"ledger", "verify", "--live", "--json"}, exitBadUsage},
			{[]string{"ledger", "verify", "--live", "--key", a.key}, exitBadUsage},
			{[]string{"ledger", "export", "-o", a.path("wrong")}, exitBadUsage},
			{[]string{"ledger", "checkpoint"}, exitBadUsage},
			{[]string{"ledger", "tail", "--from", "0"}, exitBadUsage},
			{[]string{"ledger", "state", "agent", w.operator.ClientID}, exitBadUsage},
			{[]string{"ledger", "prove", "00000000-0000-7000-8000-000000000000"}, exitBadUsage},
			{[]string{"projections", "status"}, exitBadUsage},
			{[]string{"projections", "verify"}, exitBadUsage},
			{[]string{"projections", "rebuild", "--all"}, exitBadUsage},
			{[]string{"tokens", "end"}, exitBadUsage},
			{[]string{"bootstrap"}, exitFailed},
			{[]string{"serve"}, exitFailed},
		} {
			r := runToEnd(t, wrong, c.args...)
			if r.code != c.code || !strings.Contains(r.stderr, "EventStoreDB without a name") || !strings.Contains(r.stderr, "set EVENTSTORE=esdb, and ESDB_URL") || strings.Contains(r.stdout+r.stderr, "truncated_tail") {
				t.Errorf("%s: %v: code %d, want %d and where the ledger is\n%s%s", what, c.args, r.code, c.code, r.stdout, lastLines(r.stderr))
			}
		}
	}
	a.must(t, exitOK, "verify", "--live")
	s := w.serve(t)
	s.mustToken(t, w.operator.ClientID, w.operator.ClientSecret, "")
	second := runToEnd(t, forgotten, "serve")
	if second.code != exitFailed || !strings.Contains(second.stderr, "and the settings here look for it in PostgreSQL") || !strings.Contains(second.stderr, "agentidp ledger adopt") {
		t.Errorf("beside a server of the other engine: code %d\n%s", second.code, lastLines(second.stderr))
	}
	s.signal(t, syscall.SIGTERM)
}
