package audit

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/oapi-codegen/nullable"

	"github.com/sentryagent/agentidp/api/access"
	"github.com/sentryagent/agentidp/api/gen"
	"github.com/sentryagent/agentidp/api/turns"
	"github.com/sentryagent/agentidp/api/wire"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/replay/history"
)

// getAgentState tells who an agent was at a moment, and what it could do.
func (h *Handler) getAgentState(c *gin.Context) error {
	id, err := domain.ParseAgentID(c.Param("agentId"))
	if err != nil {
		return err
	}
	moment, err := history.ParseMoment(c.Query("at"))
	if err != nil {
		return err
	}
	state, err := turns.In(c, h.Readers, func(ctx context.Context) (history.AgentState, error) {
		return h.History.Agent(ctx, access.Caller(c), id, moment)
	})
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, agentStateBody(state))
	return nil
}

func agentStateBody(s history.AgentState) gen.AgentState {
	return gen.AgentState{
		AgentID:          s.Agent.ID,
		At:               momentBody(s.At),
		Facts:            factsBody(s.Agent.Facts),
		Organization:     gen.OrganizationThen{OrganizationID: s.Organization.ID, Facts: factsBody(s.Organization.Facts)},
		Credentials:      wire.Mapped(s.Credentials, credentialThenBody),
		Delegations:      wire.Mapped(s.Delegations, delegationThenBody),
		DelegationsTotal: s.DelegationsTotal,
		Tokens: gen.TokensThen{
			Possible: s.Tokens.Possible, Scopes: wire.Scopes(s.Tokens.Scopes), Reasons: wire.Mapped(s.Tokens.Reasons, reasonBody),
			Lent: wire.Mapped(s.Tokens.Lent, lentBody),
		},
		Role: roleBody(s.Role),
	}
}

func roleBody(role *history.Fact) *gen.Fact {
	if role == nil {
		return nil
	}
	return &gen.Fact{Value: nullable.NewNullableWithValue(role.Value), Event: eventReferenceBody(role.Event)}
}

func lentBody(l history.Lent) gen.LentThen {
	return gen.LentThen{
		ChainID: l.ChainID.UUID, AgentID: l.From.UUID, Email: l.Email, Scopes: wire.Scopes(l.Scopes), ExpiresAt: wire.Time(l.Until),
	}
}

func momentBody(at history.At) gen.StateMoment {
	body := gen.StateMoment{Time: wire.Time(at.Time), Position: nullable.NewNullNullable[int64]()}
	if at.Position > 0 {
		body.Position = nullable.NewNullableWithValue(int64(at.Position))
	}
	return body
}

func credentialThenBody(s history.CredentialState) gen.CredentialThen {
	return gen.CredentialThen{CredentialID: s.ID, Usable: s.Usable, Facts: factsBody(s.Facts)}
}

func delegationThenBody(s history.DelegationState) gen.DelegationThen {
	return gen.DelegationThen{
		ChainID: s.ID, Role: gen.DelegationThenRole(s.Role), Alive: s.Alive,
		Reasons: wire.Mapped(s.Reasons, reasonBody), Facts: factsBody(s.Facts),
	}
}

func reasonBody(r history.Reason) gen.StateReason {
	return gen.StateReason{Code: gen.StateReasonCode(r.Code), Message: r.Message, Event: eventReferenceBody(r.Event)}
}

func factsBody(facts history.Facts) gen.Facts {
	body := make(gen.Facts, len(facts))
	for _, fact := range facts {
		value := fact.Value
		if t, isTime := value.(time.Time); isTime {
			value = wire.Time(t)
		}
		body[fact.Name] = gen.Fact{Value: nullable.NewNullableWithValue(value), Event: eventReferenceBody(fact.Event)}
	}
	return body
}

func eventReferenceBody(e history.EventRef) gen.EventReference {
	return gen.EventReference{
		EventID: e.EventID, Type: e.Type, Time: wire.Time(e.Time), Position: int64(e.Position),
		Stream: e.Stream, Revision: e.Revision, Hash: e.Hash.String(),
		Actor: gen.AuditActor{Kind: gen.AuditActorKind(e.Actor.Kind), ID: e.Actor.ID},
	}
}
