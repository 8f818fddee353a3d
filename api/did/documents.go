package did

import (
	"encoding/json"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
)

const (
	documentType   = "application/did+json"
	resolutionType = `application/ld+json;profile="https://w3id.org/did-resolution"`
)

// document is a DID document (W3C DID Core 1.0 section 5), as did:web resolvers read it.
type document struct {
	Context            []string `json:"@context"`
	ID                 string   `json:"id"`
	Controller         any      `json:"controller"` // one DID, or several
	VerificationMethod []method `json:"verificationMethod"`
	Authentication     []string `json:"authentication"`
	AssertionMethod    []string `json:"assertionMethod"`
	Service            []place  `json:"service"`
	Agent              *about   `json:"agntcy,omitempty"`
}

type method struct {
	ID         string          `json:"id"`
	Type       string          `json:"type"`
	Controller string          `json:"controller"`
	PublicKey  json.RawMessage `json:"publicKeyJwk"`
}

type place struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Endpoint string `json:"serviceEndpoint"`
}

// about is what AGNTCY wants to know of an agent.
type about struct {
	AgentID       uuid.UUID            `json:"agentId"`
	AgentType     domain.AgentType     `json:"agentType"`
	Capabilities  []string             `json:"capabilities"`
	DeploymentEnv domain.DeploymentEnv `json:"deploymentEnv"`
	Owner         string               `json:"owner"`
	Version       string               `json:"version"`
}

// documentOf is a document that shows the keys that hold now, and no others: who is
// not among the methods is out of trust.
func documentOf(did string, controller any, endpoint string, keys ...domain.DIDKey) document {
	d := document{
		Context:    []string{"https://www.w3.org/ns/did/v1", "https://w3id.org/security/suites/jws-2020/v1"},
		ID:         did,
		Controller: controller,
		Service:    []place{{ID: did + "#agentIdP", Type: "AgentIdP", Endpoint: endpoint}},

		VerificationMethod: []method{}, Authentication: []string{}, AssertionMethod: []string{},
	}
	for _, key := range keys {
		if key.Number == 0 {
			continue
		}
		id := did + key.Fragment()
		d.VerificationMethod = append(d.VerificationMethod, method{ID: id, Type: "JsonWebKey2020", Controller: did, PublicKey: key.PublicKey})
		d.Authentication = append(d.Authentication, id)
		d.AssertionMethod = append(d.AssertionMethod, id)
	}
	return d
}

func (h *Handler) agentDocument(a domain.Agent) document {
	did := h.didOf(a)
	d := documentOf(did, []string{did, h.Instance.DID}, h.PublicURL+"/api/v1/agents/"+a.ID.String(), a.Keys.Current)
	d.Agent = &about{
		AgentID: a.ID.UUID, AgentType: a.Profile.AgentType, Capabilities: a.Profile.Capabilities,
		DeploymentEnv: a.Profile.DeploymentEnv, Owner: a.Profile.Owner, Version: a.Profile.Version,
	}
	return d
}

// didOf is the agent's DID, which stays what it was when the agent was registered.
func (h *Handler) didOf(a domain.Agent) string {
	switch {
	case a.Keys.DID != "":
		return a.Keys.DID
	case a.DID != "":
		return a.DID
	}
	return h.DID(a.ID)
}

func (h *Handler) getDocument(c *gin.Context) error {
	agent, err := h.shown(c)
	if err != nil {
		return err
	}
	return h.answer(c, documentType, h.agentDocument(agent))
}

func (h *Handler) getInstanceDocument(c *gin.Context) error {
	key := domain.DIDKey{Number: h.Instance.Key.KeyNumber, PublicKey: h.Instance.Key.PublicKey}
	return h.answer(c, documentType, documentOf(h.Instance.DID, h.Instance.DID, h.PublicURL+"/api/v1", key))
}

// answer writes a document, or what has one in it, and counts it.
func (h *Handler) answer(c *gin.Context, mediaType string, content any) error {
	body, err := json.Marshal(content)
	if err != nil {
		return err
	}
	h.Generated.Inc()
	c.Data(http.StatusOK, mediaType, body)
	return nil
}

// keySet is a JWK set (RFC 7517 section 5).
type keySet struct {
	Keys []map[string]string `json:"keys"`
}

// getInstanceKeys serves the key that signs cards.
func (h *Handler) getInstanceKeys(c *gin.Context) error {
	key := map[string]string{}
	if err := json.Unmarshal(h.Instance.Key.PublicKey, &key); err != nil {
		return err
	}
	key["kid"], key["alg"], key["use"] = h.Instance.keyID(), "ES256", "sig"
	c.JSON(http.StatusOK, keySet{Keys: []map[string]string{key}})
	return nil
}
