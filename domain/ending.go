package domain

import (
	"slices"
	"time"
)

// Ending says which tokens an event ends. They end if they were issued at or
// before its place in the ledger; later ones are not its concern.
type Ending struct {
	// Tokens names the owner whose tokens end, the one in the event's [Subject]:
	// an agent, a credential, an organization, a signing key, or a delegation and
	// every link below it. With [TokenNoun] only that one token ends, with [Nothing] none.
	Tokens Noun
	// Owner says whether the owner may get tokens afterwards.
	Owner Admission
	// Expiry is when the one token would have ended by itself.
	Expiry time.Time
	// DelegationsKept: the event ends the tokens of a credential, but not the
	// delegations made with it.
	DelegationsKept bool
	// Delegations: the event also ends what an agent, or anybody in an
	// organization, has lent or been lent until then.
	Delegations bool
	// Credentials: the event also ends every credential that the owner has.
	Credentials bool
}

// Admission is how an event leaves the owner of tokens.
type Admission uint8

const (
	AsBefore Admission = iota
	ShutOut            // it gets no tokens
	LetIn              // it gets tokens again
)

var noTokens = Ending{Tokens: Nothing}

func tokensOf(owner Noun, afterwards Admission) Ending {
	return Ending{Tokens: owner, Owner: afterwards}
}

// allAccessOf is the ending of everything that an owner has got by its
// credentials and, as the event says, of these too.
func allAccessOf(owner Noun) Ending {
	return Ending{Tokens: owner, Owner: AsBefore, Delegations: true, Credentials: true}
}

// EndingOf says which tokens an event ends.
func EndingOf(e Event) Ending {
	k := catalogue[e.EventType()]
	switch {
	case k == nil:
		return noTokens
	case k.refine != nil:
		return k.refine(e, k.ends)
	}
	return k.ends
}

// TypesEnding lists the events that may end tokens of these owners, sorted.
func TypesEnding(owners ...Noun) []Type {
	return typesWhere(func(k *kind) bool { return slices.Contains(owners, k.ends.Tokens) })
}

// TypesEndingDelegations lists the events that may end delegations which they do
// not name: those made with a credential, and those of an agent or an
// organization. Sorted.
func TypesEndingDelegations() []Type {
	return typesWhere(func(k *kind) bool { return k.ends.Tokens == CredentialNoun || k.ends.Delegations })
}

// TypesEndingCredentials lists the events that may end all credentials of an
// owner, sorted.
func TypesEndingCredentials() []Type {
	return typesWhere(func(k *kind) bool { return k.ends.Credentials })
}

// TokenOwners are the nouns that [Ending.Tokens] can be, but for [Nothing].
func TokenOwners() []Noun {
	return []Noun{AgentNoun, CredentialNoun, TokenNoun, DelegationNoun, OrganizationNoun, SigningKeyNoun}
}

// refine makes a row's refinement from one that knows the event's type.
func refine[E Event](ending func(e E, all Ending) Ending) func(Event, Ending) Ending {
	return func(e Event, all Ending) Ending { return ending(e.(E), all) }
}

func endingByUpdate(e AgentUpdated, all Ending) Ending {
	if !e.ScopesReduced {
		return noTokens
	}
	return all
}

func endingByRotation(e CredentialRotated, all Ending) Ending {
	all.DelegationsKept = e.DelegationsKept
	return all
}

func endingOfAgentsAccess(e AgentAccessRevoked, all Ending) Ending {
	all.Credentials = e.Credentials
	return all
}

func endingOfOrganizationsAccess(e OrganizationAccessRevoked, all Ending) Ending {
	all.Credentials = e.Credentials
	return all
}

func endingByRetirement(e SigningKeyRetired, all Ending) Ending {
	if !e.AtOnce {
		return noTokens
	}
	return all
}

func endingOfToken(e TokenRevoked, all Ending) Ending {
	all.Expiry = e.ExpiresAt
	return all
}

// EndedWith is the credential whose delegations an event ends, zero when it
// ends none. It ends those that were made before it in the ledger.
func EndedWith(e Event) CredentialID {
	if ending := EndingOf(e); ending.Tokens != CredentialNoun || ending.DelegationsKept {
		return CredentialID{}
	}
	return About(e).Credential
}
