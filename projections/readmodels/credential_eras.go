package readmodels

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/follow"
)

// credentialFold also knows the credentials that an event ends all at once: those
// of an agent, and those of an organization, which is in a new era then.
type credentialFold struct{ fold[Credential] }

const (
	endCredentials = `UPDATE credentials SET (status, revoked_at, changed_position) = ('revoked', $2, $3)
		WHERE status <> 'revoked' AND created_position < $3 AND changed_position < $3 AND `
	endAgentsCredentials        = endCredentials + `agent_id = $1`
	endOrganizationsCredentials = endCredentials + `organization_id = $1`

	storeEra = `INSERT INTO credential_eras AS e (organization_id, era, began_at) VALUES ($1, $2, $3)
		ON CONFLICT (organization_id) DO UPDATE SET (era, began_at) = (excluded.era, excluded.began_at) WHERE e.era < excluded.era`
	selectEras = `SELECT organization_id, era, began_at FROM credential_eras WHERE organization_id = ANY($1)`
)

func (f credentialFold) apply(ctx context.Context, tx pgx.Tx, events []follow.Event) error {
	revokesAll := func(e domain.Event) bool { return domain.EndingOf(e).Delegations } // with the credentials or without
	for stretch := range stretches(events, revokesAll) {
		first := stretch[0]
		var err error
		switch {
		case !revokesAll(first.Fact):
			err = f.applyInEra(ctx, tx, stretch)
		case domain.EndingOf(first.Fact).Credentials:
			err = endAllCredentials(ctx, tx, first)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func endAllCredentials(ctx context.Context, tx pgx.Tx, e follow.Event) error {
	if revoked, of := e.Fact.(domain.OrganizationAccessRevoked); of {
		if _, err := tx.Exec(ctx, storeEra, revoked.OrganizationID.UUID, revoked.Era, e.Time); err != nil {
			return err
		}
	}
	sql, owner := ofOwner(e.Fact, endAgentsCredentials, endOrganizationsCredentials)
	_, err := tx.Exec(ctx, sql, owner, e.Time, e.Position)
	return err
}

// ofOwner chooses between what is done to an agent's and to an organization's, and
// gives the one whose access an event ends.
func ofOwner(e domain.Event, agents, organizations string) (sql string, owner uuid.UUID) {
	if domain.EndingOf(e).Tokens == domain.OrganizationNoun {
		return organizations, domain.About(e).Organization.UUID
	}
	return agents, domain.About(e).Agent.UUID
}

// applyInEra folds events that are about one credential each. One that was made by
// who did not know yet that an era had begun is revoked from the start.
func (f credentialFold) applyInEra(ctx context.Context, tx pgx.Tx, events []follow.Event) error {
	eras, err := loadEras(ctx, tx, events)
	if err != nil {
		return err
	}
	if len(eras) > 0 {
		f.evolve = eras.evolve
	}
	return f.fold.apply(ctx, tx, events)
}

// eras are those that organizations are in, as far as they ever began one.
type eras map[uuid.UUID]era

type era struct {
	number int
	began  time.Time
}

// loadEras gives those that matter for the credentials which the events make.
func loadEras(ctx context.Context, tx pgx.Tx, events []follow.Event) (eras, error) {
	var ids pgtype.FlatArray[pgtype.UUID]
	for _, e := range events {
		if is[domain.CredentialGenerated](e.Fact) {
			ids = append(ids, dbID(e.Organization))
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	rows, err := tx.Query(ctx, selectEras, ids)
	if err != nil {
		return nil, err
	}
	known := make(eras)
	var id uuid.UUID
	var current era
	_, err = pgx.ForEachRow(rows, []any{&id, &current.number, &current.began}, func() error {
		known[id] = era{current.number, current.began.UTC()}
		return nil
	})
	return known, err
}

func (known eras) evolve(c Credential, e follow.Event) Credential {
	c = c.evolve(e)
	current := known[e.Organization]
	if is[domain.CredentialGenerated](e.Fact) && c.Era < current.number {
		c.Status, c.RevokedAt = domain.CredentialIsRevoked, latest(c.CreatedAt, current.began)
	}
	return c
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
