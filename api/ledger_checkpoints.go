package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/api/gen"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/projections/readmodels"
	"github.com/sentryagent/agentidp/projections/transparency"
)

// What may be asked of the ledger's log without a token, by one address: whoever
// follows it asks for many tiles.
const (
	maxFollowed    = 3000
	followedWindow = time.Minute
)

// limitFollower counts a request for a part of the public log.
func (s *Server) limitFollower(c *gin.Context) error {
	return s.take(c, scopeAddress, s.window("rate:ledger:address:"+s.addressOf(c), maxFollowed, followedWindow))
}

// getCheckpoint answers the newest checkpoint of the whole ledger.
func (s *Server) getCheckpoint(c *gin.Context) error {
	signed, err := s.newestCheckpoint(c)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, s.checkpointBody(signed))
	return nil
}

// serveCheckpoint answers the same as a signed note (C2SP tlog-tiles).
func (s *Server) serveCheckpoint(c *gin.Context) error {
	signed, err := s.newestCheckpoint(c)
	if err != nil {
		return err
	}
	c.Header("Access-Control-Allow-Origin", "*")
	c.Data(http.StatusOK, "text/plain; charset=utf-8", signed.Note)
	return nil
}

// newestCheckpoint signs the first one if the job has not come to that.
func (s *Server) newestCheckpoint(c *gin.Context) (transparency.Signed, error) {
	signed, err := s.logs.Newest(c.Request.Context(), transparency.Whole, s.signer.Origin(transparency.Whole))
	if errors.Is(err, transparency.ErrNoCheckpoint) {
		return s.signNow(c, transparency.Whole)
	}
	return signed, err
}

// getOrganizationCheckpoint signs the organization's log as it is now.
func (s *Server) getOrganizationCheckpoint(c *gin.Context) error {
	id, err := s.readableOrganization(c)
	if err != nil {
		return err
	}
	signed, err := s.signNow(c, id.UUID)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, s.checkpointBody(signed))
	return nil
}

// readableOrganization is the one in the path, if there is one that the caller
// may read.
func (s *Server) readableOrganization(c *gin.Context) (domain.OrganizationID, error) {
	id, err := domain.ParseOrganizationID(c.Param("orgId"))
	if err != nil {
		return id, err
	}
	if err := principal(c).MayActIn(id); err != nil {
		return id, err
	}
	organization, err := s.ledger.Organization(c.Request.Context(), id)
	if err == nil && !organization.Exists() {
		err = domain.Refuse(domain.CodeOrganizationNotFound, "there is no such organization")
	}
	return id, err
}

// signNow signs a log after it has all that the ledger has.
func (s *Server) signNow(c *gin.Context, log uuid.UUID) (transparency.Signed, error) {
	ctx := c.Request.Context()
	head, err := s.ledger.Head(ctx)
	if err == nil {
		err = s.awaitLogs(c, head)
	}
	if err != nil {
		return transparency.Signed{}, err
	}
	signed, err := s.signer.Sign(ctx, log)
	var refused *transparency.RefusedError
	switch {
	case errors.As(err, &refused):
		s.logger.ErrorContext(ctx, "a checkpoint is refused: see docs/runbooks/broken-chain.md", "reason", refused.Refusal, "error", err)
		return transparency.Signed{}, domain.Refuse(domain.CodeUnavailable,
			"this log is not signed now: it does not extend what was signed before; the operator has been alerted")
	case err != nil:
		return transparency.Signed{}, err
	case len(signed) == 0:
		return transparency.Signed{}, domain.Refuse(domain.CodeReadModelBehind, "the log has not caught up yet; try again")
	}
	return signed[0], nil
}

func (s *Server) addCosignature(c *gin.Context) error {
	body, err := decode[gen.Cosignature](c)
	if err != nil {
		return err
	}
	signed, err := s.witnesses.Accept(c.Request.Context(), body.TreeSize, body.Cosignature)
	switch {
	case errors.Is(err, transparency.ErrNoCheckpoint):
		err = domain.Refuse(domain.CodeNotFound, "no checkpoint was signed at this size").With("field", "treeSize")
	case errors.Is(err, transparency.ErrCosignature):
		err = domain.Invalid("cosignature", "must be the cosignature of a witness that this server knows, on the checkpoint of that size", nil)
	}
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, s.checkpointBody(signed))
	return nil
}

func (s *Server) checkpointBody(signed transparency.Signed) gen.Checkpoint {
	return gen.Checkpoint{
		Origin:      signed.Origin,
		TreeSize:    signed.Size,
		RootHash:    signed.Root.String(),
		Position:    int64(signed.Position),
		SignedAt:    timestampOf(signed.SignedAt),
		Checkpoint:  string(signed.Note),
		VerifierKey: s.signer.VerifierKey(signed.Log),
	}
}

// getConsistency proves that the ledger's log extends what it was.
func (s *Server) getConsistency(c *gin.Context) error {
	newest, err := s.newestCheckpoint(c)
	if err != nil {
		return err
	}
	return s.answerConsistency(c, newest)
}

func (s *Server) getOrganizationConsistency(c *gin.Context) error {
	id, err := s.readableOrganization(c)
	if err != nil {
		return err
	}
	newest, err := s.logs.Newest(c.Request.Context(), id.UUID, s.signer.Origin(id.UUID))
	if errors.Is(err, transparency.ErrNoCheckpoint) {
		err = domain.Refuse(domain.CodeNotFound, "no checkpoint of this organization has been signed yet: get one")
	}
	if err != nil {
		return err
	}
	return s.answerConsistency(c, newest)
}

// answerConsistency proves sizes that are within what has been signed.
func (s *Server) answerConsistency(c *gin.Context, newest transparency.Signed) error {
	ctx := c.Request.Context()
	from, to := sizeOf(c, "from", 1), sizeOf(c, "to", newest.Size)
	if to > newest.Size {
		return domain.Invalid("to", "must not be beyond the newest checkpoint", newest.Size)
	}
	if from > to {
		return domain.Invalid("from", "must not be after to", to)
	}
	fromRoot, err := s.logs.Root(ctx, newest.Log, from)
	if err != nil {
		return err
	}
	toRoot, err := s.logs.Root(ctx, newest.Log, to)
	if err != nil {
		return err
	}
	proof, err := s.logs.ProveConsistency(ctx, newest.Log, from, to)
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

// awaitLogs waits, within bounds, until the logs have a position.
func (s *Server) awaitLogs(c *gin.Context, position ledger.Position) error {
	ctx, cancel := context.WithTimeout(c.Request.Context(), s.options.ReadWait)
	defer cancel()
	return s.progress.WaitFor(ctx, position, readmodels.Logs)
}
