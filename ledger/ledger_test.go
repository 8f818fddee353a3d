package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/memory"
	"github.com/sentryagent/agentidp/eventstore/storetest"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
)

// world is a ledger on a store of its own, with one organization in it. Its
// clock can be moved. A registration is given up after testGrace by that clock,
// so none is given up because the machine is slow.
type world struct {
	*ledger.Ledger
	store        eventstore.Store
	operator     domain.Caller
	organization domain.OrganizationID
	ahead        atomic.Int64 // of the machine's clock, in nanoseconds
}

const testGrace = time.Hour

func (w *world) clock() time.Time     { return time.Now().Add(time.Duration(w.ahead.Load())) }
func (w *world) wait(d time.Duration) { w.ahead.Add(int64(d)) }

func newWorld(t *testing.T, store eventstore.Store, limit int) *world {
	t.Helper()
	w := &world{
		store:    store,
		operator: domain.Caller{OrganizationID: domain.OrganizationID{UUID: uuid.New()}, Scopes: domain.AllScopes()},
	}
	w.Ledger = ledger.New(store, nil, revocation.New(store, revocation.Options{}), ledger.Options{Grace: testGrace, Now: w.clock})
	outcome, err := w.CreateOrganization(t.Context(), ledger.System(), domain.CreateOrganization{
		Caller: w.operator, OrganizationID: domain.OrganizationID{UUID: ledger.NewID()},
		Name: "Acme", Slug: "acme", PlanTier: domain.TierEnterprise, MaxAgents: &limit,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.organization = outcome.State.ID
	return w
}

func (w *world) registration(email string) domain.RegisterAgent {
	return domain.RegisterAgent{
		Caller: w.operator, AgentID: domain.AgentID{UUID: ledger.NewID()}, OrganizationID: w.organization, Email: email,
		Profile: domain.Profile{AgentType: domain.AgentCustom, Version: "1.0.0", Owner: "tests", DeploymentEnv: domain.EnvDevelopment},
		Scopes:  domain.NewScopes(domain.ScopeAgentsRead, domain.ScopeAuditRead),
	}
}

func (w *world) register(t *testing.T, email string) domain.Agent {
	t.Helper()
	outcome, err := w.RegisterAgent(t.Context(), ledger.System(), w.registration(email))
	if err != nil {
		t.Fatal(err)
	}
	return outcome.State
}

var testVerifier = domain.Verifier{KeyID: "k", MAC: []byte("mac")}

func (w *world) credential(t *testing.T, agent domain.AgentID) domain.CredentialID {
	t.Helper()
	id := domain.CredentialID{UUID: ledger.NewID()}
	_, err := w.GenerateCredential(t.Context(), ledger.System(), agent, domain.GenerateCredential{
		Caller: w.operator, CredentialID: id, Verifier: &testVerifier, At: time.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func issue() domain.IssueToken {
	return domain.IssueToken{
		Proof: domain.Proof{Secret: []domain.Verifier{testVerifier}}, TokenID: domain.TokenID{UUID: ledger.NewID()},
		Audience: "test", Algorithm: "ES256", KeyID: "k", At: time.Now(),
	}
}

// issueToken is the whole way to a token: the client authenticates, is made an
// offer, and takes it.
func issueToken(ctx context.Context, l *ledger.Ledger, id domain.AgentID, command domain.IssueToken) (ledger.Issued, error) {
	client, err := l.Authenticate(ctx, id, command.Proof, command.At)
	if err != nil {
		return ledger.Issued{}, err
	}
	offer, err := l.OfferToken(ctx, client, command)
	if err != nil {
		return ledger.Issued{}, err
	}
	return l.IssueToken(ctx, ledger.System(), offer)
}

func exchange(ctx context.Context, l *ledger.Ledger, seen revocation.View, id domain.DelegationID, command domain.ExchangeDelegation) (ledger.Exchanged, error) {
	offer, err := l.OfferExchange(ctx, seen, id, command)
	if err != nil {
		return ledger.Exchanged{}, err
	}
	return l.ExchangeDelegation(ctx, ledger.System(), offer)
}

// parallel runs do n times at once and counts the results by code; "" is success.
func parallel(n int, do func(i int) error) map[domain.Code]int {
	var (
		mu     sync.Mutex
		counts = map[domain.Code]int{}
		group  sync.WaitGroup
	)
	for i := range n {
		group.Go(func() {
			err := do(i)
			code := domain.Code("")
			if refusal, ok := errors.AsType[*domain.Error](err); ok {
				code = refusal.Code
			} else if err != nil {
				code = domain.Code(err.Error())
			}
			mu.Lock()
			defer mu.Unlock()
			counts[code]++
		})
	}
	group.Wait()
	return counts
}

func TestOneOfManyRegistrationsWithOneEmailWins(t *testing.T) {
	w := newWorld(t, memory.New(), domain.Unlimited+1000)
	got := parallel(50, func(i int) error {
		email := "same@example.com"
		if i%2 == 1 {
			email = "SAME@example.com"
		}
		_, err := w.RegisterAgent(t.Context(), ledger.System(), w.registration(email))
		return err
	})
	if got[""] != 1 || got[domain.CodeAgentExists] != 49 {
		t.Errorf("50 registrations with one e-mail address: %v, want 1 success and 49 %s", got, domain.CodeAgentExists)
	}
	storetest.Verify(t, w.store)
}

func TestTheCapHoldsUnderConcurrency(t *testing.T) {
	w := newWorld(t, memory.New(), 10)
	got := parallel(50, func(i int) error {
		_, err := w.RegisterAgent(t.Context(), ledger.System(), w.registration(fmt.Sprintf("a%d@example.com", i)))
		return err
	})
	if got[""] != 10 || got[domain.CodeAgentCap] != 40 {
		t.Errorf("50 registrations with room for 10: %v, want 10 successes and 40 %s", got, domain.CodeAgentCap)
	}
}

func TestARefusedRegistrationLeavesItsEmailFree(t *testing.T) {
	w := newWorld(t, memory.New(), 1)
	first := w.register(t, "first@example.com")
	if _, err := w.RegisterAgent(t.Context(), ledger.System(), w.registration("second@example.com")); !isCode(err, domain.CodeAgentCap) {
		t.Fatalf("registration beyond the cap: %v, want %s", err, domain.CodeAgentCap)
	}
	if _, err := w.DecommissionAgent(t.Context(), ledger.System(), first.ID, domain.DecommissionAgent{Caller: w.operator}); err != nil {
		t.Fatal(err)
	}
	w.register(t, "second@example.com")
}

// crashing fails every append to streams with a prefix, as a process that is
// killed before it gets there would.
type crashing struct {
	eventstore.Store
	prefix string
	active atomic.Bool
}

var errKilled = errors.New("killed")

func (c *crashing) Append(ctx context.Context, stream string, expected eventstore.ExpectedRevision, events ...eventstore.Draft) (eventstore.Appended, error) {
	if c.active.Load() && len(stream) >= len(c.prefix) && stream[:len(c.prefix)] == c.prefix {
		return eventstore.Appended{}, errKilled
	}
	return c.Store.Append(ctx, stream, expected, events...)
}

func TestACrashBetweenTheStepsOfARegistrationBlocksNothing(t *testing.T) {
	for _, prefix := range []string{"seats-", "agent-"} {
		t.Run("before "+prefix, func(t *testing.T) {
			store := &crashing{Store: memory.New(), prefix: prefix}
			w := newWorld(t, store, 1)
			store.active.Store(true)
			if _, err := w.RegisterAgent(t.Context(), ledger.System(), w.registration("a@example.com")); !errors.Is(err, errKilled) {
				t.Fatalf("got %v, want the crash", err)
			}
			store.active.Store(false)
			w.wait(testGrace)
			agent := w.register(t, "a@example.com")
			if _, err := w.RegisterAgent(t.Context(), ledger.System(), w.registration("b@example.com")); !isCode(err, domain.CodeAgentCap) {
				t.Errorf("a second agent in an organization with room for one: %v, want %s", err, domain.CodeAgentCap)
			}
			if _, err := w.DecommissionAgent(t.Context(), ledger.System(), agent.ID, domain.DecommissionAgent{Caller: w.operator}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestASeatLostInACrashIsFoundWhenTheOrganizationIsFull(t *testing.T) {
	store := &crashing{Store: memory.New(), prefix: "agent-"}
	w := newWorld(t, store, 1)
	store.active.Store(true)
	if _, err := w.RegisterAgent(t.Context(), ledger.System(), w.registration("lost@example.com")); !errors.Is(err, errKilled) {
		t.Fatalf("got %v, want the crash", err)
	}
	store.active.Store(false)
	if _, err := w.RegisterAgent(t.Context(), ledger.System(), w.registration("early@example.com")); !isCode(err, domain.CodeAgentCap) {
		t.Errorf("while the lost one may come to life yet: %v, want %s", err, domain.CodeAgentCap)
	}
	w.wait(testGrace)
	w.register(t, "other@example.com")
}

func TestASlowRegistrationThatWasTakenOverFails(t *testing.T) {
	w := newWorld(t, memory.New(), 10)
	slow := w.registration("a@example.com")
	// The slow one claims and then pauses: only its claim is in the ledger.
	claimOnly := &crashing{Store: w.store, prefix: "seats-"}
	claimOnly.active.Store(true)
	other := ledger.New(claimOnly, nil, revocation.New(claimOnly, revocation.Options{}), ledger.Options{})
	if _, err := other.RegisterAgent(t.Context(), ledger.System(), slow); !errors.Is(err, errKilled) {
		t.Fatalf("got %v, want the pause", err)
	}
	w.wait(testGrace)
	winner := w.register(t, "a@example.com")
	claimOnly.active.Store(false)
	if _, err := other.RegisterAgent(t.Context(), ledger.System(), slow); err == nil {
		t.Fatalf("two agents have one e-mail address: %s and %s", winner.ID, slow.AgentID)
	}
}

func TestARegistrationRepeatedWithItsIDIsDoneOnce(t *testing.T) {
	w := newWorld(t, memory.New(), 10)
	command := w.registration("a@example.com")
	for range 3 {
		outcome, err := w.RegisterAgent(t.Context(), ledger.System(), command)
		if err != nil || outcome.State.ID != command.AgentID {
			t.Fatalf("got %v, %v", outcome.State.ID, err)
		}
	}
	created := 0
	for _, e := range storetest.All(t, w.store) {
		if e.Type == "agent.created" {
			created++
		}
	}
	if created != 1 {
		t.Errorf("%d agents were created, want 1", created)
	}
}

// counting counts appends, and holds them while callers are awaited, so that
// those queue up behind the first.
// A node may be frozen between its look at the organization and its append.
func TestAnOrganizationWithAgentsCannotBeDeleted(t *testing.T) {
	w := newWorld(t, memory.New(), 10)
	agent := w.register(t, "a@example.com")
	command := domain.DeleteOrganization{Caller: w.operator}
	if _, err := w.DeleteOrganization(t.Context(), ledger.System(), w.organization, command); !isCode(err, domain.CodeHasActiveAgents) {
		t.Fatalf("got %v, want %s", err, domain.CodeHasActiveAgents)
	}
	if _, err := w.DecommissionAgent(t.Context(), ledger.System(), agent.ID, domain.DecommissionAgent{Caller: w.operator}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.DeleteOrganization(t.Context(), ledger.System(), w.organization, command); err != nil {
		t.Fatal(err)
	}
	if _, err := w.RegisterAgent(t.Context(), ledger.System(), w.registration("b@example.com")); !isCode(err, domain.CodeOrganizationNotFound) {
		t.Errorf("an agent was registered into a deleted organization: %v", err)
	}
}

func isCode(err error, code domain.Code) bool { return errors.Is(err, &domain.Error{Code: code}) }
