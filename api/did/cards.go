package did

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/wire"
	"github.com/sentryagent/agentidp/domain"
)

// getCard serves the card of an active agent in the format that is asked for.
func (h *Handler) getCard(c *gin.Context) error {
	switch format := c.Query("format"); format {
	case "", "simple":
		agent, err := h.active(c)
		if err != nil {
			return err
		}
		c.JSON(http.StatusOK, wire.AgentCard(agent, h.didOf(agent), h.Issuer))
		return nil
	case "a2a":
		return h.getA2ACard(c)
	default:
		return domain.Invalid("format", "must be one of simple, a2a", []string{"simple", "a2a"})
	}
}

// active finds the agent that the path names, where it may have a card.
func (h *Handler) active(c *gin.Context) (domain.Agent, error) {
	agent, err := h.shown(c)
	if err == nil && agent.Status != domain.AgentActive {
		return agent, domain.Refuse(domain.CodeAgentNotFound, "the agent is suspended, and only active ones have a card")
	}
	return agent, err
}
