package ledgerlog

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/api/access"
	"github.com/sentryagent/agentidp/api/gen"
	"github.com/sentryagent/agentidp/api/wire"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/projections/readmodels"
	"github.com/sentryagent/agentidp/projections/transparency"
)

// getCheckpoint answers the newest checkpoint of the whole ledger.
func (h *Handler) getCheckpoint(c *gin.Context) error {
	signed, err := h.newestCheckpoint(c)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, h.checkpointBody(signed))
	return nil
}

// serveCheckpoint answers the same as a signed note (C2SP tlog-tiles).
func (h *Handler) serveCheckpoint(c *gin.Context) error {
	signed, err := h.newestCheckpoint(c)
	if err != nil {
		return err
	}
	c.Header("Access-Control-Allow-Origin", "*")
	c.Data(http.StatusOK, "text/plain; charset=utf-8", signed.Note)
	return nil
}

// newestCheckpoint signs the first one if the job has not come to that.
func (h *Handler) newestCheckpoint(c *gin.Context) (transparency.Signed, error) {
	signed, err := h.Logs.Newest(c.Request.Context(), transparency.Whole, h.Signer.Origin(transparency.Whole))
	if errors.Is(err, transparency.ErrNoCheckpoint) {
		return h.signNow(c, transparency.Whole)
	}
	return signed, err
}

// getOrganizationCheckpoint signs the organization's log as it is now.
func (h *Handler) getOrganizationCheckpoint(c *gin.Context) error {
	id, err := h.readableOrganization(c)
	if err != nil {
		return err
	}
	signed, err := h.signNow(c, id.UUID)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, h.checkpointBody(signed))
	return nil
}

// readableOrganization is the one in the path, if there is one that the caller
// may read.
func (h *Handler) readableOrganization(c *gin.Context) (domain.OrganizationID, error) {
	id, err := domain.ParseOrganizationID(c.Param("orgId"))
	if err != nil {
		return id, err
	}
	if err := access.Caller(c).MayActIn(id); err != nil {
		return id, err
	}
	organization, err := h.Ledger.Organization(c.Request.Context(), id)
	if err == nil && !organization.Exists() {
		err = domain.Refuse(domain.CodeOrganizationNotFound, "there is no such organization")
	}
	return id, err
}

// signNow signs a log after it has all that the ledger has.
func (h *Handler) signNow(c *gin.Context, log uuid.UUID) (transparency.Signed, error) {
	ctx := c.Request.Context()
	head, err := h.Ledger.Head(ctx)
	if err == nil {
		err = h.Reads.Await(ctx, head, readmodels.Logs)
	}
	if err != nil {
		return transparency.Signed{}, err
	}
	signed, err := h.Signer.Sign(ctx, log)
	var refused *transparency.RefusedError
	switch {
	case errors.As(err, &refused):
		h.Logger.ErrorContext(ctx, "a checkpoint is refused: see docs/runbooks/broken-chain.md", "reason", refused.Refusal, "error", err)
		return transparency.Signed{}, domain.Refuse(domain.CodeUnavailable,
			"this log is not signed now: it does not extend what was signed before; the operator has been alerted")
	case err != nil:
		return transparency.Signed{}, err
	case len(signed) == 0:
		return transparency.Signed{}, domain.Refuse(domain.CodeReadModelBehind, "the log has not caught up yet; try again")
	}
	return signed[0], nil
}

func (h *Handler) addCosignature(c *gin.Context) error {
	body, err := wire.Decode[gen.Cosignature](c)
	if err != nil {
		return err
	}
	signed, err := h.Witnesses.Accept(c.Request.Context(), body.TreeSize, body.Cosignature)
	switch {
	case errors.Is(err, transparency.ErrNoCheckpoint):
		err = domain.Refuse(domain.CodeNotFound, "no checkpoint was signed at this size").With("field", "treeSize")
	case errors.Is(err, transparency.ErrCosignature):
		err = domain.Invalid("cosignature", "must be the cosignature of a witness that this server knows, on the checkpoint of that size", nil)
	}
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, h.checkpointBody(signed))
	return nil
}

func (h *Handler) checkpointBody(signed transparency.Signed) gen.Checkpoint {
	return gen.Checkpoint{
		Origin:      signed.Origin,
		TreeSize:    signed.Size,
		RootHash:    signed.Root.String(),
		Position:    int64(signed.Position),
		SignedAt:    wire.Time(signed.SignedAt),
		Checkpoint:  string(signed.Note),
		VerifierKey: h.Signer.VerifierKey(signed.Log),
	}
}

// getConsistency proves that the ledger's log extends what it was.
func (h *Handler) getConsistency(c *gin.Context) error {
	newest, err := h.newestCheckpoint(c)
	if err != nil {
		return err
	}
	return h.answerConsistency(c, newest)
}

func (h *Handler) getOrganizationConsistency(c *gin.Context) error {
	id, err := h.readableOrganization(c)
	if err != nil {
		return err
	}
	newest, err := h.Logs.Newest(c.Request.Context(), id.UUID, h.Signer.Origin(id.UUID))
	if errors.Is(err, transparency.ErrNoCheckpoint) {
		err = domain.Refuse(domain.CodeNotFound, "no checkpoint of this organization has been signed yet: get one")
	}
	if err != nil {
		return err
	}
	return h.answerConsistency(c, newest)
}

// answerConsistency proves sizes that are within what has been signed.
func (h *Handler) answerConsistency(c *gin.Context, newest transparency.Signed) error {
	ctx := c.Request.Context()
	from, to := sizeOf(c, "from", 1), sizeOf(c, "to", newest.Size)
	if to > newest.Size {
		return domain.Invalid("to", "must not be beyond the newest checkpoint", newest.Size)
	}
	if from > to {
		return domain.Invalid("from", "must not be after to", to)
	}
	fromRoot, err := h.Logs.Root(ctx, newest.Log, from)
	if err != nil {
		return err
	}
	toRoot, err := h.Logs.Root(ctx, newest.Log, to)
	if err != nil {
		return err
	}
	proof, err := h.Logs.ProveConsistency(ctx, newest.Log, from, to)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, gen.ConsistencyProof{
		Origin: newest.Origin, From: from, To: to, FromRoot: fromRoot.String(), ToRoot: toRoot.String(), Proof: hashTexts(proof),
	})
	return nil
}

// sizeOf reads a size whose bounds the OpenAPI document has checked.
func sizeOf(c *gin.Context, name string, fallback int64) int64 {
	n, err := strconv.ParseInt(c.Query(name), 10, 64)
	if err != nil {
		return fallback
	}
	return n
}
