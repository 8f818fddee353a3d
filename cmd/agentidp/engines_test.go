package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sentryagent/agentidp/internal/config"
)

// newWorldOn makes a world whose ledger is in an engine.
func newWorldOn(t *testing.T, engine string) *world {
	t.Helper()
	if engine == config.EventStorePostgres {
		return newWorld(t)
	}
	return newWorld(t, "EVENTSTORE="+engine, "ESDB_URL="+newESDB(t).URL())
}

// The last events are those whatever their positions are: numbers of events
// with one engine, places in its log with the other.
func TestTailShowsTheLastEventsOfEitherEngine(t *testing.T) {
	for _, engine := range []string{config.EventStorePostgres, config.EventStoreESDB} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			w := newWorldOn(t, engine)
			s := w.serve(t)
			other := s.tenant(t, w)
			for range 15 {
				s.mustToken(t, w.operator.ClientID, w.operator.ClientSecret, "")
			}
			tail := func(args ...string) []string {
				return strings.SplitAfter(mustLedger(t, w.settings, exitOK, append([]string{"tail"}, args...)...).stdout, "\n")
			}
			all := tail("--from", "0")
			for _, c := range []struct {
				args []string
				want int
			}{{nil, 10}, {[]string{"-n", "3"}, 3}, {[]string{"-n", "0"}, 0}, {[]string{"-n", "5000"}, len(all) - 1}} {
				got := strings.Join(tail(c.args...), "")
				if want := strings.Join(all[len(all)-1-c.want:], ""); got != want {
					t.Errorf("tail %v prints\n%swant\n%s", c.args, got, want)
				}
			}
			theirs := tail("-n", "2", "--organization", other.organization)
			if len(theirs) != 3 || !strings.Contains(theirs[1], `"type":"credential.generated"`) {
				t.Errorf("of the other organization: %q, want its last two events", theirs)
			}

			following := launch(t, w.settings, "ledger", "tail", "-f", "-n", "1")
			following.awaitOutput(t, &following.stdout, all[len(all)-2])
			s.mustToken(t, other.agent, other.secret, "")
			following.awaitOutput(t, &following.stdout, `"organization":"`+other.organization)
			if got := strings.Count(following.stdout.String(), "\n"); got != 2 {
				t.Errorf("tail -f -n 1 and one event more: %d lines, want 2", got)
			}
		})
	}
}

// Positions are told as such, and nobody takes places in a log for events.
func TestStatusCountsEventsWherePositionsDo(t *testing.T) {
	for _, engine := range []string{config.EventStorePostgres, config.EventStoreESDB} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			w := newWorldOn(t, engine)
			if r := runToEnd(t, w.settings, "projections", "rebuild", "--all"); r.code != exitOK {
				t.Fatalf("rebuild: %s", r.stderr)
			}
			r := runToEnd(t, w.settings, "projections", "status", "--json")
			var shown struct{ Projections []projectionState }
			if err := json.Unmarshal([]byte(r.stdout), &shown); err != nil || len(shown.Projections) == 0 {
				t.Fatalf("status: %v in %s%s", err, r.stdout, r.stderr)
			}
			for _, p := range shown.Projections {
				if counted := p.Lag != nil; counted != (engine == config.EventStorePostgres) || counted && *p.Lag != 0 || p.Behind != 0 {
					t.Errorf("%s is %s", p.Name, r.stdout)
				}
			}
		})
	}
}
