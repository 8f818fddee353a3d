package router

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

const (
	CodeInternal             domain.Code = "INTERNAL_SERVER_ERROR"
	CodePayloadTooLarge      domain.Code = "PAYLOAD_TOO_LARGE"
	CodeUnsupportedMediaType domain.Code = "UNSUPPORTED_MEDIA_TYPE"
	CodeMethodNotAllowed     domain.Code = "METHOD_NOT_ALLOWED"
	CodeRateLimit            domain.Code = "RATE_LIMIT_EXCEEDED"
	CodeComplianceDisabled   domain.Code = "COMPLIANCE_DISABLED"
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
	domain.CodePartnerNotFound:          http.StatusNotFound,
	CodeComplianceDisabled:              http.StatusNotFound,
	CodeMethodNotAllowed:                http.StatusMethodNotAllowed,
	domain.CodeAgentExists:              http.StatusConflict,
	domain.CodeSlugTaken:                http.StatusConflict,
	domain.CodeHasActiveAgents:          http.StatusConflict,
	domain.CodeAlreadyMember:            http.StatusConflict,
	domain.CodeCredentialAlreadyRevoked: http.StatusConflict,
	domain.CodeAlreadyDecommissioned:    http.StatusConflict,
	domain.CodeConflict:                 http.StatusConflict,
	domain.CodePreconditionFailed:       http.StatusPreconditionFailed,
	CodePayloadTooLarge:                 http.StatusRequestEntityTooLarge,
	CodeUnsupportedMediaType:            http.StatusUnsupportedMediaType,
	domain.CodeIdempotencyKeyReused:     http.StatusUnprocessableEntity,
	domain.CodeTierLimit:                http.StatusTooManyRequests,
	CodeRateLimit:                       http.StatusTooManyRequests,
	domain.CodeUnavailable:              http.StatusServiceUnavailable,
	domain.CodeReadModelBehind:          http.StatusServiceUnavailable,
}

// StatusOf is the HTTP status of a code.
func StatusOf(code domain.Code) int {
	if status, known := statuses[code]; known {
		return status
	}
	return http.StatusInternalServerError
}

// goneError is a refusal because what was asked for has been there and is no more.
type goneError struct{ refusal *domain.Error }

// Gone answers a refusal with 410, whatever status its code has elsewhere (RFC 9110
// section 15.5.11).
func Gone(refusal *domain.Error) error { return &goneError{refusal} }

func (e *goneError) Error() string { return e.refusal.Error() }

// Unwrap gives the refusal.
func (e *goneError) Unwrap() error { return e.refusal }

const retryAfterSeconds = 1

