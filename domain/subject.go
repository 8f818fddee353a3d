package domain

import (
	"slices"
	"strconv"
)

// Subject is what an event is about. An id is zero where the event is about no
// such thing.
type Subject struct {
	Agent        AgentID // of a delegation: who lends
	Credential   CredentialID
	Token        TokenID
	Delegation   DelegationID
	Organization OrganizationID
	SigningKey   string // its kid
	Partner      PartnerID
}

// Noun is a kind of thing that events are about.
type Noun uint8

const (
	_ Noun = iota // a row of the catalogue that says nothing is not whole
	Nothing
	AgentNoun
	CredentialNoun
	TokenNoun
	DelegationNoun
	OrganizationNoun
	MemberNoun // of an organization
	DIDNoun    // of an agent
	SigningKeyNoun
	PartnerNoun
)

func (n Noun) String() string {
	names := [...]string{Nothing: "nothing", AgentNoun: "agent", CredentialNoun: "credential", TokenNoun: "token",
		DelegationNoun: "delegation", OrganizationNoun: "organization", MemberNoun: "member", DIDNoun: "DID", SigningKeyNoun: "signing key",
		PartnerNoun: "partner"}
	if int(n) >= len(names) || names[n] == "" {
		return "noun " + strconv.Itoa(int(n))
	}
	return names[n]
}

// About says what an event is about.
func About(e Event) Subject {
	if k := catalogue[e.EventType()]; k != nil {
		return k.about(e)
	}
	return Subject{}
}

// Changes says what of the registry looks different after an event, [Nothing]
// where nothing does.
func Changes(e Event) Noun {
	if k := catalogue[e.EventType()]; k != nil {
		return k.changes
	}
	return Nothing
}

// TypesChanging lists the events that change things of these nouns, sorted.
func TypesChanging(nouns ...Noun) []Type {
	return typesWhere(func(k *kind) bool { return slices.Contains(nouns, k.changes) })
}

// about makes a row's accessor from one that knows the event's type.
func about[E Event](subject func(E) Subject) func(Event) Subject {
	return func(e Event) Subject { return subject(e.(E)) }
}

// claimedAgent: a failed authentication is about whom it claimed to be, as far as
// that may be an agent.
func claimedAgent(e AuthFailed) Subject {
	id, _ := ParseAgentID(e.ClientID)
	return Subject{Agent: id}
}
