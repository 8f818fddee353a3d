package history_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/projections/readmodels"
	"github.com/sentryagent/agentidp/replay/history"
	"github.com/sentryagent/agentidp/replay/replaytest"
)

// A state is of everything up to its moment, or there is none.
func TestAStateThatIsCutOffIsNone(t *testing.T) {
	t.Parallel()
	a := replaytest.NewShortArchive(t)
	agent := domain.AgentID{}
	for _, e := range a.Events[:replaytest.CutEvents] {
		if e.Type == "agent.suspended" || agent.IsZero() && e.Type == "agent.created" {
			id, err := domain.ParseAgentID(e.Stream[len("agent-"):])
			if err != nil {
				t.Fatal(err)
			}
			agent = id
		}
	}
	told := func(s eventstore.Store) *history.History {
		return history.New(s, readmodels.NewQueries(a.Pool), time.Now)
	}
	moment := history.Moment{Position: replaytest.CutEvents}
	operator := domain.Caller{Scopes: domain.NewScopes(domain.ScopeAdminOrgs)}
	want, err := told(a.Store).Agent(t.Context(), operator, agent, moment)
	if err != nil {
		t.Fatal(err)
	}
	read := func(ctx context.Context, s *replaytest.Scissors, place string) {
		got, err := told(replaytest.CutStore{Store: a.Store, Scissors: s}).Agent(ctx, operator, agent, moment)
		if _, ok := errors.AsType[*domain.Error](err); ok {
			t.Errorf("%s: refused: %v", place, err)
		}
		if err == nil && fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %+v, want %+v", place, got, want)
		}
	}
	replaytest.CutEverywhere(t, []string{"context", "error"}, replaytest.Each, nil, read)
	replaytest.CutEverywhere(t, []string{"connection"}, replaytest.Sparsely, a.Kill(t), read)
}
