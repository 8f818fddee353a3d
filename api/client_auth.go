package api

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/sentryagent/agentidp/domain"
)

const (
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" // RFC 7523 section 2.2
	// maxAssertionLife bounds how far ahead an assertion may expire, and with
	// it how long its jti has to be remembered.
	maxAssertionLife = 10 * time.Minute
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
	form := c.Request.PostForm
	basicID, basicSecret, basic := c.Request.BasicAuth()
	assertion := form.Has("client_assertion") || form.Has("client_assertion_type")
	switch {
	case count(c.GetHeader("Authorization") != "", form.Has("client_secret"), assertion) > 1:
		return client{}, &protocolError{"invalid_request", "use one way of client authentication, not several"}
	case assertion:
		return s.identifyByAssertion(c)
	case basic:
		return s.identifyByBasic(form, basicID, basicSecret)
	case form.Get("client_id") == "" || form.Get("client_secret") == "":
		return client{}, &domain.AuthError{Reason: domain.AuthUnknownClient}
	}
	return s.identifyBySecret(form.Get("client_id"), form.Get("client_secret"))
}

// identifyByBasic: RFC 6749 section 2.3.1, both parts form-encoded.
func (s *Server) identifyByBasic(form url.Values, rawID, rawSecret string) (client, error) {
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
	text := form.Get("client_assertion")
	var claims jwt.RegisteredClaims
	if _, _, err := jwt.NewParser().ParseUnverified(text, &claims); err != nil {
		return client{}, &domain.AuthError{Reason: domain.AuthBadAssertion}
	}
	agentID, err := domain.ParseAgentID(claims.Subject)
	if err != nil || (form.Has("client_id") && form.Get("client_id") != claims.Subject) {
		return client{}, &domain.AuthError{Reason: domain.AuthBadAssertion}
	}
	agent, err := s.ledger.Agent(c.Request.Context(), agentID)
	if err != nil {
		return client{}, err
	}
	for _, credential := range agent.Credentials {
		if credential.Kind == domain.KeyCredential && s.verifyAssertion(text, credential.PublicKey) {
			proof := domain.Proof{CredentialID: credential.ID, PublicKey: credential.PublicKey}
			return client{agentID: agentID, proof: proof}, s.useOnce(c.Request.Context(), agentID, claims)
		}
	}
	return client{agentID: agentID}, &domain.AuthError{Reason: domain.AuthBadAssertion}
}

// verifyAssertion checks signature and claims with one key.
func (s *Server) verifyAssertion(text string, publicKey json.RawMessage) bool {
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(publicKey); err != nil {
		return false
	}
	var claims jwt.RegisteredClaims
	_, err := jwt.NewParser(
		jwt.WithValidMethods([]string{assertionAlgorithm(key)}),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
		jwt.WithTimeFunc(s.now),
	).ParseWithClaims(text, &claims, func(*jwt.Token) (any, error) { return key.Key, nil })
	return err == nil && claims.ID != "" && claims.Issuer == claims.Subject &&
		len(claims.Audience) == 1 && (claims.Audience[0] == s.issuer || claims.Audience[0] == s.issuer+tokenPath) &&
		claims.ExpiresAt.Before(s.now().Add(maxAssertionLife))
}

func assertionAlgorithm(key jose.JSONWebKey) string {
	if key.Algorithm != "" {
		return key.Algorithm
	}
	if _, isEC := key.Key.(*ecdsa.PublicKey); isEC {
		return jwt.SigningMethodES256.Alg()
	}
	return jwt.SigningMethodRS256.Alg()
}

func (s *Server) useOnce(ctx context.Context, agentID domain.AgentID, claims jwt.RegisteredClaims) error {
	first, err := s.assertions.Use(ctx, agentID, claims.ID, claims.ExpiresAt.Time)
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
	who, err := s.identifyClient(c)
	if err != nil {
		return domain.Agent{}, s.recordFailure(c, who.agentID, err)
	}
	agent, err := s.ledger.Agent(c.Request.Context(), who.agentID)
	if err != nil {
		return agent, err
	}
	if _, err := agent.Authenticate(who.proof, s.now()); err != nil {
		return agent, s.recordFailure(c, who.agentID, err)
	}
	if err := s.revocations.Sync(c.Request.Context()); err != nil {
		return agent, err
	}
	if !s.revocations.OrganizationActive(agent.OrganizationID) {
		return agent, s.recordFailure(c, who.agentID, &domain.AuthError{Reason: domain.AuthOrganizationInactive})
	}
	return agent, s.admit(c, domain.Caller{AgentID: agent.ID, OrganizationID: agent.OrganizationID})
}

// recordFailure puts a failed authentication on record, counts it, and gives
// the error back, or the refusal of an attempt too many.
func (s *Server) recordFailure(c *gin.Context, id domain.AgentID, err error) error {
	var failure *domain.AuthError
	if !errors.As(err, &failure) {
		return err
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
	if recordErr := s.ledger.RecordAuthFailure(c.Request.Context(), s.origin(c), organization, clientID, failure.Reason); recordErr != nil {
		return recordErr
	}
	if tooMany := s.countFailure(c); tooMany != nil {
		return tooMany
	}
	return err
}

// failClient answers a failed client authentication or a request that does not
// fit the protocol (RFC 6749 section 5.2). Why authentication failed stays
// with us.
func (s *Server) failClient(c *gin.Context, err error) {
	err = s.limitUnadmitted(c, err)
	var failure *domain.AuthError
	var protocol *protocolError
	switch {
	case errors.As(err, &protocol):
		answerOAuthError(c, http.StatusBadRequest, protocol.name, protocol.description)
	case errors.As(err, &failure):
		if strings.HasPrefix(strings.ToLower(c.GetHeader("Authorization")), "basic ") {
			c.Header("WWW-Authenticate", `Basic realm="agentidp"`)
		}
		answerOAuthError(c, http.StatusUnauthorized, "invalid_client", "client authentication failed")
	default:
		s.fail(c, err)
	}
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
