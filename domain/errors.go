package domain

import (
	"fmt"
	"maps"
)

// Code classifies an [Error]. The codes are the product's public ones; which
// HTTP status each has is decided in api/router.
type Code string

const (
	CodeValidation               Code = "VALIDATION_ERROR"
	CodeScopeExceedsDelegator    Code = "SCOPE_EXCEEDS_DELEGATOR"
	CodeCrossTenantDelegation    Code = "CROSS_TENANT_DELEGATION"
	CodeUnauthorized             Code = "UNAUTHORIZED"
	CodeCrossTenant              Code = "AUTHORIZATION_ERROR"
	CodeInsufficientScope        Code = "INSUFFICIENT_SCOPE"
	CodeScopeNotAllowed          Code = "SCOPE_NOT_ALLOWED"
	CodeAgentSuspended           Code = "AGENT_SUSPENDED"
	CodeAgentDecommissioned      Code = "AGENT_DECOMMISSIONED"
	CodeAgentCap                 Code = "FREE_TIER_LIMIT_EXCEEDED"
	CodeTierLimit                Code = "TIER_LIMIT_EXCEEDED"
	CodeAgentNotFound            Code = "AGENT_NOT_FOUND"
	CodeCredentialNotFound       Code = "CREDENTIAL_NOT_FOUND"
	CodeOrganizationNotFound     Code = "ORG_NOT_FOUND"
	CodeMemberNotFound           Code = "MEMBER_NOT_FOUND"
	CodeDelegationNotFound       Code = "DELEGATION_NOT_FOUND"
	CodePartnerNotFound          Code = "PARTNER_NOT_FOUND"
	CodeNotFound                 Code = "NOT_FOUND"
	CodeAgentExists              Code = "AGENT_ALREADY_EXISTS"
	CodeSlugTaken                Code = "ORG_SLUG_TAKEN"
	CodeHasActiveAgents          Code = "ORG_HAS_ACTIVE_AGENTS"
	CodeAlreadyMember            Code = "ALREADY_MEMBER"
	CodeCredentialAlreadyRevoked Code = "CREDENTIAL_ALREADY_REVOKED"
	CodeAlreadyDecommissioned    Code = "AGENT_ALREADY_DECOMMISSIONED"
	CodeConflict                 Code = "CONFLICT"
	CodePreconditionFailed       Code = "PRECONDITION_FAILED"
	CodeIdempotencyKeyReused     Code = "IDEMPOTENCY_KEY_REUSED"
	CodeUnavailable              Code = "SERVICE_UNAVAILABLE"
	CodeReadModelBehind          Code = "READ_MODEL_BEHIND"
)

// Error is a refusal that the caller can do something about. Message is for a
// person; Details name the field and the bound that was missed. Neither ever
// holds a secret.
type Error struct {
	Code    Code
	Message string
	Details map[string]any
}

func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// Is matches errors by code, so that errors.Is(err, &Error{Code: CodeConflict}) works.
func (e *Error) Is(target error) bool {
	other, ok := target.(*Error)
	return ok && other.Code == e.Code
}

// Refuse makes an [Error].
func Refuse(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// With adds a detail.
func (e *Error) With(key string, value any) *Error {
	details := make(map[string]any, len(e.Details)+1)
	maps.Copy(details, e.Details)
	details[key] = value
	return &Error{Code: e.Code, Message: e.Message, Details: details}
}

// Invalid is a validation error about one field; bound may be nil.
func Invalid(field, message string, bound any) *Error {
	e := Refuse(CodeValidation, "%s %s", field, message).With("field", field)
	if bound != nil {
		e = e.With("bound", bound)
	}
	return e
}
