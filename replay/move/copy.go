package move

import (
	"context"
	"time"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/eventstore"
)

// Copier moves a ledger to another engine: every record to the byte, every
// stream, every organization's log and the order of the whole. Only positions
// differ, which are an engine's own.
//
// Nothing but the two ledgers says how far a copy is. What the target has must be
// how the source begins; it is compared, and the copy goes on from there. So a
// copy that was killed, at any moment, is begun again by the same call.
//
// Nobody else may write to the target. The source may be written to meanwhile.
type Copier struct {
	From, To eventstore.Store
	// Follow goes on with what comes to the source, until it is closed. The copy
	// then goes on to what is the source's newest event at that moment. Nil: it
	// ends with what was the newest event when it began.
	Follow <-chan struct{}
	// Progress is told where the work is; it must be quick. Nil: nobody is.
	Progress func(CopyProgress)
	// Patience is how long a ledger may be unavailable in one piece before the
	// copy gives up. Default: two minutes.
	Patience time.Duration
}

// CopyStage is what a copy is doing.
type CopyStage string

// The stages of a copy. A copy that follows comes to the last two by turns.
const (
	StageComparing CopyStage = "comparing" // what the target has with the source
	StageCopying   CopyStage = "copying"
	StageFollowing CopyStage = "following" // the target has all that there is
	StageProving   CopyStage = "proving"   // reading back what was copied
)

// CopyProgress is where a copy is in the source.
type CopyProgress struct {
	Stage          CopyStage
	Position, Head eventstore.Position
}

// Copy copies, and proves what it has copied by reading both ledgers. The error is
// a [*Difference] where they are not the same, an [*eventstore.Break] where the
// source (or, wrapped likewise, the target) does not hold in itself, and else that
// it could not go on. The report is of what was compared until then. Memory is
// flat but for some two kilobytes for each organization.
func (c *Copier) Copy(ctx context.Context) (CopyReport, error) {
	r := &copying{Copier: *c, proof: newCopyProof(c.From, c.To)}
	if r.Patience <= 0 {
		r.Patience = 2 * time.Minute
	}
	err := r.run(ctx)
	if err == nil {
		err = r.proof.conclude()
	}
	report := r.proof.report()
	report.Copied, report.Complete, report.Proven = r.copied, r.complete, err == nil
	return report, err
}

// CopyReport is how a copy ended.
type CopyReport struct {
	// Proven: what was compared is the same in both, and there is no more in the target.
	Proven bool
	// Complete: the target has all that the source had when the copy was to end.
	Complete      bool
	Copied        int64 // events that were appended this time
	Events        int64 // that are in both
	Root          tlog.Hash
	Organizations []OrganizationLog // by id
}

// OrganizationLog is the log of an organization, the same in both ledgers.
type OrganizationLog struct {
	ID   uuid.UUID
	Size int64
	Root tlog.Hash
}
