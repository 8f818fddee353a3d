package verify

import (
	"slices"

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
}

type deedKind uint8

const (
	noDeed deedKind = iota
	generatesCredential
	revokesCredential
	issuesToken
)

var (
	tokenIssued      = string(domain.TokenIssued{}.EventType())
	credentialEvents = domain.TypesChanging(domain.CredentialNoun)
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
		d.kind = generatesCredential
	default:
		if ending := domain.EndingOf(fact); ending.Tokens == domain.CredentialNoun && ending.Owner == domain.ShutOut {
			d.kind = revokesCredential
		}
	}
	return d
}

// credentials holds every token's issuance against the credentials that came
// before it. It is fed from the beginning of a ledger or of a tenant's part, and
// takes some 50 bytes for each credential there ever was.
//
// Nothing but a server can issue a token, and it decides by the agent's stream
// alone. So a token of an agent's own needs a credential that was generated
// before it on that stream and was not revoked: an append conflict keeps the two
// apart. A token under a delegation is on the delegation's stream. Its actor's
// credential was there before, but may have been revoked between the decision
// and the append; who presents the token is refused then.
type credentials map[uuid.UUID]credentialState

type credentialState struct {
	agent   uuid.UUID
	revoked bool
}

// take says what is wrong with an event; "" where nothing is.
func (c credentials) take(stream string, d deed) string {
	if d.kind == noDeed {
		return ""
	}
	known, there := c[d.credential.UUID]
	there = there && known.agent == d.agent.UUID
	own := stream == domain.AgentStream(d.agent)
	switch d.kind {
	case generatesCredential:
		if _, taken := c[d.credential.UUID]; own && !taken {
			c[d.credential.UUID] = credentialState{agent: d.agent.UUID}
		}
	case revokesCredential:
		if own && there {
			c[d.credential.UUID] = credentialState{agent: d.agent.UUID, revoked: true}
		}
	case issuesToken:
		switch {
		case !there:
			return "no event before it gave the agent that credential"
		case d.lent && !own:
		case !own:
			return "it is not on the stream of its agent"
		case known.revoked:
			return "the credential had been revoked"
		}
	}
	return ""
}
