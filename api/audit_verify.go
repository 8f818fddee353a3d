package api

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	"github.com/sentryagent/agentidp/api/gen"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/replay/verify"
)

// verifyAudit proves the caller's own part of the ledger; the operator's part
// is all of it.
func (s *Server) verifyAudit(c *gin.Context) error {
	from, to, err := dates(c)
	if err != nil {
		return err
	}
	scope := verify.Scope{From: from, To: to}
	if caller := principal(c); !caller.IsOperator() {
		scope.Organization = caller.OrganizationID
	}
	incremental := c.Query("mode") == "incremental"
	if incremental && scope != (verify.Scope{}) {
		return domain.Invalid("mode", "incremental is for the operator, over the whole ledger, without dates", nil)
	}
	start := time.Now()
	report, err := s.verifications.report(c.Request.Context(), verified{scope, incremental})
	if err != nil {
		return err
	}
	// What is new says nothing of what is old, unless it is broken.
	whole := scope == verify.Scope{} && (!incremental || report.Break != nil)
	s.metrics.verified(report.Break == nil, time.Since(start), whole)
	if found := report.Break; found != nil {
		s.logger.ErrorContext(c.Request.Context(), "the ledger is broken: see docs/runbooks/broken-chain.md", "kind", found.Kind, "event", found.EventID,
			"position", found.Position, "index", found.Index, "stream", found.Stream, "detail", found.Detail)
	}
	c.JSON(http.StatusOK, auditVerificationBody(scope, report))
	return nil
}

func auditVerificationBody(scope verify.Scope, report verify.Report) gen.AuditVerification {
	body := gen.AuditVerification{
		Verified: report.Break == nil, CheckedCount: report.Checked, BrokenAtEventID: nullable.NewNullNullable[uuid.UUID](),
		FromDate: dateOrAbsent(scope.From), ToDate: dateOrAbsent(scope.To),
		TreeSize: nullable.NewNullNullable[int64](), RootHash: nullable.NewNullNullable[[]byte](),
		Checkpoint: nullable.NewNullNullable[gen.VerifiedCheckpoint](), Break: nullable.NewNullNullable[gen.LedgerBreak](),
	}
	if scope.From.IsZero() && scope.To.IsZero() {
		body.TreeSize.Set(report.TreeSize)
		body.RootHash.Set(report.Root[:])
	}
	if agreed := report.Checkpoint; agreed != nil {
		body.Checkpoint.Set(gen.VerifiedCheckpoint{TreeSize: agreed.Size, RootHash: agreed.Root[:], SignedAt: timestampOf(agreed.SignedAt)})
	}
	if found := report.Break; found != nil {
		body.BrokenAtEventID = idOrNull(found.EventID)
		body.Break.Set(gen.LedgerBreak{
			Kind: gen.LedgerBreakKind(found.Kind), EventID: idOrNull(found.EventID), Stream: found.Stream, Revision: found.Revision,
			Position: int64(found.Position), Index: found.Index, Detail: found.Detail,
		})
	}
	return body
}
