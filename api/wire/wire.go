package wire

import (
	"encoding/json"
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

// Decode reads a body that the OpenAPI document has let through. A body that
// may be left out decodes to the zero value.
func Decode[T any](c *gin.Context) (T, error) {
	var body T
	if c.Request.ContentLength == 0 {
		return body, nil
	}
	if err := json.NewDecoder(c.Request.Body).Decode(&body); err != nil {
		return body, domain.Invalid("body", "does not fit: "+err.Error(), nil)
	}
	return body, nil
}

const defaultLimit = 20

// PageOf reads page and limit, whose bounds the OpenAPI document has checked.
func PageOf(c *gin.Context) readmodels.Page {
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

// AnswerList answers with one page of rows.
func AnswerList[Row, Body any](c *gin.Context, page readmodels.Page, rows readmodels.List[Row], body func(Row) Body) {
	c.JSON(http.StatusOK, list[Body]{Data: Mapped(rows.Items, body), Total: rows.Total, Page: page.Number, Limit: page.Limit})
}

// Mapped applies f to every element; the result is never nil.
func Mapped[From, To any](from []From, f func(From) To) []To {
	to := make([]To, len(from))
	for i := range from {
		to[i] = f(from[i])
	}
	return to
}

// ValueOf is what a pointer points to, the zero value for nil.
func ValueOf[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// ScopesOf reads scopes out of a body.
func ScopesOf(names []gen.Scope) domain.Scopes {
	scopes := make([]domain.Scope, len(names))
	for i, name := range names {
		scopes[i] = domain.Scope(name)
	}
	return domain.NewScopes(scopes...)
}

// Scopes writes scopes into a body.
func Scopes(scopes domain.Scopes) []gen.Scope {
	return Mapped(scopes, func(s domain.Scope) gen.Scope { return gen.Scope(s) })
}

// Time writes a time.
func Time(t time.Time) gen.Timestamp { return timestamp.Of(t) }

// TimeOrNull writes the zero time as null.
func TimeOrNull(t time.Time) nullable.Nullable[timestamp.Milli] {
	if t.IsZero() {
		return nullable.NewNullNullable[timestamp.Milli]()
	}
	return nullable.NewNullableWithValue(timestamp.Of(t))
}

// TextOrNull writes the empty text as null.
func TextOrNull(s string) nullable.Nullable[string] {
	if s == "" {
		return nullable.NewNullNullable[string]()
	}
	return nullable.NewNullableWithValue(s)
}

// IDOrNull writes the zero id as null.
func IDOrNull(id uuid.UUID) nullable.Nullable[uuid.UUID] {
	if id == uuid.Nil {
		return nullable.NewNullNullable[uuid.UUID]()
	}
	return nullable.NewNullableWithValue(id)
}

// AgentID reads a query parameter; the id is zero where it is absent.
func AgentID(c *gin.Context, name string) (domain.AgentID, error) {
	text := c.Query(name)
	if text == "" {
		return domain.AgentID{}, nil
	}
	return domain.ParseAgentID(text)
}
