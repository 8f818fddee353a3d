package ledger

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/internal/wait"
)

// claimant is what owns a claim, as far as claiming needs to know.
type claimant interface {
	Exists() bool
	Abandoned() bool
}

// claim gets a unique value for a new owner, and says whose claim was taken
// over for it, if one was.
//
// A value is claimed before its owner comes to life, so a crash in between
// leaves a claim behind whose owner never will. Such a claim is taken over:
// after a grace period the would-be owner is abandoned for good, by an event
// in its own stream, and only then does the claim pass on. Time decides when
// to step in, never who wins: an owner that is merely slow finds itself
// abandoned and fails.
func (l *Ledger) claim(
	ctx context.Context, origin Origin, stream string, command domain.MakeClaim,
	look func(context.Context, uuid.UUID) (claimant, error),
	abandon func(context.Context, domain.Claim) error,
) (takenFrom domain.Claim, err error) {
	const recheck = 10 * time.Millisecond
	for {
		command.From = takenFrom.Owner
		_, err := l.claims.execute(ctx, stream, origin,
			func(domain.Claim) domain.OrganizationID { return command.OrganizationID },
			func(c domain.Claim) ([]domain.Event, error) { return c.Decide(command) })
		var refusal *domain.Error
		if err == nil || !errors.As(err, &refusal) {
			return takenFrom, err
		}
		current, err := l.claims.read(ctx, stream)
		if err != nil {
			return domain.Claim{}, err
		}
		rival, err := look(ctx, current.state.Owner)
		switch {
		case err != nil:
			return domain.Claim{}, err
		case rival.Exists():
			return domain.Claim{}, refusal
		case rival.Abandoned():
			takenFrom = current.state
		case l.now().Sub(current.state.Since) < l.grace:
			if err := wait.For(ctx, recheck); err != nil {
				return domain.Claim{}, err
			}
		default:
			// If the rival comes to life right now, the next look sees it.
			if err := abandon(ctx, current.state); err != nil && !errors.As(err, &refusal) {
				return domain.Claim{}, err
			}
		}
	}
}

// EmailClaimedBy is which agent of an organization has the right to an e-mail
// address, the zero id when none has.
func (l *Ledger) EmailClaimedBy(ctx context.Context, organization domain.OrganizationID, email string) (domain.AgentID, error) {
	claim, err := l.claims.read(ctx, domain.EmailClaimStream(organization, email))
	if owner := claim.state.Owner; err != nil || owner != uuid.Nil {
		return domain.AgentID{UUID: owner}, err
	}
	former, err := l.formerEmailClaim(ctx, organization, email)
	return domain.AgentID{UUID: former.Owner}, err
}

// formerEmailClaim is the claim that an agent of the organization made to the
// address when addresses were unique over all organizations. Such a claim holds
// in its own organization still, and in no other.
func (l *Ledger) formerEmailClaim(ctx context.Context, organization domain.OrganizationID, email string) (domain.Claim, error) {
	for _, stream := range domain.FormerEmailClaimStreams(email) {
		claim, err := l.claims.read(ctx, stream)
		if err != nil || claim.state.Owner != uuid.Nil && claim.state.OrganizationID == organization {
			return claim.state, err
		}
	}
	return domain.Claim{}, nil
}

// ClaimedBy is who has the right to a unique value, uuid.Nil when nobody.
func (l *Ledger) ClaimedBy(ctx context.Context, kind domain.ClaimKind, value string) (uuid.UUID, error) {
	claim, err := l.claims.read(ctx, domain.ClaimStream(kind, value))
	return claim.state.Owner, err
}
