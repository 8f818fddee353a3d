package follow_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/follow"
)

// tellOfSuspensions is the example of the package's comment.
func tellOfSuspensions(pool *pgxpool.Pool, store eventstore.Store, metrics prometheus.Registerer, post func(context.Context, uuid.UUID, string) error) (*follow.Progress, *follow.Runner) {
	suspensions := follow.Follower{
		Name:  "suspensions",
		Types: []domain.Type{"agent.suspended"},
		Sink: follow.Outside(func(ctx context.Context, events []follow.Event) error {
			for _, e := range events {
				// An error has these events tried again, the first ones included.
				if err := post(ctx, e.ID, e.Fact.(domain.AgentSuspended).Reason); err != nil {
					return err
				}
			}
			return nil
		}),
	}
	followers := []follow.Follower{suspensions}
	progress := follow.NewProgress(pool, store, followers, follow.ProgressOptions{})
	runner := follow.NewRunner(pool, store, followers, follow.RunnerOptions{Progress: progress})
	metrics.MustRegister(follow.NewCollector(progress))
	return progress, runner
}

func TestTheExampleWorks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	told := make(chan string, 1)
	metrics := prometheus.NewPedanticRegistry()
	progress, runner := tellOfSuspensions(w.pool, w.store, metrics, func(_ context.Context, _ uuid.UUID, reason string) error {
		told <- reason
		return nil
	})
	run(t, progress)
	run(t, runner)
	w.append(t, 1, issued())
	last := w.append(t, 1, suspended("it talks too much"))
	if reason := <-told; reason != "it talks too much" {
		t.Errorf("the chat hears %q", reason)
	}
	w.waitFor(t, progress, last, "suspensions")
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, family := range families {
		names = append(names, family.GetName())
		want := map[string]float64{"agentidp_follower_position": float64(last)}[family.GetName()]
		if got := family.GetMetric()[0].GetGauge().GetValue(); len(family.GetMetric()) != 1 || got != want {
			t.Errorf("%s is %v, want %v", family.GetName(), got, want)
		}
	}
	if got := strings.Join(names, " "); got != "agentidp_follower_halted agentidp_follower_lag_events agentidp_follower_lag_seconds "+
		"agentidp_follower_position agentidp_follower_stalled" {
		t.Errorf("the metrics are %s", got)
	}
}

// What the package's comment shows is what is compiled here.
func TestTheExampleIsTheOneInTheComment(t *testing.T) {
	t.Parallel()
	lines := func(file, prefix string) string {
		var text strings.Builder
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(source)) {
			if code, is := strings.CutPrefix(line, prefix); is {
				text.WriteString(code)
			}
		}
		return text.String()
	}
	comment, compiled := lines("doc.go", "//\t"), lines("example_test.go", "\t")
	_, shown, found := strings.Cut(comment, "suspensions := ")
	if !found || !strings.Contains(compiled, shown) {
		t.Errorf("example_test.go does not have this code of doc.go:\n%s", shown)
	}
}
