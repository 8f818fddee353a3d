package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

const (
	codeInternal             domain.Code = "INTERNAL_SERVER_ERROR"
	codePayloadTooLarge      domain.Code = "PAYLOAD_TOO_LARGE"
	codeUnsupportedMediaType domain.Code = "UNSUPPORTED_MEDIA_TYPE"
	codeMethodNotAllowed     domain.Code = "METHOD_NOT_ALLOWED"
	codeRateLimit            domain.Code = "RATE_LIMIT_EXCEEDED"
	codeComplianceDisabled   domain.Code = "COMPLIANCE_DISABLED"
)

// statuses is the one place where codes become HTTP statuses. What is not
// listed is 500.
var statuses = map[domain.Code]int{
	domain.CodeValidation:               http.StatusBadRequest,
	domain.CodeScopeExceedsDelegator:    http.StatusBadRequest,
	domain.CodeCrossTenantDelegation:    http.StatusBadRequest,
	domain.CodeUnauthorized:             http.StatusUnauthorized,
	domain.CodeCrossTenant:              http.StatusForbidden,
	domain.CodeInsufficientScope:        http.StatusForbidden,
	domain.CodeScopeNotAllowed:          http.StatusForbidden,
	domain.CodeAgentSuspended:           http.StatusForbidden,
	domain.CodeAgentDecommissioned:      http.StatusForbidden,
	domain.CodeAgentCap:                 http.StatusForbidden,
	domain.CodeNotFound:                 http.StatusNotFound,
	domain.CodeAgentNotFound:            http.StatusNotFound,
	domain.CodeCredentialNotFound:       http.StatusNotFound,
	domain.CodeOrganizationNotFound:     http.StatusNotFound,
	domain.CodeMemberNotFound:           http.StatusNotFound,
	domain.CodeDelegationNotFound:       http.StatusNotFound,
	codeComplianceDisabled:              http.StatusNotFound,
	codeMethodNotAllowed:                http.StatusMethodNotAllowed,
	domain.CodeAgentExists:              http.StatusConflict,
	domain.CodeSlugTaken:                http.StatusConflict,
	domain.CodeHasActiveAgents:          http.StatusConflict,
	domain.CodeAlreadyMember:            http.StatusConflict,
	domain.CodeCredentialAlreadyRevoked: http.StatusConflict,
	domain.CodeAlreadyDecommissioned:    http.StatusConflict,
	domain.CodeConflict:                 http.StatusConflict,
	domain.CodePreconditionFailed:       http.StatusPreconditionFailed,
	codePayloadTooLarge:                 http.StatusRequestEntityTooLarge,
	codeUnsupportedMediaType:            http.StatusUnsupportedMediaType,
	domain.CodeIdempotencyKeyReused:     http.StatusUnprocessableEntity,
	domain.CodeTierLimit:                http.StatusTooManyRequests,
	codeRateLimit:                       http.StatusTooManyRequests,
	domain.CodeUnavailable:              http.StatusServiceUnavailable,
	domain.CodeReadModelBehind:          http.StatusServiceUnavailable,
}

func statusOf(code domain.Code) int {
	if status, known := statuses[code]; known {
		return status
	}
	return http.StatusInternalServerError
}

const retryAfterSeconds = 1

// refusal turns any error into one that may be shown. What is not a refusal of
// ours and not a passing trouble is logged and answered without detail.
func (s *Server) refusal(c *gin.Context, err error) *domain.Error {
	var refusal *domain.Error
	var unsettled *ledger.UnsettledError
	switch {
	case errors.As(err, &refusal):
		return refusal
	case errors.As(err, &unsettled) && errors.Is(err, projections.ErrBehind):
		c.Header(headerPosition, strconv.FormatUint(uint64(unsettled.Position), 10))
		return domain.Refuse(domain.CodeReadModelBehind, "this was done and is recorded, but cannot be read yet: wait for the position, "+
			"or repeat the request with the same Idempotency-Key for the answer").With("position", unsettled.Position)
	case errors.Is(err, readmodels.ErrNotFound):
		return domain.Refuse(domain.CodeNotFound, "there is no such thing")
	case missesSchema(err):
		return s.refuseForSchema(c, err)
	case errors.Is(err, readmodels.ErrBadCursor):
		return domain.Invalid("cursor", "is not one that this list gave out", nil)
	case errors.Is(err, projections.ErrBehind):
		return domain.Refuse(domain.CodeReadModelBehind, "the read model has not caught up yet; try again")
	case errors.Is(err, ledger.ErrTooLarge):
		return domain.Invalid("body", "makes an event that is too large", ledger.MaxRecordSize)
	case errors.As(err, new(*ledger.LostError)):
		s.log(c, slog.LevelWarn, "refused: the ledger has lost events", err)
		return domain.Refuse(domain.CodeUnavailable, "the ledger lacks events that it had, so nothing is written and no token is vouched for: "+
			"an operator has to put the right store back, or to say that the loss is accepted")
	case errors.As(err, new(*ledger.InterferedError)):
		s.log(c, slog.LevelWarn, "refused: a stream of the ledger was interfered with, see docs/runbooks/broken-chain.md", err)
		return domain.Refuse(domain.CodeUnavailable, "somebody has laid hands on the records that this rests on, in the event store, so nothing is decided by them: "+
			"an operator has to undo it; agentidp ledger verify --live says what was done")
	case errors.Is(err, ledger.ErrDenied):
		s.log(c, slog.LevelError, "refused: see docs/runbooks/eventstoredb.md", err)
		return domain.Refuse(domain.CodeUnavailable, "the event store denies this server access to the records that this rests on: an operator has to give it")
	case errors.Is(err, ledger.ErrUnavailable), errors.Is(err, revocation.ErrStale), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		level := slog.LevelWarn
		if c.Request.Context().Err() != nil {
			level = slog.LevelDebug // the caller has gone: that is no trouble of ours
		}
		s.log(c, level, "unavailable", err)
		return domain.Refuse(domain.CodeUnavailable, "a service that this depends on is not available right now; try again")
	}
	s.log(c, slog.LevelError, "internal error", err)
	return domain.Refuse(codeInternal, "something went wrong on our side; quote the request id when you report it")
}

