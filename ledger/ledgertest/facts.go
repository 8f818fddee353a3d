// Package ledgertest makes what happens in a ledger, for tests: single facts, and
// histories at random.
package ledgertest

import (
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
)

// Draft makes an event as the write side would.
func Draft(t testing.TB, organization domain.OrganizationID, at time.Time, fact domain.Event) eventstore.Draft {
	t.Helper()
	name, schema, data, err := domain.Encode(fact)
	if err != nil {
		t.Fatalf("encode %T: %v", fact, err)
	}
	return eventstore.Draft{
		ID: uuid.Must(uuid.NewV7()), Type: string(name), Schema: schema, Organization: organization.UUID, Time: at, Data: data,
		Actor:   eventstore.Actor{Kind: "system", ID: "test"},
		Request: eventstore.Request{ID: "req-1", IP: "192.0.2.7", Agent: "test/1"},
	}
}

// Record appends facts to a stream and returns the position of the last.
func Record(t testing.TB, store eventstore.Store, stream string, organization domain.OrganizationID, facts ...domain.Event) eventstore.Position {
	t.Helper()
	drafts := make([]eventstore.Draft, len(facts))
	for i, fact := range facts {
		drafts[i] = Draft(t, organization, time.Now(), fact)
	}
	appended, err := store.Append(t.Context(), stream, eventstore.Any(), drafts...)
	if err != nil {
		t.Fatalf("append to %s: %v", stream, err)
	}
	return appended.Position()
}

// NewAgentID and its like mint ids that nothing has yet.
func NewAgentID() domain.AgentID { return domain.AgentID{UUID: uuid.Must(uuid.NewV7())} }
func NewOrganizationID() domain.OrganizationID {
	return domain.OrganizationID{UUID: uuid.Must(uuid.NewV7())}
}
func NewCredentialID() domain.CredentialID { return domain.CredentialID{UUID: uuid.Must(uuid.NewV7())} }
func NewTokenID() domain.TokenID           { return domain.TokenID{UUID: uuid.Must(uuid.NewV7())} }
func NewDelegationID() domain.DelegationID { return domain.DelegationID{UUID: uuid.Must(uuid.NewV7())} }

// Created is the beginning of an agent.
func Created(id domain.AgentID, organization domain.OrganizationID) domain.AgentCreated {
	return domain.AgentCreated{
		AgentID: id, OrganizationID: organization, Email: id.String() + "@example.com",
		Profile: domain.Profile{
			AgentType: domain.AgentMonitor, Version: "1.0.0", Capabilities: []string{"logs:read", "logs:write"}, Owner: "ops",
			DeploymentEnv: domain.EnvProduction, Description: "watches é <&>", Metadata: json.RawMessage(`{"a":{"b":[1,2]}}`),
		},
		Scopes: domain.DefaultScopes(), DID: "did:web:localhost:agents:" + id.String(),
	}
}

// Issued is a token for an hour from now.
func Issued(id domain.AgentID, credential domain.CredentialID) domain.TokenIssued {
	return domain.TokenIssued{
		AgentID: id, TokenID: NewTokenID(), CredentialID: credential, AuthMethod: domain.SecretCredential,
		Scope: "agents:read", Audience: "https://idp.example", Algorithm: "ES256", KeyID: "k1", ExpiresAt: time.Now().Add(time.Hour),
	}
}

// Delegated is a link from one agent to another, for an hour from now.
func Delegated(organization domain.OrganizationID, from, to domain.AgentID) domain.DelegationCreated {
	return domain.DelegationCreated{
		DelegationID: NewDelegationID(), OrganizationID: organization, DelegatorID: from, DelegateeID: to,
		Scopes: domain.DefaultScopes(), TTLSeconds: 3600, ExpiresAt: time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond), MaxDepth: 3,
	}
}

var streamCounter atomic.Int64

// NewStream is a stream that nobody else writes to.
func NewStream() string { return fmt.Sprintf("test-%d", streamCounter.Add(1)) }

// PartnerRegistered is a federation partner with an issuer of its own.
func PartnerRegistered(organization domain.OrganizationID) domain.PartnerRegistered {
	id := domain.PartnerID{UUID: uuid.Must(uuid.NewV7())}
	issuer := "https://" + id.String() + ".example"
	return domain.PartnerRegistered{
		PartnerID: id, OrganizationID: organization, Name: "Partner", Issuer: issuer, JWKSURI: issuer + "/jwks", AllowedOrganizations: []string{},
	}
}
