// Package consistency has a read wait for what it must have: the place in the ledger
// that the caller names, or all that was there when it came in.
package consistency

import (
	"context"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

// Reads wait for the read models, within bounds.
type Reads struct {
	progress    *projections.Progress
	revocations *revocation.Index
	patience    time.Duration
}

// NewReads waits for so long at most.
func NewReads(progress *projections.Progress, revocations *revocation.Index, patience time.Duration) *Reads {
	return &Reads{progress, revocations, patience}
}

// Steps are those of the reads that a route may ask for.
func (r *Reads) Steps() map[router.Read]router.Step {
	return map[router.Read]router.Step{router.AtPosition: r.atLeast, router.AtHead: r.atHead}
}

// Current refuses what may read tables of an older version than this server
// reads, which are being rebuilt.
func (r *Reads) Current(c *gin.Context) error {
	if outdated := r.progress.Outdated(); len(outdated) > 0 {
		return &projections.BehindError{Projection: outdated[0]}
	}
	return nil
}

// atLeast makes a read wait, within bounds, for the place in the ledger that
// the caller names in X-Ledger-Position or minPosition.
func (r *Reads) atLeast(c *gin.Context) error {
	var position uint64 // the greater one counts
	for _, wanted := range []string{c.Query("minPosition"), c.GetHeader(router.HeaderPosition)} {
		if wanted == "" {
			continue
		}
		named, err := strconv.ParseUint(wanted, 10, 64)
		if err != nil {
			return domain.Invalid("minPosition", "must be a position that X-Ledger-Position gave", nil)
		}
		position = max(position, named)
	}
	if position == 0 {
		return nil
	}
	ctx, cancel := r.Within(c.Request.Context())
	defer cancel()
	return r.progress.Wait(ctx, ledger.Position(position))
}

// atHead makes a read of the audit trail wait for that, and for all that was in the
// ledger when it came in.
func (r *Reads) atHead(c *gin.Context) error {
	if err := r.atLeast(c); err != nil {
		return err
	}
	return r.AwaitHead(c.Request.Context(), readmodels.AuditTrail)
}

// Within bounds what waits.
func (r *Reads) Within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, r.patience)
}

// AwaitHead waits until a projection has everything that was in the ledger when the
// read came in: the caller's token was looked up in all of it.
func (r *Reads) AwaitHead(ctx context.Context, projection string) error {
	return r.Await(ctx, r.revocations.Latest().Position(), projection)
}

// Await waits until a projection has a position.
func (r *Reads) Await(ctx context.Context, position ledger.Position, projection string) error {
	ctx, cancel := r.Within(ctx)
	defer cancel()
	return r.progress.WaitFor(ctx, position, projection)
}
