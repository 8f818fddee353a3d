package did

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/gowebpki/jcs"

	"github.com/sentryagent/agentidp/domain"
)

// extensionURI names what we add to a card: who the agent is, as a DID.
const extensionURI = "https://github.com/sentryagent/agentidp/extensions/did/v1"

const tokenPath = "/oauth2/token"

// card is an AgentCard of A2A 1.0. What has nothing to say is left out, never empty
// and never false: readers that drop such members would break the signature.
type card struct {
	Name            string            `json:"name"`
	Description     string            `json:"description"`
	Interfaces      []iface           `json:"supportedInterfaces"`
	Provider        provider          `json:"provider"`
	Version         string            `json:"version"`
	Capabilities    capabilities      `json:"capabilities"`
	SecuritySchemes map[string]scheme `json:"securitySchemes"`
	InputModes      []string          `json:"defaultInputModes"`
	OutputModes     []string          `json:"defaultOutputModes"`
	Skills          []skill           `json:"skills"`
	Signatures      []cardSignature   `json:"signatures,omitempty"`
}

type iface struct {
	URL      string `json:"url"`
	Binding  string `json:"protocolBinding"`
	Protocol string `json:"protocolVersion"`
}

type provider struct {
	Organization string `json:"organization"`
	URL          string `json:"url"`
}

type capabilities struct {
	Extensions []extension `json:"extensions"`
}

type extension struct {
	URI         string            `json:"uri"`
	Description string            `json:"description"`
	Required    bool              `json:"required"`
	Params      map[string]string `json:"params"`
}

type scheme struct {
	OAuth2 *oauth2Scheme `json:"oauth2SecurityScheme,omitempty"`
}

type oauth2Scheme struct {
	Flows       map[string]flow `json:"flows"`
	MetadataURL string          `json:"oauth2MetadataUrl"`
}

type flow struct {
	TokenURL string            `json:"tokenUrl"`
	Scopes   map[string]string `json:"scopes"`
}

type skill struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Tags        []string `json:"tags"`
}

// cardSignature is a JWS (RFC 7515) whose payload is the card without its signatures,
// in the canonical form of RFC 8785.
type cardSignature struct {
	Protected string `json:"protected"`
	Signature string `json:"signature"`
}

// getA2ACard serves the card of an active agent, signed by the server's DID.
func (h *Handler) getA2ACard(c *gin.Context) error {
	agent, err := h.active(c)
	if err != nil {
		return err
	}
	made := h.a2aCard(agent)
	signature, err := h.signCard(made)
	if err != nil {
		return err
	}
	made.Signatures = []cardSignature{signature}
	c.PureJSON(http.StatusOK, made)
	return nil
}

// a2aCard describes what is on record. Where the agent itself answers is not known
// here, so the one interface is its record in the registry.
func (h *Handler) a2aCard(a domain.Agent) card {
	did, record := h.didOf(a), h.PublicURL+"/api/v1/agents/"+a.ID.String()
	description := a.Profile.Description
	if strings.TrimSpace(description) == "" {
		description = string(a.Profile.AgentType) + " agent"
	}
	return card{
		Name: a.Email, Description: description, Version: a.Profile.Version,
		Interfaces: []iface{{URL: record, Binding: "AgentIdP", Protocol: "1.0"}},
		Provider:   provider{Organization: a.Profile.Owner, URL: h.PublicURL},
		Capabilities: capabilities{Extensions: []extension{{
			URI: extensionURI, Description: "Who the agent is: its DID, and where its document is.", Required: true,
			Params: map[string]string{
				"did": did, "didDocument": h.PublicURL + "/agents/" + a.ID.String() + "/did.json", "identityProvider": h.Issuer,
				"agentType": string(a.Profile.AgentType), "deploymentEnv": string(a.Profile.DeploymentEnv),
			},
		}}},
		SecuritySchemes: map[string]scheme{"oauth": {OAuth2: &oauth2Scheme{
			Flows: map[string]flow{"clientCredentials": {
				TokenURL: h.PublicURL + tokenPath, Scopes: map[string]string{string(domain.ScopeAgentsRead): "Read agents"},
			}},
			MetadataURL: h.PublicURL + "/.well-known/oauth-authorization-server",
		}}},
		InputModes: []string{"application/json"}, OutputModes: []string{"application/json"},
		Skills: skillsOf(a),
	}
}

// skillsOf is one skill for each capability, else one for what the agent is.
func skillsOf(a domain.Agent) []skill {
	kind := string(a.Profile.AgentType)
	if len(a.Profile.Capabilities) == 0 {
		return []skill{{ID: kind, Name: kind, Description: kind + " agent", Tags: []string{kind}}}
	}
	skills := make([]skill, len(a.Profile.Capabilities))
	for i, capability := range a.Profile.Capabilities {
		resource, action, _ := strings.Cut(capability, ":")
		skills[i] = skill{ID: capability, Name: capability, Description: action + " on " + resource, Tags: []string{resource, action}}
	}
	return skills
}

func (h *Handler) signCard(unsigned card) (signed cardSignature, err error) {
	header, err := json.Marshal(map[string]string{
		"alg": "ES256", "kid": h.Instance.keyID(), "typ": "JOSE", "jku": h.PublicURL + keysPath,
	})
	if err != nil {
		return signed, err
	}
	text, err := json.Marshal(unsigned)
	if err != nil {
		return signed, err
	}
	payload, err := jcs.Transform(text)
	if err != nil {
		return signed, err
	}
	encode := base64.RawURLEncoding.EncodeToString
	signed.Protected = encode(header)
	signature, err := h.Instance.Sign([]byte(signed.Protected + "." + encode(payload)))
	signed.Signature = encode(signature)
	return signed, err
}
