package domain

import (
	"fmt"
	"strings"
)

// SystemSlug names the organization that the platform's operator belongs to.
const SystemSlug = "system"

// systemAddresses are those of the platform's own agents (RFC 2606: a name that
// can never be somebody's).
const systemAddresses = "@system.agentidp.invalid"

var (
	errOperatorStays = Refuse(CodeConflict,
		"this agent runs the platform: it stays active and keeps its scopes, which nobody could give back; "+
			"to shut somebody out, rotate or revoke its credentials")
	errSystemStays     = Refuse(CodeConflict, "the organization %s holds the platform's operator and stays active", SystemSlug)
	errSystemUnlimited = Refuse(CodeConflict,
		"the organization %s holds the platform's operator and has no limits: a limit could shut the operator out for good; limit other organizations", SystemSlug)
)

// OperatorEmail is the address of the nth agent that was made to run the
// platform. There is a second one only where the first was lost.
func OperatorEmail(n int) string {
	if n <= 1 {
		return "operator" + systemAddresses
	}
	return fmt.Sprintf("operator-%d%s", n, systemAddresses)
}

// RunsThePlatform reports whether the agent can run the platform right now.
func (a Agent) RunsThePlatform() bool { return a.Status == AgentActive && a.runsThePlatform() }

// runsThePlatform: without such an agent nobody could make or change an
// organization any more.
func (a Agent) runsThePlatform() bool {
	return a.Scopes.Has(ScopeAdminOrgs) && isSystemAddress(a.Email)
}

// isSystemAddress asks of the form in which addresses are compared: another
// spelling of a system address would take it all the same.
func isSystemAddress(email string) bool {
	return strings.HasSuffix(EmailForm(email), systemAddresses)
}

func (o Organization) isSystem() bool { return o.Slug == SystemSlug }

// mayHaveEmail keeps the platform's own addresses for what the server makes
// itself, without a caller that is an agent.
func (c RegisterAgent) mayHaveEmail() error {
	if isSystemAddress(c.Email) && !c.Caller.AgentID.IsZero() {
		return Invalid("email", "is at a domain that is kept for the platform's own agents; use another", nil)
	}
	return nil
}
