package clientauth

import (
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/access"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
)

// noClient is a request without client authentication of any kind. Saying how
// it is done tells nobody anything.
type noClient struct{}

var errNoClient error = noClient{}

func (noClient) Error() string { return "no client authentication" }
func (noClient) Unwrap() error { return &domain.AuthError{Reason: domain.AuthUnknownClient} }

const howToAuthenticate = "client authentication is missing: send the client id and the secret by HTTP Basic or as client_id and " +
	"client_secret in the form, or a client_assertion signed with the key of the client"

func badRequest(description string) error {
	return &router.OAuthError{Status: http.StatusBadRequest, Name: "invalid_request", Description: description}
}

// Failed puts a failed authentication on record, counts it, and gives the error
// back, or the refusal of an attempt too many. Any other error is only given back.
func (cs *Clients) Failed(c *gin.Context, id domain.AgentID, err error) error {
	var failure *domain.AuthError
	if !errors.As(err, &failure) {
		return err
	}
	repeated, repeatErr := cs.repeated(c)
	if repeatErr != nil {
		return repeatErr
	}
	if repeated {
		return cs.passRepeated(c, err)
	}
	cs.failed.WithLabelValues(string(failure.Reason)).Inc()
	// What is no client id may well be a secret in the wrong field.
	clientID := "(not a client id)"
	if presented, err := domain.ParseAgentID(c.Request.PostForm.Get("client_id")); err == nil {
		clientID = presented.String()
	}
	if !id.IsZero() {
		clientID = id.String()
	}
	var organization domain.OrganizationID
	if failure.Reason != domain.AuthUnknownClient && !id.IsZero() {
		if agent, err := cs.ledger.Agent(c.Request.Context(), id); err == nil {
			organization = agent.OrganizationID
		}
	}
	if recordErr := cs.ledger.RecordAuthFailure(c.Request.Context(), access.Origin(c), organization, clientID, failure.Reason); recordErr != nil {
		return recordErr
	}
	if tooMany := cs.countFailure(c); tooMany != nil {
		return tooMany
	}
	return err
}

// Refusal makes of a failed client authentication the error of RFC 6749 section
// 5.2. Why authentication failed stays with us. Any other error is given back.
func Refusal(c *gin.Context, err error) error {
	if !errors.As(err, new(*domain.AuthError)) {
		return err
	}
	if access.ReadAuthorization(c.Request).Scheme == access.Basic {
		c.Header("WWW-Authenticate", `Basic realm="agentidp"`)
	}
	return &router.OAuthError{Status: http.StatusUnauthorized, Name: "invalid_client", Description: toldOf(err)}
}

// toldOf is what a client may know of why its authentication failed: what
// stands in its own request, and nothing about itself or its credentials.
func toldOf(err error) string {
	var bad *badAssertion
	switch {
	case errors.Is(err, errNoClient):
		return howToAuthenticate
	case errors.As(err, &bad):
		return bad.description
	}
	return "client authentication failed"
}
