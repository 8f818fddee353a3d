package ledger_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/memory"
	"github.com/sentryagent/agentidp/eventstore/storetest"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
)

// killedOnRecord does something before a delegation is recorded, and fails what
// follows as the process would that is killed as soon as it is.
type killedOnRecord struct {
	eventstore.Store
	before func()
}

func (k *killedOnRecord) Append(ctx context.Context, stream string, expected eventstore.ExpectedRevision, events ...eventstore.Draft) (eventstore.Appended, error) {
	if !strings.HasPrefix(stream, "delegation-") {
		return k.Store.Append(ctx, stream, expected, events...)
	}
	k.before()
	if appended, err := k.Store.Append(ctx, stream, expected, events...); err != nil {
		return appended, err
	}
	return eventstore.Appended{}, errKilled
}

// Killed when a delegation is on record that was made with a credential which had
// just ended, a server leaves none that lives. What does not end what was lent
// leaves it alive.
func TestNothingLivesOfALoanWhoseCredentialHadJustEnded(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(w *world, agent domain.AgentID, credential domain.CredentialID) error
		want revocation.Verdict
	}{
		"revoked": {func(w *world, agent domain.AgentID, credential domain.CredentialID) error {
			return w.revokeCredential(agent, credential)
		}, revocation.DelegationEnded},
		"rotated": {func(w *world, agent domain.AgentID, credential domain.CredentialID) error {
			return w.rotate(agent, credential, false)
		}, revocation.DelegationEnded},
		"rotated and kept": {func(w *world, agent domain.AgentID, credential domain.CredentialID) error {
			return w.rotate(agent, credential, true)
		}, revocation.Alive},
		"rotated, and kept at the next time": {func(w *world, agent domain.AgentID, credential domain.CredentialID) error {
			return errors.Join(w.rotate(agent, credential, false), w.rotate(agent, credential, true))
		}, revocation.DelegationEnded},
		"nothing": {func(*world, domain.AgentID, domain.CredentialID) error { return nil }, revocation.Alive},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, memory.New(), 1000)
			from, to := w.register(t, "from@example.com"), w.register(t, "to@example.com")
			credential := w.credential(t, from.ID)
			if err := w.rotate(from.ID, credential, false); err != nil { // it ended once, before that
				t.Fatal(err)
			}
			index := revocation.New(w.store, revocation.Options{})
			command := w.delegation(from, to)
			command.Caller.CredentialID = credential
			dying := ledger.New(&killedOnRecord{w.store, func() {
				if err := test.end(w, from.ID, credential); err != nil {
					t.Error(err)
				}
			}}, nil, index, ledger.Options{})
			if _, err := dying.CreateDelegation(t.Context(), ledger.System(), command, stillGood); !errors.Is(err, errKilled) {
				t.Fatalf("got %v, want it killed", err)
			}
			w.mustBe(t, index, command.DelegationID, test.want)
			again := w.delegation(from, to) // with a token that was got since
			again.Caller.CredentialID = credential
			if _, err := w.CreateDelegation(t.Context(), ledger.System(), again, stillGood); err != nil {
				t.Fatal(err)
			}
			w.mustBe(t, index, again.DelegationID, revocation.Alive)
		})
	}
}

// The same, with a revocation that comes whenever it does.
func TestNoLoanSurvivesARevocationThatItRacedWith(t *testing.T) {
	w := newWorld(t, memory.New(), domain.Unlimited+1000)
	from, to := w.register(t, "from@example.com"), w.register(t, "to@example.com")
	index := revocation.New(w.store, revocation.Options{})
	node := ledger.New(&killedOnRecord{w.store, func() {}}, nil, index, ledger.Options{})
	recorded := 0
	for round := range 200 {
		credential := w.credential(t, from.ID)
		command := w.delegation(from, to)
		command.Caller.CredentialID = credential
		alive := func(context.Context) (bool, error) { return w.usable(t, from.ID, credential), nil }
		parallel(2, func(i int) (err error) {
			if i == 0 {
				return w.revokeCredential(from.ID, credential)
			}
			_, err = node.CreateDelegation(t.Context(), ledger.System(), command, alive)
			return err
		})
		made, err := w.Delegation(t.Context(), command.DelegationID)
		if err != nil {
			t.Fatal(err)
		}
		if made.Exists() {
			recorded++
		}
		if _, err := index.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := index.Latest().CheckDelegation(command.DelegationID, index.Position()); got != revocation.DelegationEnded {
			t.Fatalf("round %d: %q, want it ended", round, got)
		}
	}
	t.Logf("%d of 200 were recorded", recorded)
	storetest.Verify(t, w.store)
}

// A refused loan writes nothing.
func TestALoanWithADeadTokenIsNotRecorded(t *testing.T) {
	w := newWorld(t, memory.New(), 10)
	command := w.delegation(w.register(t, "from@example.com"), w.register(t, "to@example.com"))
	head, err := w.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.CreateDelegation(t.Context(), ledger.System(), command, func(context.Context) (bool, error) { return false, nil })
	if !isCode(err, domain.CodeUnauthorized) {
		t.Errorf("got %v", err)
	}
	if now, err := w.Head(t.Context()); err != nil || now != head {
		t.Errorf("the ledger went from %d to %d, %v", head, now, err)
	}
}

func (w *world) mustBe(t *testing.T, index *revocation.Index, id domain.DelegationID, want revocation.Verdict) {
	t.Helper()
	if _, err := index.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := index.Latest().CheckDelegation(id, index.Position()); got != want {
		t.Errorf("the delegation: %q, want %q", got, want)
	}
}

func (w *world) rotate(agent domain.AgentID, credential domain.CredentialID, keep bool) error {
	_, err := w.RotateCredential(context.Background(), ledger.System(), agent, domain.RotateCredential{
		Caller: w.operator, CredentialID: credential, Verifier: &testVerifier, KeepDelegations: keep, At: time.Now(),
	})
	return err
}

func (w *world) revokeCredential(agent domain.AgentID, credential domain.CredentialID) error {
	_, err := w.RevokeCredential(context.Background(), ledger.System(), agent,
		domain.RevokeCredential{Caller: w.operator, CredentialID: credential, Reason: "a test"})
	return err
}

// usable reports whether the credential is still there.
func (w *world) usable(t *testing.T, agent domain.AgentID, credential domain.CredentialID) bool {
	known, err := w.Agent(t.Context(), agent)
	if err != nil {
		t.Error(err)
		return false
	}
	for _, c := range known.Credentials {
		if c.ID == credential {
			return c.UsableAt(time.Now())
		}
	}
	return false
}
