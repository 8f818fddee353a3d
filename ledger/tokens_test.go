package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/memory"
	"github.com/sentryagent/agentidp/eventstore/storetest"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
)

func TestCommandsOnOneStreamShareAppends(t *testing.T) {
	store := &counting{Store: memory.New()}
	w := newWorld(t, store, 10)
	agent := w.register(t, "hot@example.com")
	w.credential(t, agent.ID)
	const tokens = 500
	before := store.appends.Load()
	store.awaited.Store(tokens)
	got := parallel(tokens, func(int) error {
		store.awaited.Add(-1)
		issued, err := issueToken(t.Context(), w.Ledger, agent.ID, issue())
		if err == nil && issued.Position == 0 {
			return errors.New("it has no position")
		}
		return err
	})
	if got[""] != tokens {
		t.Fatalf("%d tokens at once: %v", tokens, got)
	}
	if appends := store.appends.Load() - before; appends >= tokens {
		t.Errorf("%d appends for %d tokens of one agent", appends, tokens)
	}
	seen := map[string]bool{}
	for _, e := range storetest.Verify(t, store) {
		if e.Type != "token.issued" {
			continue
		}
		record, err := e.Decode()
		if err != nil || seen[string(record.Data)] {
			t.Fatalf("token event %s: %v, repeated %v", e.ID, err, seen[string(record.Data)])
		}
		seen[string(record.Data)] = true
	}
	if len(seen) != tokens {
		t.Errorf("%d token events, want %d", len(seen), tokens)
	}
}

type counting struct {
	eventstore.Store
	appends atomic.Int64
	awaited atomic.Int64
}

func (c *counting) Append(ctx context.Context, stream string, expected eventstore.ExpectedRevision, events ...eventstore.Draft) (eventstore.Appended, error) {
	c.appends.Add(1)
	for c.awaited.Load() > 0 {
		runtime.Gosched()
	}
	return c.Store.Append(ctx, stream, expected, events...)
}

