package compliance

import (
	"context"
	"time"

	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"github.com/sentryagent/agentidp/api/gen"
	"github.com/sentryagent/agentidp/api/timestamp"
	"github.com/sentryagent/agentidp/api/turns"
	"github.com/sentryagent/agentidp/api/wire"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/projections/readmodels"
	"github.com/sentryagent/agentidp/replay/verify"
)

const (
	reportLife     = 5 * time.Minute
	reportsKept    = 1000            // organizations
	reportPatience = 2 * time.Minute // for making one
	faultsNamed    = 100             // of each kind
	expiresSoon    = 7 * 24 * time.Hour
)

// reportCache keeps the reports of organizations. Of several that ask for the
// same one at once, one makes it.
type reportCache struct {
	now    func() time.Time
	making singleflight.Group
	kept   *lru.Cache[domain.OrganizationID, keptReport]
}

type keptReport struct {
	report gen.ComplianceReport
	until  time.Time
}

func newReportCache(now func() time.Time) *reportCache {
	kept, err := lru.New[domain.OrganizationID, keptReport](reportsKept)
	if err != nil {
		panic(err) // the size is not positive: a programming error
	}
	return &reportCache{now: now, kept: kept}
}

// get gives the report that is kept, or makes one. What is made goes on when
// the caller goes away: others may wait for it.
func (r *reportCache) get(
	ctx context.Context, id domain.OrganizationID, generate func(context.Context, domain.OrganizationID) (gen.ComplianceReport, error),
) (report gen.ComplianceReport, kept bool, err error) {
	if found, ok := r.find(id); ok {
		return found, true, nil
	}
	made := r.making.DoChan(id.String(), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reportPatience)
		defer cancel()
		report, err := generate(ctx, id)
		if err == nil {
			r.kept.Add(id, keptReport{report, r.now().Add(reportLife)})
		}
		return report, err
	})
	select {
	case <-ctx.Done():
		return report, false, ctx.Err()
	case result := <-made:
		report, _ = result.Val.(gen.ComplianceReport)
		return report, false, result.Err
	}
}

func (r *reportCache) find(id domain.OrganizationID) (gen.ComplianceReport, bool) {
	found, ok := r.kept.Get(id)
	return found.report, ok && r.now().Before(found.until)
}

// makeReport looks at an organization's agents and proves its events.
func (h *Handler) makeReport(ctx context.Context, id domain.OrganizationID) (report gen.ComplianceReport, err error) {
	now := h.Now()
	found, err := h.Queries.Identities(ctx, id, now, now.Add(expiresSoon), faultsNamed)
	if err != nil {
		return report, err
	}
	proof, err := h.Verifications.Report(ctx, turns.Verification{Scope: verify.Scope{Organization: id}})
	if err != nil {
		return report, err
	}
	h.made.Inc()
	identity, trail := identitySection(found), trailSection(proof)
	return gen.ComplianceReport{
		GeneratedAt: wire.Time(now), TenantID: id.UUID, AgntcySchemaVersion: "1.0",
		OverallStatus: worse(identity.Status, trail.Status), Sections: []gen.ComplianceSection{identity, trail},
		AgentCount: found.Agents, VerifiedAgentCount: found.Sound,
		AuditChainIntegrity: proof.Break == nil, AgntcyConformance: found.WithoutDID == 0,
	}, nil
}

const (
	pass = gen.ComplianceStatusPass
	warn = gen.ComplianceStatusWarn
	fail = gen.ComplianceStatusFail
)

func worse(a, b gen.ComplianceStatus) gen.ComplianceStatus {
	for _, status := range []gen.ComplianceStatus{fail, warn} {
		if a == status || b == status {
			return status
		}
	}
	return pass
}

func identitySection(found readmodels.Identities) gen.ComplianceSection {
	status := pass
	switch {
	case found.WithoutDID > 0, len(found.Expired) > 0:
		status = fail
	case len(found.Expiring) > 0:
		status = warn
	}
	return gen.ComplianceSection{Name: "agent-identity", Status: status, Details: map[string]any{
		"missing_did":          wire.Mapped(found.MissingDID, func(id domain.AgentID) uuid.UUID { return id.UUID }),
		"expired_credentials":  wire.Mapped(found.Expired, endingBody),
		"expiring_credentials": wire.Mapped(found.Expiring, endingBody),
	}}
}

// credentialEnding is how a report names a credential.
type credentialEnding struct {
	AgentID      uuid.UUID       `json:"agent_id"`
	CredentialID uuid.UUID       `json:"credential_id"`
	ExpiresAt    timestamp.Milli `json:"expires_at"`
}

func endingBody(c readmodels.CredentialExpires) credentialEnding {
	return credentialEnding{c.AgentID.UUID, c.CredentialID.UUID, wire.Time(c.At)}
}

func trailSection(proof verify.Report) gen.ComplianceSection {
	section := gen.ComplianceSection{Name: "audit-trail", Status: pass, Details: map[string]any{
		"checked_count": proof.Checked, "broken_at_event_id": nil,
	}}
	if proof.Break != nil {
		section.Status, section.Details["broken_at_event_id"] = fail, proof.Break.EventID
	}
	return section
}
