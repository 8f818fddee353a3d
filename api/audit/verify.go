package audit

import (
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	"github.com/sentryagent/agentidp/api/access"
	"github.com/sentryagent/agentidp/api/gen"
	"github.com/sentryagent/agentidp/api/turns"
	"github.com/sentryagent/agentidp/api/wire"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/replay/verify"
)

// verifyAudit proves the caller's own part of the ledger; the operator's part
// is all of it.
func (h *Handler) verifyAudit(c *gin.Context) error {
	from, to, err := dates(c)
	if err != nil {
		return err
	}
	scope := verify.Scope{From: from, To: to}
	if caller := access.Caller(c); !caller.IsOperator() {
		scope.Organization = caller.OrganizationID
	}
	incremental := c.Query("mode") == "incremental"
	if incremental && scope != (verify.Scope{}) {
		return domain.Invalid("mode", "incremental is for the operator, over the whole ledger, without dates", nil)
	}
	report, err := h.Verifications.Report(c.Request.Context(), turns.Verification{Scope: scope, Incremental: incremental})
	if err != nil {
		return err
	}
	if found := report.Break; found != nil {
		h.Logger.ErrorContext(c.Request.Context(), "the ledger is broken: see docs/runbooks/broken-chain.md", "kind", found.Kind, "event", found.EventID,
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
		body.Checkpoint.Set(gen.VerifiedCheckpoint{TreeSize: agreed.Size, RootHash: agreed.Root[:], SignedAt: wire.Time(agreed.SignedAt)})
	}
	if found := report.Break; found != nil {
		body.BrokenAtEventID = wire.IDOrNull(found.EventID)
		body.Break.Set(gen.LedgerBreak{
			Kind: gen.LedgerBreakKind(found.Kind), EventID: wire.IDOrNull(found.EventID), Stream: found.Stream, Revision: found.Revision,
			Position: int64(found.Position), Index: found.Index, Detail: found.Detail,
		})
	}
	return body
}
