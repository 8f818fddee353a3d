package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore/memory"
	"github.com/sentryagent/agentidp/eventstore/storetest"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
)

// lend registers two agents and has the first lend the second all it has.
func (w *world) lend(t *testing.T, name string) (from, to domain.Agent, link domain.DelegationID) {
	t.Helper()
	from, to = w.register(t, "from-"+name), w.register(t, "to-"+name)
	outcome, err := w.CreateDelegation(t.Context(), ledger.System(), w.delegation(from, to), stillGood)
	if err != nil {
		t.Fatal(err)
	}
	return from, to, outcome.State.ID
}

func stillGood(context.Context) (bool, error) { return true, nil }

func (w *world) delegation(from, to domain.Agent) domain.CreateDelegation {
	return domain.CreateDelegation{
		Caller:       domain.Caller{AgentID: from.ID, OrganizationID: w.organization, Scopes: from.Scopes},
		DelegationID: domain.DelegationID{UUID: ledger.NewID()}, DelegateeID: to.ID, Scopes: from.Scopes, TTLSeconds: 3600, At: time.Now(),
	}
}

func (w *world) exchange(to domain.Agent) domain.ExchangeDelegation {
	return domain.ExchangeDelegation{
		Actor:   domain.Caller{AgentID: to.ID, OrganizationID: w.organization},
		TokenID: domain.TokenID{UUID: ledger.NewID()}, At: time.Now().Truncate(time.Second),
	}
}

func TestADelegationRepeatedWithItsIDIsMadeOnce(t *testing.T) {
	w := newWorld(t, memory.New(), 10)
	from, to := w.register(t, "from@example.com"), w.register(t, "to@example.com")
	command := w.delegation(from, to)
	for range 3 {
		outcome, err := w.CreateDelegation(t.Context(), ledger.System(), command, stillGood)
		if err != nil || outcome.State.ID != command.DelegationID {
			t.Fatalf("got %v, %v", outcome.State.ID, err)
		}
	}
}

// What another node has committed counts, whatever this one remembers.
func TestAnExchangeRestsOnWhatIsNow(t *testing.T) {
	store := memory.New()
	a := newWorld(t, store, 1000)
	revocations := revocation.New(store, revocation.Options{})
	b := ledger.New(store, nil, revocations, ledger.Options{})
	exchangeOnB := func(link domain.DelegationID, to domain.Agent) (ledger.Exchanged, error) {
		seen, err := revocations.Sync(t.Context())
		if err != nil {
			return ledger.Exchanged{}, err
		}
		return exchange(t.Context(), b, seen, link, a.exchange(to))
	}
	less, asleep := domain.NewScopes(domain.ScopeAuditRead), domain.AgentIsSuspended
	for name, test := range map[string]struct {
		change  func(from domain.Agent, link domain.DelegationID) error
		want    string
		refused bool
	}{
		"revoked": {func(from domain.Agent, link domain.DelegationID) error {
			_, err := a.RevokeDelegation(t.Context(), ledger.System(), link, domain.RevokeDelegation{Caller: a.operator})
			return err
		}, "", true},
		"the delegator lost scopes": {func(from domain.Agent, _ domain.DelegationID) error {
			_, err := a.UpdateAgent(t.Context(), ledger.System(), from.ID, domain.UpdateAgent{Caller: a.operator, Scopes: &less})
			return err
		}, "audit:read", false},
		"the delegator lost scopes and got them back": {func(from domain.Agent, _ domain.DelegationID) error {
			for _, scopes := range []domain.Scopes{less, from.Scopes} {
				if _, err := a.UpdateAgent(t.Context(), ledger.System(), from.ID, domain.UpdateAgent{Caller: a.operator, Scopes: &scopes}); err != nil {
					return err
				}
			}
			return nil
		}, "agents:read audit:read", false},
		"the delegator is suspended": {func(from domain.Agent, _ domain.DelegationID) error {
			_, err := a.UpdateAgent(t.Context(), ledger.System(), from.ID, domain.UpdateAgent{Caller: a.operator, Status: &asleep})
			return err
		}, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			for round := range 50 {
				from, to, link := a.lend(t, fmt.Sprintf("%x-%d@example.com", name, round))
				got, err := exchangeOnB(link, to)
				if err != nil || got.Issued.Scope != "agents:read audit:read" || len(got.Actors) != 1 || got.Actors[0] != to.ID || *got.Issued.Subject != from.ID {
					t.Fatalf("exchanged for %+v, %v", got, err) // and b knows them all now
				}
				if err := test.change(from, link); err != nil {
					t.Fatal(err)
				}
				got, err = exchangeOnB(link, to)
				if (err != nil) != test.refused || got.Issued.Scope != test.want {
					t.Fatalf("round %d: the other node gave %q, %v", round, got.Issued.Scope, err)
				}
			}
		})
	}
	storetest.Verify(t, store)
}

