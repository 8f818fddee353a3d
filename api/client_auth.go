package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/access"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger"
)

// client is an OAuth client and what it authenticates with. The proof is
// weighed together with whatever it is for.
type client struct {
	agentID domain.AgentID
	proof   domain.Proof
}

// protocolError is a request that RFC 6749 section 5.2 calls by another name
// than invalid_client.
type protocolError struct{ name, description string }

func (e *protocolError) Error() string { return e.name + ": " + e.description }

// identifyClient reads client authentication off a token, introspection or
// revocation request: client_secret_basic, client_secret_post or
// private_key_jwt, exactly one of them.
func (s *Server) identifyClient(c *gin.Context) (client, error) {
	if err := s.mayAuthenticate(c); err != nil {
		return client{}, err
	}
	form, header := c.Request.PostForm, access.ReadAuthorization(c.Request)
	byAssertion := form.Has("client_assertion") || form.Has("client_assertion_type")
	switch {
	case count(header.Sent(), form.Has("client_secret"), byAssertion) > 1:
		return client{}, &protocolError{"invalid_request", "use one way of client authentication, not several"}
	case byAssertion:
		return s.identifyByAssertion(c)
	case header.Scheme == access.Basic:
		return s.identifyByBasic(form, header)
	case !form.Has("client_secret"):
		return client{}, errNoClient
	case !form.Has("client_id"):
		return client{}, &domain.AuthError{Reason: domain.AuthUnknownClient}
	}
	return s.identifyBySecret(form.Get("client_id"), form.Get("client_secret"))
}

// noClient is a request without client authentication of any kind. Saying how
// it is done tells nobody anything.
type noClient struct{}

var errNoClient error = noClient{}

func (noClient) Error() string { return "no client authentication" }
func (noClient) Unwrap() error { return &domain.AuthError{Reason: domain.AuthUnknownClient} }

const howToAuthenticate = "client authentication is missing: send the client id and the secret by HTTP Basic or as client_id and " +
	"client_secret in the form, or a client_assertion signed with the key of the client"

// sendsClientAuthentication: the request names a client by more than its id.
func sendsClientAuthentication(c *gin.Context) bool {
	form := c.Request.PostForm
	return access.ReadAuthorization(c.Request).Sent() || form.Has("client_secret") || form.Has("client_assertion") || form.Has("client_assertion_type")
}

// identifyByBasic: RFC 6749 section 2.3.1, both parts form-encoded.
func (s *Server) identifyByBasic(form url.Values, header access.Authorization) (client, error) {
	rawID, rawSecret, _ := header.Userinfo()
	id, idErr := url.QueryUnescape(rawID)
	secret, secretErr := url.QueryUnescape(rawSecret)
	if idErr != nil || secretErr != nil {
		return client{}, &domain.AuthError{Reason: domain.AuthUnknownClient}
	}
	if form.Has("client_id") && form.Get("client_id") != id {
		return client{}, &protocolError{"invalid_request", "client_id differs from the one in the Authorization header"}
	}
	return s.identifyBySecret(id, secret)
}

func (s *Server) identifyBySecret(id, secret string) (client, error) {
	agentID, err := domain.ParseAgentID(id)
	if err != nil {
		return client{}, &domain.AuthError{Reason: domain.AuthUnknownClient}
	}
	return client{agentID: agentID, proof: domain.Proof{Secret: s.verifiers(secret)}}, nil
}

func (s *Server) verifiers(secret string) []domain.Verifier {
	verifiers := s.keys.Verifiers(secret)
	presented := make([]domain.Verifier, len(verifiers))
	for i, v := range verifiers {
		presented[i] = domain.Verifier{KeyID: v.KeyID, MAC: v.MAC}
	}
	return presented
}

