package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	"github.com/sentryagent/agentidp/api/gen"
	"github.com/sentryagent/agentidp/api/timestamp"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

// decode reads a body that the OpenAPI document has let through. A body that
// may be left out decodes to the zero value.
func decode[T any](c *gin.Context) (T, error) {
	var body T
	if c.Request.ContentLength == 0 {
		return body, nil
	}
	if err := json.NewDecoder(c.Request.Body).Decode(&body); err != nil {
		return body, domain.Invalid("body", "does not fit: "+err.Error(), nil)
	}
	return body, nil
}

// tenantOf is whose things the caller may look at by their id.
func tenantOf(caller domain.Caller) readmodels.Tenant {
	if caller.IsOperator() {
		return readmodels.AllOrganizations
	}
	return readmodels.InOrganization(caller.OrganizationID)
}

// listedTenant is whose things a list shows: the caller's own organization's,
// or of another that the operator names.
func (s *Server) listedTenant(c *gin.Context) (readmodels.Tenant, error) {
	organization, err := s.namedOrganization(c)
	return readmodels.InOrganization(organization), err
}

func (s *Server) namedOrganization(c *gin.Context) (domain.OrganizationID, error) {
	caller := principal(c)
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
	organization, err := s.ledger.Organization(c.Request.Context(), id)
	if err == nil && !organization.Exists() {
		err = domain.Refuse(domain.CodeOrganizationNotFound, "there is no such organization").With("field", "organizationId")
	}
	return id, err
}

const defaultLimit = 20

// pageOf reads page and limit, whose bounds the OpenAPI document has checked.
func pageOf(c *gin.Context) readmodels.Page {
	page := readmodels.Page{Number: 1, Limit: defaultLimit}
	if n, err := strconv.Atoi(c.Query("page")); err == nil {
		page.Number = n
	}
	if n, err := strconv.Atoi(c.Query("limit")); err == nil {
		page.Limit = n
	}
	return page
}

// list is one page of anything.
type list[T any] struct {
	Data  []T `json:"data"`
	Total int `json:"total"`
	Page  int `json:"page"`
	Limit int `json:"limit"`
}

func answerList[Row, Body any](c *gin.Context, page readmodels.Page, rows readmodels.List[Row], body func(Row) Body) {
	c.JSON(http.StatusOK, list[Body]{Data: mapped(rows.Items, body), Total: rows.Total, Page: page.Number, Limit: page.Limit})
}

func mapped[From, To any](from []From, f func(From) To) []To {
	to := make([]To, len(from))
	for i := range from {
		to[i] = f(from[i])
	}
	return to
}

// notVisible is the answer where a query of the caller's tenant found nothing: a
// tenant does not learn whether another one has it. What is a word for the thing,
// missing the code for operators.
func notVisible(c *gin.Context, err error, what string, missing domain.Code) error {
	if !errors.Is(err, readmodels.ErrNotFound) {
		return err
	}
	return principal(c).MayReach(false, domain.OrganizationID{}, what, missing)
}

func valueOf[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

func scopesOf(names []gen.Scope) domain.Scopes {
	scopes := make([]domain.Scope, len(names))
	for i, name := range names {
		scopes[i] = domain.Scope(name)
	}
	return domain.NewScopes(scopes...)
}

func genScopes(scopes domain.Scopes) []gen.Scope {
	return mapped(scopes, func(s domain.Scope) gen.Scope { return gen.Scope(s) })
}

func timestampOf(t time.Time) gen.Timestamp { return timestamp.Of(t) }

func timestampOrNull(t time.Time) nullable.Nullable[timestamp.Milli] {
	if t.IsZero() {
		return nullable.NewNullNullable[timestamp.Milli]()
	}
	return nullable.NewNullableWithValue(timestamp.Of(t))
}

func textOrNull(s string) nullable.Nullable[string] {
	if s == "" {
		return nullable.NewNullNullable[string]()
	}
	return nullable.NewNullableWithValue(s)
}

func idOrNull(id uuid.UUID) nullable.Nullable[uuid.UUID] {
	if id == uuid.Nil {
		return nullable.NewNullNullable[uuid.UUID]()
	}
	return nullable.NewNullableWithValue(id)
}
