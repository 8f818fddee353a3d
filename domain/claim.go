package domain

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/text/unicode/norm"
)

// ClaimKind says what is unique.
type ClaimKind string

const (
	ClaimEmail  ClaimKind = "email"
	ClaimSlug   ClaimKind = "slug"
	ClaimIssuer ClaimKind = "issuer"
)

// ClaimStream is the stream that a unique value is claimed on. Letter case
// does not tell two values apart. E-mail addresses were claimed so until they
// became unique in their organization alone: see [EmailClaimStream].
func ClaimStream(kind ClaimKind, value string) string {
	return claimStream(kind, strings.ToLower(value))
}

// IssuerClaimStream is the stream that a federation partner claims its issuer on.
// Issuers are compared byte by byte.
func IssuerClaimStream(issuer string) string { return claimStream(ClaimIssuer, issuer) }

func claimStream(kind ClaimKind, value string) string {
	digest := sha256.Sum256([]byte(value))
	return "claim-" + string(kind) + "-" + hex.EncodeToString(digest[:])
}

// EmailClaimStream is the stream that an organization's agent claims its e-mail
// address on, compared as [EmailForm] says.
func EmailClaimStream(organization OrganizationID, email string) string {
	return ClaimStream(ClaimEmail, organization.String()+" "+EmailForm(email))
}

// FormerEmailClaimStreams are those on which the address may have been claimed
// when addresses were unique over all organizations, and compared by letter case.
func FormerEmailClaimStreams(email string) []string {
	local, host := splitEmail(email)
	var streams []string
	for _, l := range []string{local, norm.NFC.String(local), norm.NFD.String(local), fold(local)} {
		for _, h := range []string{host, orSame(hostNames.ToASCII, host), orSame(hostNames.ToUnicode, host)} {
			streams = append(streams, ClaimStream(ClaimEmail, l+"@"+h))
		}
	}
	slices.Sort(streams)
	return slices.Compact(streams)
}

func orSame(convert func(string) (string, error), s string) string {
	if converted, err := convert(s); err == nil {
		return converted
	}
	return s
}

// Claim is the aggregate of one claim stream: who has the right to a unique
// value. The value is claimed first and used second; a claim whose owner never
// came to life can be taken over.
type Claim struct {
	Owner          uuid.UUID      // uuid.Nil when unclaimed
	OrganizationID OrganizationID // the owner's
	Since          time.Time
}

// ClaimMade is stored as "claim.made", schema 1.
type ClaimMade struct {
	Kind           ClaimKind      `json:"kind"`
	Owner          uuid.UUID      `json:"owner"`
	OrganizationID OrganizationID `json:"organizationId"`
}

// ClaimTakenOver is stored as "claim.taken_over", schema 1.
type ClaimTakenOver struct {
	Kind           ClaimKind      `json:"kind"`
	Owner          uuid.UUID      `json:"owner"`
	OrganizationID OrganizationID `json:"organizationId"`
	From           uuid.UUID      `json:"from"`
}

func (ClaimMade) EventType() Type      { return "claim.made" }
func (ClaimTakenOver) EventType() Type { return "claim.taken_over" }

// ClaimCommand is a command to one claim.
type ClaimCommand interface {
	decide(Claim) ([]Event, error)
}

// Decide says what the command leads to, or refuses with an [*Error].
func (c Claim) Decide(cmd ClaimCommand) ([]Event, error) { return cmd.decide(c) }

// Evolve applies an event of the stream, recorded at the given time.
func (c Claim) Evolve(e Event, at time.Time) Claim {
	switch e := e.(type) {
	case ClaimMade:
		return Claim{Owner: e.Owner, OrganizationID: e.OrganizationID, Since: at}
	case ClaimTakenOver:
		return Claim{Owner: e.Owner, OrganizationID: e.OrganizationID, Since: at}
	}
	return c
}

// MakeClaim claims a value for a new owner. It is refused while another has
// it, unless that other is From, which is known to never come to life.
type MakeClaim struct {
	Kind           ClaimKind
	Owner          uuid.UUID
	OrganizationID OrganizationID // the owner's
	From           uuid.UUID
}

func (m MakeClaim) decide(c Claim) ([]Event, error) {
	switch c.Owner {
	case m.Owner:
		return nil, nil
	case uuid.Nil:
		return []Event{ClaimMade{Kind: m.Kind, Owner: m.Owner, OrganizationID: m.OrganizationID}}, nil
	case m.From:
		return []Event{ClaimTakenOver(m)}, nil
	}
	return nil, m.Kind.Taken()
}

// Taken is the refusal of a value that another has.
func (k ClaimKind) Taken() error {
	switch k {
	case ClaimSlug:
		return Refuse(CodeSlugTaken, "the slug is taken").With("field", "slug")
	case ClaimIssuer:
		return Refuse(CodeConflict, "there is a federation partner with this issuer already").With("field", "issuer")
	case ClaimEmail:
	}
	return Refuse(CodeAgentExists, "the organization has an agent with this e-mail address already; use that one, or another address").With("field", "email")
}
