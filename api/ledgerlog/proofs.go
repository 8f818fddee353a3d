package ledgerlog

import (
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	tlogproof "github.com/transparency-dev/formats/proof"

	"github.com/sentryagent/agentidp/api/gen"
	"github.com/sentryagent/agentidp/api/wire"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/projections/readmodels"
	"github.com/sentryagent/agentidp/projections/transparency"
)

// proveEvent proves to somebody who trusts nobody that an event is in a log: by
// its record, its place, the way up to a root, and the root's signature.
func (h *Handler) proveEvent(c *gin.Context) error {
	event, err := h.Event(c)
	if err != nil {
		return err
	}
	if err := h.Reads.Await(c.Request.Context(), event.Position, readmodels.Logs); err != nil {
		return err
	}
	log := logOf(c, event)
	signed, err := h.checkpointWith(c, log, event.Position)
	if err != nil {
		return err
	}
	ctx := c.Request.Context()
	index, err := h.Logs.Index(ctx, log, event.Position, event.Hash)
	if err != nil {
		return h.unproven(err)
	}
	path, err := h.Logs.ProveInclusion(ctx, log, signed.Size, index)
	if err != nil {
		return h.unproven(err)
	}
	if c.Query("format") == "tlog-proof" {
		proof := tlogproof.TLogProof{Index: uint64(index), Checkpoint: signed.Note, ExtraData: event.Record}
		for _, hash := range path {
			proof.Hashes = append(proof.Hashes, hash)
		}
		c.Data(http.StatusOK, "text/plain; charset=utf-8", proof.Marshal())
		return nil
	}
	c.JSON(http.StatusOK, gen.InclusionProof{
		EventID:    event.EventID,
		Record:     event.Record,
		Hash:       event.Hash.String(),
		Index:      index,
		Proof:      hashTexts(path),
		Checkpoint: h.checkpointBody(signed),
	})
	return nil
}

// logOf is the log that the caller wants: the one of the event's organization,
// or of the whole ledger.
func logOf(c *gin.Context, event readmodels.AuditEvent) uuid.UUID {
	if c.Query("log") == "ledger" {
		return transparency.Whole
	}
	return event.OrganizationID.UUID // nobody's is in that of the whole ledger alone, which is the same
}

// checkpointWith is one that has the event at a position: the newest, or a new one.
func (h *Handler) checkpointWith(c *gin.Context, log uuid.UUID, position ledger.Position) (transparency.Signed, error) {
	newest, err := h.Logs.Newest(c.Request.Context(), log, h.Signer.Origin(log))
	switch {
	case err == nil && newest.Position >= position:
		return newest, nil
	case err != nil && !errors.Is(err, transparency.ErrNoCheckpoint):
		return newest, err
	}
	return h.signNow(c, log)
}

// unproven: an event that the ledger has and its log has not was put there
// behind the server's back.
func (h *Handler) unproven(err error) error {
	if !errors.Is(err, transparency.ErrNotLogged) {
		return err
	}
	h.Logger.Error("an event of the ledger is not in its log: verify the ledger", "error", err)
	return domain.Refuse(domain.CodeUnavailable, "this event is not in the log that should prove it; the operator has been alerted")
}

// hashTexts is a proof as text: each hash in base64.
func hashTexts[H interface{ String() string }](hashes []H) []string {
	return wire.Mapped(hashes, H.String)
}
