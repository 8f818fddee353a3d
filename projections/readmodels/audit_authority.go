package readmodels

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/follow"
)

// By whose authority something was done follows from the token it was done with:
// the record names the token's issuance as its causation, and that event names
// the delegation and whom the token acts for. Such issuances are few; the trail
// keeps them in a table of their own, to find them again by their ids.

// lent is authority that a token was issued under.
type lent struct {
	delegation domain.DelegationID // the link that was exchanged
	subject    domain.AgentID      // who lent it first, at the root of the chain
}

// lentAuthority has what tokens act under, by the event of their issuance.
// Tokens that act for their own agent are not in there.
type lentAuthority map[uuid.UUID]lent

// of is what an event was done under, zero when under nothing lent. An issuance
// under a delegation is itself done under that.
func (a lentAuthority) of(e follow.Event) lent {
	if issued, under := issuedUnder(e); under {
		return issued
	}
	return a[e.Causation]
}

func issuedUnder(e follow.Event) (lent, bool) {
	issued, ok := e.Fact.(domain.TokenIssued)
	if !ok || issued.Delegation == nil || issued.Subject == nil {
		return lent{}, false
	}
	return lent{delegation: *issued.Delegation, subject: *issued.Subject}, true
}

const (
	storeDelegatedTokens = `INSERT INTO delegated_tokens (event_id, organization_id, delegation, on_behalf_of)
		SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[]) ON CONFLICT (event_id) DO NOTHING`
	selectDelegatedTokens = `SELECT event_id, delegation, on_behalf_of FROM delegated_tokens WHERE event_id = ANY($1)`
)

// authorities stores which of the events issue tokens under a delegation, and
// gives what the causes of the events were issued under. A cause is earlier in
// the ledger than what it led to.
func authorities(ctx context.Context, tx pgx.Tx, events []follow.Event) (lentAuthority, error) {
	known := make(lentAuthority)
	var issuances []follow.Event
	causes := make(map[uuid.UUID]bool)
	for _, e := range events {
		if l, under := issuedUnder(e); under {
			known[e.ID] = l
			issuances = append(issuances, e)
		}
		if e.Causation != uuid.Nil {
			causes[e.Causation] = true
		}
	}
	if len(issuances) > 0 {
		_, err := tx.Exec(ctx, storeDelegatedTokens,
			column(issuances, func(e follow.Event) pgtype.UUID { return dbID(e.ID) }),
			column(issuances, func(e follow.Event) pgtype.UUID { return dbID(e.Organization) }),
			column(issuances, func(e follow.Event) pgtype.UUID { return dbID(known[e.ID].delegation.UUID) }),
			column(issuances, func(e follow.Event) pgtype.UUID { return dbID(known[e.ID].subject.UUID) }))
		if err != nil {
			return nil, err
		}
	}
	var earlier pgtype.FlatArray[pgtype.UUID]
	for id := range causes {
		if _, here := known[id]; !here {
			earlier = append(earlier, dbID(id))
		}
	}
	if len(earlier) == 0 {
		return known, nil
	}
	rows, err := tx.Query(ctx, selectDelegatedTokens, earlier)
	if err != nil {
		return nil, err
	}
	var id uuid.UUID
	var l lent
	_, err = pgx.ForEachRow(rows, []any{&id, &l.delegation.UUID, &l.subject.UUID}, func() error {
		known[id] = l
		return nil
	})
	return known, err
}

// actorOf is the id of the agent or the trust policy that did something, NULL of
// others: they have names.
func actorOf(e follow.Event) pgtype.UUID {
	id, err := uuid.Parse(e.Actor.ID)
	if err != nil {
		return pgtype.UUID{}
	}
	return dbID(id)
}