// What gives authority back ends no token, so no view tells of it.
func TestAnExchangeGivesWhatTheDelegatorGotBack(t *testing.T) {
	store := memory.New()
	a := newWorld(t, store, 10)
	revocations := revocation.New(store, revocation.Options{})
	b := ledger.New(store, nil, revocations, ledger.Options{})
	from, to, link := a.lend(t, "lent@example.com")
	asleep, awake := domain.AgentIsSuspended, domain.AgentActive
	less := domain.NewScopes(domain.ScopeAuditRead)
	for i, step := range []struct {
		change domain.UpdateAgent
		want   string // "": it is refused
	}{
		{domain.UpdateAgent{Scopes: &less}, "audit:read"},
		{domain.UpdateAgent{Scopes: &from.Scopes}, "agents:read audit:read"},
		{domain.UpdateAgent{Status: &asleep}, ""},
		{domain.UpdateAgent{Status: &awake}, "agents:read audit:read"},
	} {
		step.change.Caller = a.operator
		if _, err := a.UpdateAgent(t.Context(), ledger.System(), from.ID, step.change); err != nil {
			t.Fatal(err)
		}
		seen, err := revocations.Sync(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got, err := exchange(t.Context(), b, seen, link, a.exchange(to))
		if got.Issued.Scope != step.want || (err == nil) != (step.want != "") {
			t.Errorf("change %d: exchanged for %q, %v; want %q", i, got.Issued.Scope, err, step.want)
		}
	}
}

func TestNothingIsExchangedForWhatNeverWas(t *testing.T) {
	w := newWorld(t, memory.New(), 10)
	to := w.register(t, "to@example.com")
	_, err := exchange(t.Context(), w.Ledger, revocation.View{}, domain.DelegationID{UUID: ledger.NewID()}, w.exchange(to))
	if !isCode(err, domain.CodeValidation) {
		t.Errorf("got %v", err)
	}
}

// A token that ends while it is used to lend leaves nothing that can be used,
// and when that cannot be told the command can be repeated.
func TestADelegationWhoseTokenEndsMeanwhileIsNotHandedOut(t *testing.T) {
	w := newWorld(t, memory.New(), 10)
	from, to := w.register(t, "from@example.com"), w.register(t, "to@example.com")
	command := w.delegation(from, to)
	unknown := errors.New("the ledger cannot be asked")
	_, err := w.CreateDelegation(t.Context(), ledger.System(), command, func(context.Context) (bool, error) { return false, unknown })
	if !errors.Is(err, unknown) {
		t.Errorf("not known whether the token is good: %v", err)
	}
	if again, err := w.CreateDelegation(t.Context(), ledger.System(), command, stillGood); err != nil || !again.State.RevokedAt.IsZero() {
		t.Errorf("repeated: %+v, %v", again.State, err)
	}
	command.DelegationID.UUID = ledger.NewID()
	asked := 0
	_, err = w.CreateDelegation(t.Context(), ledger.System(), command, func(context.Context) (bool, error) { asked++; return asked == 1, nil })
	if !isCode(err, domain.CodeUnauthorized) {
		t.Errorf("with a token that ended meanwhile: %v", err)
	}
	if left, err := w.Delegation(t.Context(), command.DelegationID); err != nil || left.RevokedAt.IsZero() {
		t.Errorf("it left %+v, %v; want it revoked", left, err)
	}
}