func TestARevocationOnAnotherNodeStopsIssuance(t *testing.T) {
	store := memory.New()
	a := newWorld(t, store, 10)
	b := ledger.New(store, nil, revocation.New(store, revocation.Options{}), ledger.Options{})
	for round := range 100 {
		agent := a.register(t, fmt.Sprintf("a%d@example.com", round))
		credential := a.credential(t, agent.ID)
		if _, err := issueToken(t.Context(), b, agent.ID, issue()); err != nil {
			t.Fatal(err) // and b knows the agent now
		}
		if _, err := a.RevokeCredential(t.Context(), ledger.System(), agent.ID, domain.RevokeCredential{Caller: a.operator, CredentialID: credential}); err != nil {
			t.Fatal(err)
		}
		var failure *domain.AuthError
		if _, err := issueToken(t.Context(), b, agent.ID, issue()); !errors.As(err, &failure) {
			t.Fatalf("round %d: the other node issued a token on a revoked credential (%v)", round, err)
		}
		if _, err := a.DecommissionAgent(t.Context(), ledger.System(), agent.ID, domain.DecommissionAgent{Caller: a.operator}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestARefusalNeverRestsOnStaleState(t *testing.T) {
	store := memory.New()
	a := newWorld(t, store, 10)
	b := ledger.New(store, nil, revocation.New(store, revocation.Options{}), ledger.Options{})
	agent := a.register(t, "a@example.com")
	a.credential(t, agent.ID)
	for _, status := range []domain.AgentStatus{domain.AgentIsSuspended, domain.AgentActive} {
		if _, err := a.UpdateAgent(t.Context(), ledger.System(), agent.ID, domain.UpdateAgent{Caller: a.operator, Status: &status}); err != nil {
			t.Fatal(err)
		}
		_, err := issueToken(t.Context(), b, agent.ID, issue())
		if (err == nil) != (status == domain.AgentActive) {
			t.Errorf("agent %s on one node, token on the other: %v", status, err)
		}
	}
}

func TestASuspensionOfTheOrganizationEndsATokenThatIsRecordedAfterIt(t *testing.T) {
	store := memory.New()
	index := revocation.New(store, revocation.Options{})
	node := ledger.New(store, nil, index, ledger.Options{})
	w := newWorld(t, store, 10)
	agent := w.register(t, "a@example.com")
	w.credential(t, agent.ID)
	setStatus := func(status domain.OrganizationStatus) {
		if _, err := w.UpdateOrganization(t.Context(), ledger.System(), w.organization, domain.UpdateOrganization{Caller: w.operator, Status: &status}); err != nil {
			t.Error(err)
		}
	}
	suspendAndRevive := func() {
		setStatus(domain.OrganizationIsSuspended)
		setStatus(domain.OrganizationActive)
	}
	for name, c := range map[string]struct {
		meanwhile func()
		want      revocation.Verdict
	}{
		"suspended and reactivated meanwhile": {suspendAndRevive, revocation.OrganizationChanged},
		"nothing meanwhile":                   {func() {}, revocation.Alive},
	} {
		command := issue()
		client, err := node.Authenticate(t.Context(), agent.ID, command.Proof, command.At)
		if err != nil {
			t.Fatal(err)
		}
		offer, err := node.OfferToken(t.Context(), client, command)
		if err != nil {
			t.Fatal(err)
		}
		c.meanwhile()
		issued, err := node.IssueToken(t.Context(), ledger.System(), offer)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := index.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := index.Latest().Check(revocation.Token{
			TokenID: issued.Token.TokenID, AgentID: agent.ID, CredentialID: issued.Token.CredentialID, OrganizationID: w.organization,
			ExpiresAt: issued.Token.ExpiresAt, Position: issued.Position, Basis: issued.Basis,
		})
		if got != c.want {
			t.Errorf("%s: the token is %q, want %q", name, got, c.want)
		}
	}
}

func TestAPanicEndsTheCommandAndNotTheServer(t *testing.T) {
	store := &exploding{Store: memory.New()}
	w := newWorld(t, store, 10)
	agent := w.register(t, "a@example.com")
	w.credential(t, agent.ID)
	store.armed.Store(true)
	if _, err := issueToken(t.Context(), w.Ledger, agent.ID, issue()); err == nil {
		t.Fatal("a command that panicked succeeded")
	}
	store.armed.Store(false)
	if _, err := issueToken(t.Context(), w.Ledger, agent.ID, issue()); err != nil {
		t.Errorf("the next command on the same stream: %v", err)
	}
}

// exploding panics where a command is carried out.
type exploding struct {
	eventstore.Store
	armed atomic.Bool
}

func (e *exploding) Append(ctx context.Context, stream string, expected eventstore.ExpectedRevision, events ...eventstore.Draft) (eventstore.Appended, error) {
	if e.armed.Load() {
		panic("boom")
	}
	return e.Store.Append(ctx, stream, expected, events...)
}

// What is offered was decided, and is decided again: an offer is worth nothing
// once the credential is revoked.
func TestAnOfferEndsWithItsCredential(t *testing.T) {
	store := memory.New()
	a := newWorld(t, store, 10)
	b := ledger.New(store, nil, revocation.New(store, revocation.Options{}), ledger.Options{})
	agent := a.register(t, "a@example.com")
	credential := a.credential(t, agent.ID)
	command := issue()
	client, err := b.Authenticate(t.Context(), agent.ID, command.Proof, command.At)
	if err != nil {
		t.Fatal(err)
	}
	offer, err := b.OfferToken(t.Context(), client, command)
	if err != nil || offer.Organization != a.organization {
		t.Fatalf("offered for %s, %v", offer.Organization, err)
	}
	if _, err := a.RevokeCredential(t.Context(), ledger.System(), agent.ID, domain.RevokeCredential{Caller: a.operator, CredentialID: credential}); err != nil {
		t.Fatal(err)
	}
	var failure *domain.AuthError
	if _, err := b.IssueToken(t.Context(), ledger.System(), offer); !errors.As(err, &failure) {
		t.Errorf("a token on a credential that was revoked after the offer: %v", err)
	}
	for _, e := range storetest.Verify(t, store) {
		if e.Type == "token.issued" {
			t.Error("an issuance is on record")
		}
	}
}

// Offers write nothing, whatever they are for.
func TestAnOfferIsNotOnRecord(t *testing.T) {
	w := newWorld(t, memory.New(), 10)
	_, to, link := w.lend(t, "lent@example.com")
	w.credential(t, to.ID)
	before, err := w.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	command := issue()
	client, err := w.Authenticate(t.Context(), to.ID, command.Proof, command.At)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.OfferToken(t.Context(), client, command); err != nil {
		t.Error(err)
	}
	if _, err := w.OfferExchange(t.Context(), revocation.View{}, link, w.exchange(to)); err != nil {
		t.Error(err)
	}
	if after, err := w.Head(t.Context()); err != nil || after != before {
		t.Errorf("the ledger is at %d, was at %d (%v)", after, before, err)
	}
}