// refusal turns any error into one that may be shown. What is not a refusal of
// ours and not a passing trouble is logged and answered without detail.
func (r *Router) refusal(c *gin.Context, err error) *domain.Error {
	var refusal *domain.Error
	var unsettled *ledger.UnsettledError
	switch {
	case errors.As(err, &refusal):
		return refusal
	case errors.As(err, &unsettled) && errors.Is(err, projections.ErrBehind):
		c.Header(HeaderPosition, strconv.FormatUint(uint64(unsettled.Position), 10))
		return domain.Refuse(domain.CodeReadModelBehind, "this was done and is recorded, but cannot be read yet: wait for the position, "+
			"or repeat the request with the same Idempotency-Key for the answer").With("position", unsettled.Position)
	case errors.Is(err, readmodels.ErrNotFound):
		return domain.Refuse(domain.CodeNotFound, "there is no such thing")
	case missesSchema(err):
		return r.refuseForSchema(c, err)
	case errors.Is(err, readmodels.ErrBadCursor):
		return domain.Invalid("cursor", "is not one that this list gave out", nil)
	case errors.Is(err, projections.ErrBehind):
		return domain.Refuse(domain.CodeReadModelBehind, "the read model has not caught up yet; try again")
	case errors.Is(err, ledger.ErrTooLarge):
		return domain.Invalid("body", "makes an event that is too large", ledger.MaxRecordSize)
	case errors.As(err, new(*ledger.LostError)):
		r.log(c, slog.LevelWarn, "refused: the ledger has lost events", err)
		return domain.Refuse(domain.CodeUnavailable, "the ledger lacks events that it had, so nothing is written and no token is vouched for: "+
			"an operator has to put the right store back, or to say that the loss is accepted")
	case errors.As(err, new(*ledger.InterferedError)):
		r.log(c, slog.LevelWarn, "refused: a stream of the ledger was interfered with, see docs/runbooks/broken-chain.md", err)
		return domain.Refuse(domain.CodeUnavailable, "somebody has laid hands on the records that this rests on, in the event store, so nothing is decided by them: "+
			"an operator has to undo it; agentidp ledger verify --live says what was done")
	case errors.Is(err, ledger.ErrDenied):
		r.log(c, slog.LevelError, "refused: see docs/runbooks/eventstoredb.md", err)
		return domain.Refuse(domain.CodeUnavailable, "the event store denies this server access to the records that this rests on: an operator has to give it")
	case errors.Is(err, ledger.ErrUnavailable), errors.Is(err, revocation.ErrStale), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		level := slog.LevelWarn
		if c.Request.Context().Err() != nil {
			level = slog.LevelDebug // the caller has gone: that is no trouble of ours
		}
		r.log(c, level, "unavailable", err)
		return domain.Refuse(domain.CodeUnavailable, "a service that this depends on is not available right now; try again")
	}
	r.log(c, slog.LevelError, "internal error", err)
	return domain.Refuse(CodeInternal, "something went wrong on our side; quote the request id when you report it")
}

func (r *Router) log(c *gin.Context, level slog.Level, message string, err error) {
	r.options.Logger.Log(c.Request.Context(), level, message,
		"error", err, "requestId", RequestID(c), "method", c.Request.Method, "route", c.FullPath())
}

// ErrNothingHere is the answer at a path that does not exist.
var ErrNothingHere error = domain.Refuse(domain.CodeNotFound, "there is nothing at this path; see /docs")

// fail ends a request with an error, in the shape that its path promises.
func (r *Router) fail(c *gin.Context, err error) {
	if r.options.Refusing != nil {
		err = r.options.Refusing(c, err)
	}
	setCaching(c)
	if protocol, ok := errors.AsType[*OAuthError](err); ok {
		AnswerOAuthError(c, protocol.Status, protocol.Name, protocol.Description)
		return
	}
	refusal := r.refusal(c, err)
	status := StatusOf(refusal.Code)
	if errors.As(err, new(*goneError)) {
		status = http.StatusGone
	}
	r.sayWhenToRetry(c, status, refusal)
	if isOAuthPath(c.Request.URL.Path) {
		failOAuth(c, status, refusal)
		return
	}
	c.AbortWithStatusPureJSON(status, restErrorOf(refusal))
}

// DetailResetAt is the detail that says when it is worth trying again.
const DetailResetAt = "resetAt"

func (r *Router) sayWhenToRetry(c *gin.Context, status int, refusal *domain.Error) {
	seconds := int64(retryAfterSeconds)
	if status != http.StatusTooManyRequests && status != http.StatusServiceUnavailable {
		return
	}
	if reset, known := refusal.Details[DetailResetAt].(time.Time); known {
		seconds = max(seconds, CeilSeconds(reset.Sub(r.options.Now())))
	}
	c.Header("Retry-After", strconv.FormatInt(seconds, 10))
}

// CeilSeconds is a duration in whole seconds, never less than it is.
func CeilSeconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

type restError struct {
	Code    domain.Code    `json:"code"`
	Message string         `json:"message"`
	Details map[string]any `json:"details,omitempty"`
}

func restErrorOf(refusal *domain.Error) restError {
	return restError{Code: refusal.Code, Message: refusal.Message, Details: refusal.Details}
}

// UnavailableBody is the body of a 503 in the shape that a path promises.
func UnavailableBody(path, message string) any {
	if isOAuthPath(path) {
		return oauthErrorBody{"temporarily_unavailable", message}
	}
	return restErrorOf(domain.Refuse(domain.CodeUnavailable, "%s", message))
}
