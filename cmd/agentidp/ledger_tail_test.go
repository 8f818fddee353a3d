package main

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
