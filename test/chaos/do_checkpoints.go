package chaos

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/projections/transparency"
)

// lookAtCheckpoint asks for the newest checkpoint of the ledger, or has the
// organization's log signed as it is.
func (c *client) lookAtCheckpoint(ctx context.Context, who *agent) {
	what, log := ask{method: http.MethodGet, path: "/api/v1/ledger/checkpoint"}, transparency.Whole
	if c.rng.IntN(2) == 0 {
		what = ask{method: http.MethodGet, path: "/api/v1/organizations/" + who.organization.id + "/checkpoint", bearer: c.operator}
		log = uuid.MustParse(who.organization.id)
	}
	a := c.operateOnce(ctx, Operation{Kind: "checkpoint"}, what)
	if a.result != Acknowledged {
		return
	}
	checkpoint, err := transparency.OpenCheckpoint([]byte(a.text("checkpoint")), a.text("verifierKey"))
	if err != nil {
		c.recording.Mistake(Violation{Rule: RuleTree, Detail: "as " + a.request + ": " + err.Error()})
		return
	}
	c.recording.Saw(Checkpoint{Checkpoint: checkpoint, Log: log, Seen: a.request})
}
