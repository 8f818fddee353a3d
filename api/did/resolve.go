package did

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/domain"
)

// resolution is a DID resolution result (W3C DID Resolution 0.3 section 4).
type resolution struct {
	Document           document           `json:"didDocument"`
	DocumentMetadata   documentMetadata   `json:"didDocumentMetadata"`
	ResolutionMetadata resolutionMetadata `json:"didResolutionMetadata"`
}

type documentMetadata struct {
	Created        string    `json:"created"`
	Updated        string    `json:"updated"`
	Deactivated    bool      `json:"deactivated"`
	RetiredMethods []retired `json:"retiredMethods"`
}

// retired is a method that held once. Signatures from before it was revoked can be
// checked with it, by whoever knows when they were made.
type retired struct {
	ID        string          `json:"id"`
	PublicKey json.RawMessage `json:"publicKeyJwk"`
	Revoked   string          `json:"revoked"`
}

type resolutionMetadata struct {
	ContentType string `json:"contentType"`
	Retrieved   string `json:"retrieved"`
}

func (h *Handler) resolve(c *gin.Context) error {
	agent, err := h.identity(c)
	if err != nil {
		return err
	}
	gone := agent.Status == domain.AgentIsGone
	if !gone && !agent.Keys.Exist() {
		return errNoDocument
	}
	did, keys := h.didOf(agent), agent.Keys
	created, updated := keys.CreatedAt, keys.UpdatedAt()
	if !keys.Exist() { // decommissioned before there were documents
		created = agent.CreatedAt
	}
	if agent.UpdatedAt.After(updated) {
		updated = agent.UpdatedAt
	}
	result := resolution{
		Document: h.agentDocument(agent),
		DocumentMetadata: documentMetadata{
			Created: seconds(created), Updated: seconds(updated), Deactivated: gone, RetiredMethods: []retired{},
		},
		ResolutionMetadata: resolutionMetadata{ContentType: documentType, Retrieved: seconds(h.Now())},
	}
	for _, key := range slices.Backward(keys.Retired) {
		result.DocumentMetadata.RetiredMethods = append(result.DocumentMetadata.RetiredMethods,
			retired{ID: did + key.Fragment(), PublicKey: key.PublicKey, Revoked: seconds(key.RevokedAt)})
	}
	return h.answer(c, resolutionType, result)
}

// seconds is a time as DID Core section 7.1.3 wants it: UTC, and no part of a second.
func seconds(t time.Time) string { return t.UTC().Format(time.RFC3339) }
