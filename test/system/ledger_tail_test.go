package system_test

import (
	"strings"
	"testing"
)

// The last events are those whatever their positions are: numbers of events
// with one engine, places in its log with the other.
func TestTailShowsTheLastEventsOfEitherEngine(t *testing.T) {
	t.Parallel()
	onEachEngine(t, func(t *testing.T, w *world) {
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

// Whoever follows the ledger loses a connection sooner or later: nothing is left
// out then, and nothing comes twice.
func TestTailOutlivesItsConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve(t)
	reader, login := w.readerOf(t) // whose connections are told from the server's
	following := launch(t, reader, "ledger", "tail", "-f", "--from", "0")
	issue := func() {
		s.mustToken(t, w.operator.ClientID, w.operator.ClientSecret, "")
		events := strings.SplitAfter(mustLedger(t, w.settings, exitOK, "tail", "-n", "1").stdout, "\n")
		following.awaitOutput(t, &following.stdout, events[0])
	}
	for range 2 {
		issue()
		w.asSuperuser(t, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '`+login+`'`)
		issue()
	}
	want := mustLedger(t, w.settings, exitOK, "tail", "--from", "0").stdout
	following.awaitOutput(t, &following.stdout, want)
	if got := following.stdout.String(); got != want {
		t.Errorf("followed over lost connections:\n%s\nwant\n%s", got, want)
	}
}
