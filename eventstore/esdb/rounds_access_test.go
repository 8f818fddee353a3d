package esdb_test

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/ledger"
)

// revokeAgent ends all access of an agent, and gives it a new credential where that
// included the one it had.
func (t *tenant) revokeAgent(ctx context.Context, node *life, m *member, credentials bool) error {
	done := t.beginRevokingAll(m.id.UUID, credentials, []*member{m}, func(l loan) bool { return l.from == m || l.to == m })
	outcome, err := node.ledger.RevokeAgentsAccess(ctx, ledger.System(), m.id,
		domain.RevokeAgentsAccess{Caller: t.operator, Reason: "a round", Credentials: credentials})
	return t.revokedAll(ctx, node, done, outcome.EventIDs, outcome.Positions, err)
}

// revokeOrganization does that to all agents.
func (t *tenant) revokeOrganization(ctx context.Context, node *life, credentials bool) error {
	done := t.beginRevokingAll(t.id.UUID, credentials, t.agents, func(loan) bool { return true })
	outcome, err := node.ledger.RevokeOrganizationsAccess(ctx, ledger.System(), t.id,
		domain.RevokeOrganizationsAccess{Caller: t.operator, Reason: "a round", Credentials: credentials})
	return t.revokedAll(ctx, node, done, outcome.EventIDs, outcome.Positions, err)
}

// revocationOfAll is what one event ends: tokens of the owner from before it, and
// for good what is lent and the credentials.
type revocationOfAll struct {
	tokens  *act
	forGood []*act
	opens   []*member // that need a new credential
}

func (t *tenant) beginRevokingAll(owner uuid.UUID, credentials bool, agents []*member, lent func(loan) bool) revocationOfAll {
	r := revocationOfAll{tokens: t.truth.begin("all access revoked", true, owner)}
	t.mu.Lock()
	loans := slices.Clone(t.lent)
	t.mu.Unlock()
	for _, l := range loans {
		if lent(l) {
			r.forGood = append(r.forGood, t.truth.begin("delegation ended with all access", true, l.id.UUID))
		}
	}
	if credentials {
		for _, m := range agents {
			r.forGood = append(r.forGood, t.truth.begin("credential ended with all access", true, m.with().UUID))
		}
		r.opens = agents
	}
	return r
}

func (t *tenant) revokedAll(
	ctx context.Context, node *life, r revocationOfAll, ids []uuid.UUID, at []eventstore.Position, err error,
) error {
	if err == nil {
		t.truth.done(r.tokens, ids, at)
		for _, a := range r.forGood {
			t.truth.done(a, nil, []eventstore.Position{whole})
		}
	}
	for _, m := range r.opens {
		if opened := t.open(ctx, node.ledger, m); err == nil {
			err = opened
		}
	}
	return err
}
