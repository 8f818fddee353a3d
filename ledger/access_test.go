package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/memory"
	"github.com/sentryagent/agentidp/eventstore/postgres"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/ledgertest"
	"github.com/sentryagent/agentidp/ledger/revocation"
)

// node is one of two servers on a store.
type node struct {
	*ledger.Ledger
	index *revocation.Index
}

func newNode(store eventstore.Store) node {
	index := revocation.New(store, revocation.Options{})
	return node{ledger.New(store, nil, index, ledger.Options{}), index}
}

// tokenOf is an issued token as its claims say.
func tokenOf(i ledger.Issued) revocation.Token {
	return revocation.Token{
		TokenID: i.Token.TokenID, AgentID: i.Agent.ID, CredentialID: i.Token.CredentialID, OrganizationID: i.Agent.OrganizationID,
		ExpiresAt: i.Token.ExpiresAt, Position: i.Position, Basis: i.Basis,
	}
}

func (n node) verdict(t *testing.T, token revocation.Token) revocation.Verdict {
	t.Helper()
	known, err := n.index.Sync(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return known.Check(token)
}

// One event ends the tokens and credentials of ten thousand agents, on another node.
func TestOneEventEndsTheAccessOfTenThousandAgents(t *testing.T) {
	const agents = 10_000
	w := newWorld(t, memory.New(), 1000)
	ids, tokens := make([]domain.AgentID, agents), make([]revocation.Token, agents)
	for i := range agents {
		ids[i] = ledgertest.NewAgentID()
		credential := ledgertest.NewCredentialID()
		issued := ledgertest.Issued(ids[i], credential)
		issued.ExpiresAt = time.Now().Add(time.Hour)
		generated := domain.CredentialGenerated{AgentID: ids[i], CredentialID: credential, Kind: domain.SecretCredential, Verifier: &testVerifier}
		var drafts []eventstore.Draft
		for _, fact := range []domain.Event{ledgertest.Created(ids[i], w.organization), generated, issued} {
			drafts = append(drafts, ledgertest.Draft(t, w.organization, time.Now(), fact))
		}
		appended, err := w.store.Append(t.Context(), domain.AgentStream(ids[i]), eventstore.NoStream(), drafts...)
		if err != nil {
			t.Fatal(err)
		}
		tokens[i] = revocation.Token{
			TokenID: issued.TokenID, AgentID: ids[i], CredentialID: credential, OrganizationID: w.organization,
			ExpiresAt: issued.ExpiresAt, Position: appended.Position(), Basis: appended.Position(),
		}
	}
	a, b := newNode(w.store), newNode(w.store)
	if verdict := b.verdict(t, tokens[agents-1]); verdict != revocation.Alive {
		t.Fatalf("before: %q", verdict)
	}
	before := w.head(t)
	outcome, err := a.RevokeOrganizationsAccess(t.Context(), ledger.System(), w.organization,
		domain.RevokeOrganizationsAccess{Caller: w.operator, Reason: "stolen", Credentials: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(outcome.Events) != 1 || w.head(t) != before+1 {
		t.Fatalf("it took %d events, from %d to %d", len(outcome.Events), before, w.head(t))
	}
	known, err := b.index.Sync(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, token := range tokens {
		if verdict := known.Check(token); verdict != revocation.OrganizationChanged {
			t.Fatalf("token %d: %q", i, verdict)
		}
	}
	for i := 0; i < agents; i += 100 {
		_, err := issueToken(t.Context(), b.Ledger, ids[i], issue())
		if refused, is := errors.AsType[*domain.AuthError](err); !is || refused.Reason != domain.AuthCredentialRevoked {
			t.Fatalf("agent %d: %v", i, err)
		}
	}
}

// A revocation races with issuance on another node. What was handed out before it
// was asked for is dead, what was asked for after its answer lives, and of what
// came in between both nodes say the same.
func TestRevokingAllRacesWithIssuance(t *testing.T) {
	for name, open := range map[string]func() eventstore.Store{
		"memory":   func() eventstore.Store { return memory.New() },
		"postgres": func() eventstore.Store { return postgres.New(t.Context(), newPool(t), postgres.Options{}) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, open(), 1000)
			agent := w.register(t, "agent@example.com")
			w.credential(t, agent.ID)
			a, b := newNode(w.store), newNode(w.store)
			for round := range 20 {
				rng := rand.New(rand.NewPCG(uint64(round), 0))
				raceRevocation(t, w, a, b, agent.ID, rng.IntN(2) == 0, time.Duration(rng.IntN(3000))*time.Microsecond)
			}
		})
	}
}

type handed struct {
	token            revocation.Token
	asked, handedOut time.Time
}

func raceRevocation(t *testing.T, w *world, a, b node, agent domain.AgentID, whole bool, after time.Duration) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var mu sync.Mutex // guards tokens and failed
	var tokens []handed
	var failed error
	var issuing sync.WaitGroup
	for range 4 {
		issuing.Go(func() {
			for ctx.Err() == nil {
				asked := time.Now()
				issued, err := issueToken(t.Context(), b.Ledger, agent, issue())
				mu.Lock()
				if err != nil {
					failed = fmt.Errorf("issue: %w", err)
				} else {
					tokens = append(tokens, handed{tokenOf(issued), asked, time.Now()})
				}
				mu.Unlock()
			}
		})
	}
	time.Sleep(after)
	began := time.Now()
	var err error
	if whole {
		_, err = a.RevokeOrganizationsAccess(t.Context(), ledger.System(), w.organization, domain.RevokeOrganizationsAccess{Caller: w.operator, Reason: "r"})
	} else {
		_, err = a.RevokeAgentsAccess(t.Context(), ledger.System(), agent, domain.RevokeAgentsAccess{Caller: w.operator, Reason: "r"})
	}
	answered := time.Now()
	asked := time.Now()
	late, lateErr := issueToken(t.Context(), b.Ledger, agent, issue())
	stop()
	issuing.Wait()
	if err := errors.Join(err, failed, lateErr); err != nil {
		t.Fatal(err)
	}
	tokens = append(tokens, handed{tokenOf(late), asked, time.Now()})
	for _, h := range tokens {
		atA, atB := a.verdict(t, h.token), b.verdict(t, h.token)
		switch {
		case atA != atB:
			t.Errorf("one node says %q, the other %q", atA, atB)
		case h.handedOut.Before(began) && atA == revocation.Alive:
			t.Errorf("a token that was handed out %s before lives on", began.Sub(h.handedOut))
		case h.asked.After(answered) && atA != revocation.Alive:
			t.Errorf("a token that was asked for %s after the answer: %q", h.asked.Sub(answered), atA)
		}
	}
}
