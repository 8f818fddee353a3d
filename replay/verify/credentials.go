package verify

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
)

// deed is what an event does with a credential: nothing, for most.
type deed struct {
	kind       deedKind
	agent      domain.AgentID
	credential domain.CredentialID
	lent       bool // the token acts under a delegation, on whose stream it is
	era        int  // of the organization: that the credential is of, or that begins
}

type deedKind uint8

const (
	noDeed deedKind = iota
	generatesCredential
	revokesCredential
	revokesAgents // all that the agent has
	beginsEra     // in which those of earlier ones count no more
	issuesToken
)

var (
	tokenIssued      = string(domain.TokenIssued{}.EventType())
	credentialEvents = slices.Concat(domain.TypesChanging(domain.CredentialNoun), domain.TypesEndingCredentials())
)

// deedOf reads it from an event that has been looked at. What cannot be read
// does nothing: no server can apply it either.
func deedOf(e *eventstore.Event, r *eventstore.Reading) (d deed) {
	switch {
	case e.Type == tokenIssued:
		if r.Schema == 1 {
			if agent, credential, plain := domain.IssuedUnder(r.Data); plain {
				return deed{kind: issuesToken, agent: agent, credential: credential}
			}
		}
	case !slices.Contains(credentialEvents, domain.Type(e.Type)):
		return d
	}
	fact, err := domain.Decode(domain.Type(e.Type), r.Schema, r.Data)
	if err != nil {
		return d
	}
	about := domain.About(fact)
	d.agent, d.credential = about.Agent, about.Credential
	switch f := fact.(type) {
	case domain.TokenIssued:
		d.kind, d.lent = issuesToken, f.Delegation != nil
	case domain.CredentialGenerated:
		d.kind, d.era = generatesCredential, f.Era
	case domain.OrganizationAccessRevoked:
		if f.Credentials {
			d.kind, d.era = beginsEra, f.Era
		}
	default:
		switch ending := domain.EndingOf(fact); {
		case ending.Tokens == domain.CredentialNoun && ending.Owner == domain.ShutOut:
			d.kind = revokesCredential
		case ending.Tokens == domain.AgentNoun && ending.Credentials:
			d.kind = revokesAgents
		}
	}
	return d
}

// credentials holds every token's issuance against the credentials that came
// before it. It is fed from the beginning of a ledger or of a tenant's part, and
// takes some 80 bytes for each credential there ever was.
//
// Nothing but a server can issue a token, and it decides by the agent's stream
// alone. So a token of an agent's own needs a credential that was generated
// before it on that stream and was not revoked: an append conflict keeps the two
// apart. A token under a delegation is on the delegation's stream. Its actor's
// credential was there before, but may have been revoked between the decision
// and the append; who presents the token is refused then.
//
// An organization that ends all credentials does so on its own stream, so a token
// may follow that was decided on before. None is as late as [maxDelay].
type credentials struct {
	known  map[uuid.UUID]credentialState
	agents map[uuid.UUID]int // how often an agent ended all of its own, where it ever did
	eras   map[uuid.UUID]era // of organizations, where one began
}

type credentialState struct {
	agent   uuid.UUID
	era     int // of the organization
	before  int // how often the agent had ended all of its own
	revoked bool
}

type era struct {
	number int
	began  time.Time
}

// maxDelay is longer than any request lives from its decision to its append.
const maxDelay = time.Hour

func newCredentials() *credentials {
	return &credentials{known: map[uuid.UUID]credentialState{}, agents: map[uuid.UUID]int{}, eras: map[uuid.UUID]era{}}
}

// take says what is wrong with an event; "" where nothing is.
func (c *credentials) take(e *eventstore.Event, d deed) string {
	if d.kind == noDeed {
		return ""
	}
	known, there := c.known[d.credential.UUID]
	there = there && known.agent == d.agent.UUID
	own := e.Stream == domain.AgentStream(d.agent)
	switch d.kind {
	case generatesCredential:
		if _, taken := c.known[d.credential.UUID]; own && !taken {
			c.known[d.credential.UUID] = credentialState{agent: d.agent.UUID, era: d.era, before: c.agents[d.agent.UUID]}
		}
	case revokesCredential:
		if own && there {
			known.revoked = true
			c.known[d.credential.UUID] = known
		}
	case revokesAgents:
		if own {
			c.agents[d.agent.UUID]++
		}
	case beginsEra:
		if e.Stream == domain.OrganizationStream(domain.OrganizationID{UUID: e.Organization}) {
			c.eras[e.Organization] = era{d.era, e.RecordedAt}
		}
	case issuesToken:
		current := c.eras[e.Organization]
		switch {
		case !there:
			return "no event before it gave the agent that credential"
		case d.lent && !own:
		case !own:
			return "it is not on the stream of its agent"
		case known.revoked || known.before < c.agents[d.agent.UUID]:
			return "the credential had been revoked"
		case known.era < current.number && e.RecordedAt.After(current.began.Add(maxDelay)):
			return "the organization had ended all credentials long before"
		}
	}
	return ""
}
