package ledger

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
)

// claimant is what owns a claim, as far as claiming needs to know.
type claimant interface {
	Exists() bool
	Abandoned() bool
}

// claim gets a unique value for a new owner.
//
// A value is claimed before its owner comes to life, so a crash in between
// leaves a claim behind whose owner never will. Such a claim is taken over:
// after a grace period the would-be owner is abandoned for good, by an event
// in its own stream, and only then does the claim pass on. Time decides when
// to step in, never who wins: an owner that is merely slow finds itself
// abandoned and fails.
func (l *Ledger) claim(
	ctx context.Context, origin Origin, kind domain.ClaimKind, value string, owner uuid.UUID, organization domain.OrganizationID,
	look func(context.Context, uuid.UUID) (claimant, error),
	abandon func(context.Context, uuid.UUID) error,
) (takenFrom uuid.UUID, err error) {
	const recheck = 10 * time.Millisecond
	stream := domain.ClaimStream(kind, value)
	for {
		_, err := l.claims.execute(ctx, stream, origin,
			func(domain.Claim) domain.OrganizationID { return organization },
			func(c domain.Claim) ([]domain.Event, error) {
				return c.Decide(domain.MakeClaim{Kind: kind, Owner: owner, From: takenFrom})
			})
		var refusal *domain.Error
		if err == nil || !errors.As(err, &refusal) {
			return takenFrom, err
		}
		current, err := l.claims.read(ctx, stream)
		if err != nil {
			return uuid.Nil, err
		}
		rival, err := look(ctx, current.state.Owner)
		switch {
		case err != nil:
			return uuid.Nil, err
		case rival.Exists():
			return uuid.Nil, refusal
		case rival.Abandoned():
			takenFrom = current.state.Owner
		case l.now().Sub(current.state.Since) < l.grace:
			if err := pause(ctx, recheck); err != nil {
				return uuid.Nil, err
			}
		default:
			// If the rival comes to life right now, the next look sees it.
			if err := abandon(ctx, current.state.Owner); err != nil && !errors.As(err, &refusal) {
				return uuid.Nil, err
			}
		}
	}
}

// ClaimedBy is who has the right to a unique value, uuid.Nil when nobody.
func (l *Ledger) ClaimedBy(ctx context.Context, kind domain.ClaimKind, value string) (uuid.UUID, error) {
	claim, err := l.claims.read(ctx, domain.ClaimStream(kind, value))
	return claim.state.Owner, err
}