// identifyByAssertion: RFC 7523 section 3.
func (s *Server) identifyByAssertion(c *gin.Context) (client, error) {
	form := c.Request.PostForm
	if form.Get("client_assertion_type") != assertionType {
		return client{}, &protocolError{"invalid_request", "client_assertion_type must be " + assertionType}
	}
	claimed, err := s.readAssertion(form.Get("client_assertion"))
	if err != nil {
		return client{}, err
	}
	if form.Has("client_id") && form.Get("client_id") != claimed.agentID.String() {
		return client{}, &badAssertion{"client_id and sub of client_assertion must be the same"}
	}
	agent, err := s.ledger.Agent(c.Request.Context(), claimed.agentID)
	if err != nil {
		return client{}, err
	}
	who := client{agentID: claimed.agentID}
	signer, err := s.signingCredential(agent, claimed)
	if err != nil {
		return who, err
	}
	who.proof = domain.Proof{CredentialID: signer.ID, PublicKey: signer.PublicKey}
	return who, s.useOnce(c.Request.Context(), claimed)
}

// useOnce refuses an assertion whose jti was used before, on any node. It is
// remembered for longer than any node would take it: the clocks of the nodes
// and of the database need not agree to the second.
func (s *Server) useOnce(ctx context.Context, used assertion) error {
	const margin = 5 * time.Minute
	first, err := s.assertions.Use(ctx, used.agentID, used.id, used.expiresAt.Add(clockSkew+margin))
	if err != nil {
		return err
	}
	if !first {
		return &domain.AuthError{Reason: domain.AuthReplayedAssertion}
	}
	return nil
}

// authenticateClient is for endpoints where being the client is all that counts.
func (s *Server) authenticateClient(c *gin.Context) (domain.Agent, error) {
	client, err := s.authenticate(c, s.ledger.AuthenticateNow)
	if err != nil {
		return client.Agent, err
	}
	return client.Agent, s.rates.Admit(c, domain.Caller{AgentID: client.Agent.ID, OrganizationID: client.Agent.OrganizationID})
}

// authenticate finds the client that a request comes from: at the token
// endpoint, for introspection and for revocation. Weigh holds the proof against the
// ledger, either way that the ledger does that. A failure has been put on record.
func (s *Server) authenticate(
	c *gin.Context, weigh func(context.Context, domain.AgentID, domain.Proof, time.Time) (ledger.Client, error),
) (ledger.Client, error) {
	who, err := s.identifyClient(c)
	if err != nil {
		return ledger.Client{}, s.recordFailure(c, who.agentID, err)
	}
	client, err := weigh(c.Request.Context(), who.agentID, who.proof, s.now())
	return client, s.recordFailure(c, who.agentID, err)
}

// recordFailure puts a failed authentication on record, counts it, and gives
// the error back, or the refusal of an attempt too many.
func (s *Server) recordFailure(c *gin.Context, id domain.AgentID, err error) error {
	var failure *domain.AuthError
	if !errors.As(err, &failure) {
		return err
	}
	repeated, repeatErr := s.repeated(c)
	if repeatErr != nil {
		return repeatErr
	}
	if repeated {
		return s.passRepeated(c, err)
	}
	s.metrics.authFailures.WithLabelValues(string(failure.Reason)).Inc()
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
		if agent, err := s.ledger.Agent(c.Request.Context(), id); err == nil {
			organization = agent.OrganizationID
		}
	}
	if recordErr := s.ledger.RecordAuthFailure(c.Request.Context(), access.Origin(c), organization, clientID, failure.Reason); recordErr != nil {
		return recordErr
	}
	if tooMany := s.countFailure(c); tooMany != nil {
		return tooMany
	}
	return err
}

// refuseClient makes of a failed client authentication, or of a request that does
// not fit the protocol, the error of RFC 6749 section 5.2. Why authentication
// failed stays with us.
func (s *Server) refuseClient(c *gin.Context, err error) error {
	var failure *domain.AuthError
	var protocol *protocolError
	switch {
	case errors.As(err, &protocol):
		return &router.OAuthError{Status: http.StatusBadRequest, Name: protocol.name, Description: protocol.description}
	case errors.As(err, &failure):
		if access.ReadAuthorization(c.Request).Scheme == access.Basic {
			c.Header("WWW-Authenticate", `Basic realm="agentidp"`)
		}
		return &router.OAuthError{Status: http.StatusUnauthorized, Name: "invalid_client", Description: toldOf(err)}
	}
	return err
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

func count(conditions ...bool) int {
	n := 0
	for _, condition := range conditions {
		if condition {
			n++
		}
	}
	return n
}
