package history

import (
	"context"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
)

// Email is what an agent was registered as, which never changes; "" when there is
// no such agent.
func (h *History) Email(ctx context.Context, id domain.AgentID) (string, error) {
	for event, err := range eventstore.ReadWhole(ctx, h.source.Events, domain.AgentStream(id)) {
		if err != nil {
			return "", err
		}
		record, err := event.Decode()
		if err != nil {
			return "", err
		}
		fact, err := domain.Decode(domain.Type(record.Type), record.Schema, record.Data)
		if created, is := fact.(domain.AgentCreated); is {
			return created.Email, err
		}
		return "", err
	}
	return "", nil
}