func (s *Server) log(c *gin.Context, level slog.Level, message string, err error) {
	s.logger.Log(c.Request.Context(), level, message,
		"error", err, "requestId", requestID(c), "method", c.Request.Method, "route", c.FullPath())
}

// fail ends a request with an error, in the shape that its path promises.
func (s *Server) fail(c *gin.Context, err error) {
	refusal := s.refusal(c, s.limitUnadmitted(c, err))
	status := statusOf(refusal.Code)
	s.sayWhenToRetry(c, status, refusal)
	if isOAuthPath(c.Request.URL.Path) {
		s.failOAuth(c, status, refusal)
		return
	}
	c.AbortWithStatusPureJSON(status, restError{Code: refusal.Code, Message: refusal.Message, Details: refusal.Details})
}

// detailResetAt is the detail that says when it is worth trying again.
const detailResetAt = "resetAt"

func (s *Server) sayWhenToRetry(c *gin.Context, status int, refusal *domain.Error) {
	seconds := int64(retryAfterSeconds)
	if status != http.StatusTooManyRequests && status != http.StatusServiceUnavailable {
		return
	}
	if reset, known := refusal.Details[detailResetAt].(time.Time); known {
		seconds = max(seconds, ceilSeconds(reset.Sub(s.now())))
	}
	c.Header("Retry-After", strconv.FormatInt(seconds, 10))
}

func ceilSeconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

type restError struct {
	Code    domain.Code    `json:"code"`
	Message string         `json:"message"`
	Details map[string]any `json:"details,omitempty"`
}

// oauthError is RFC 6749 section 5.2.
type oauthError struct {
	Error       string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

func (s *Server) failOAuth(c *gin.Context, status int, refusal *domain.Error) {
	name := "invalid_request"
	switch {
	case refusal.Code == domain.CodeScopeNotAllowed:
		name, status = "invalid_scope", http.StatusBadRequest
	case refusal.Code == domain.CodeUnauthorized:
		name = "invalid_token" // RFC 6750 section 3.1; client authentication answers by itself
	case refusal.Code == domain.CodeInsufficientScope:
		name = "insufficient_scope"
	case status == http.StatusServiceUnavailable, status == http.StatusTooManyRequests:
		name = "temporarily_unavailable"
	case status == http.StatusInternalServerError:
		name = "server_error"
	}
	answerOAuthError(c, status, name, refusal.Message)
}

// neverCached sets what RFC 6749 section 5.1 asks for: Pragma for caches that
// know nothing newer.
func neverCached(c *gin.Context) {
	c.Header("Cache-Control", "no-store")
	c.Header("Pragma", "no-cache")
}

func answerOAuthError(c *gin.Context, status int, name, description string) {
	neverCached(c)
	c.AbortWithStatusPureJSON(status, oauthError{Error: name, Description: printable(description)})
}

// printable keeps to the characters that RFC 6749 section 5.2 allows in an
// error_description.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e || r == '"' || r == '\\' {
			return '\''
		}
		return r
	}, s)
}

// isOAuthPath reports whether errors are those of RFC 6749. What is below the
// token endpoint itself, delegation, is no standard's and answers as REST does.
func isOAuthPath(path string) bool {
	return strings.HasPrefix(path, "/oauth2/") && !strings.HasPrefix(path, tokenPath+"/") || path == "/api/v1/token" || strings.HasPrefix(path, "/api/v1/token/")
}

// rejectRequest answers what the OpenAPI document does not allow.
func (s *Server) rejectRequest(c *gin.Context, _ int, code, message string, details map[string]any) {
	s.fail(c, &domain.Error{Code: domain.Code(code), Message: message, Details: details})
}
