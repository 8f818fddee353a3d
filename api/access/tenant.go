package access

import (
	"errors"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

// Tenant is whose things the caller may look at by their id.
func Tenant(c *gin.Context) readmodels.Tenant {
	caller := Caller(c)
	if caller.IsOperator() {
		return readmodels.AllOrganizations
	}
	return readmodels.InOrganization(caller.OrganizationID)
}

// NamedOrganization is whose things a list shows: the caller's own organization's,
// or those of another that the operator names.
func NamedOrganization(c *gin.Context, l *ledger.Ledger) (domain.OrganizationID, error) {
	caller := Caller(c)
	named := c.Query("organizationId")
	if named == "" {
		return caller.OrganizationID, nil
	}
	id, err := domain.ParseOrganizationID(named)
	if err != nil {
		return id, err
	}
	if err := caller.MayActIn(id); err != nil {
		return id, err
	}
	if id == caller.OrganizationID {
		return id, nil
	}
	organization, err := l.Organization(c.Request.Context(), id)
	if err == nil && !organization.Exists() {
		err = domain.Refuse(domain.CodeOrganizationNotFound, "there is no such organization").With("field", "organizationId")
	}
	return id, err
}

// NotVisible is the answer where a query of the caller's tenant found nothing: a
// tenant does not learn whether another one has it. What is a word for the thing,
// missing the code for operators.
func NotVisible(c *gin.Context, err error, what string, missing domain.Code) error {
	if !errors.Is(err, readmodels.ErrNotFound) {
		return err
	}
	return Caller(c).MayReach(false, domain.OrganizationID{}, what, missing)
}
