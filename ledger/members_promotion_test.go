package ledger_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/memory"
	"github.com/sentryagent/agentidp/eventstore/storetest"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
)

// meddling does something right before the first append to a stream.
type meddling struct {
	eventstore.Store
	stream string
	once   sync.Once
	before func()
}

func (m *meddling) Append(ctx context.Context, stream string, expected eventstore.ExpectedRevision, events ...eventstore.Draft) (eventstore.Appended, error) {
	if stream == m.stream {
		m.once.Do(m.before)
	}
	return m.Store.Append(ctx, stream, expected, events...)
}

// An agent that becomes an admin while it is being suspended or decommissioned,
// for the first time or once more, is not counted on by those who end the others.
func TestAnAdminThatIsBeingStoppedIsNotCountedOn(t *testing.T) {
	stop := map[string]func(w *world, node *ledger.Ledger, by domain.Caller, id domain.AgentID) error{
		"suspended": func(w *world, node *ledger.Ledger, by domain.Caller, id domain.AgentID) error {
			return w.setStatus(node, by, id, domain.AgentIsSuspended)
		},
		"decommissioned": func(_ *world, node *ledger.Ledger, by domain.Caller, id domain.AgentID) error {
			_, err := node.DecommissionAgent(context.Background(), ledger.System(), id, domain.DecommissionAgent{Caller: by})
			return err
		},
	}
	for how, stopped := range stop {
		for _, before := range []domain.Role{"", domain.RoleMember, domain.RoleAdmin} {
			t.Run(strings.TrimSpace(fmt.Sprintf("%s %s", before, how)), func(t *testing.T) {
				w := newWorld(t, memory.New(), domain.Unlimited+1000)
				boss, other := w.admins(t, 1)[0], w.register(t, "other@acme.test").ID
				if before != "" {
					w.join(t, other, before)
				}
				from, err := w.Head(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				store := &meddling{Store: w.store, stream: domain.AgentStream(other)}
				store.before = func() {
					organization, err := w.Organization(t.Context(), w.organization)
					if err != nil {
						t.Error(err)
					}
					if _, is := organization.Members[other]; is {
						if err := w.removeMember(w.Ledger, other); err != nil {
							t.Error(err)
						}
					}
					w.join(t, other, domain.RoleAdmin)
					if err := w.removeMember(w.Ledger, boss); err != nil {
						t.Errorf("the other one is an admin that can act: %v", err)
					}
				}
				node := ledger.New(store, nil, revocation.New(store, revocation.Options{}), ledger.Options{})
				if err := stopped(w, node, w.as(boss), other); !isCode(err, domain.CodeConflict) {
					t.Errorf("the last admin was %s: %v", how, err)
				}
				w.checkAdminsSince(t, []domain.AgentID{boss, other}, from)
				storetest.Verify(t, w.store)
			})
		}
	}
}

// Given the role and losing it, suspended, brought back and decommissioned at
// random by many at once, on two nodes: at every position an admin can act.
func TestAnAdminCanActAtEveryPositionWhoeverIsPromoted(t *testing.T) {
	for round := range 40 {
		store := memory.New()
		w := newWorld(t, store, domain.Unlimited+1000)
		nodes := []*ledger.Ledger{w.Ledger, ledger.New(store, nil, revocation.New(store, revocation.Options{}), ledger.Options{})}
		ids := w.admins(t, 2)
		for i := range 2 {
			ids = append(ids, w.register(t, fmt.Sprintf("plain-%d@acme.test", i)).ID)
		}
		from, err := w.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(uint64(round), 12))
		steps := make([][]int, 8)
		for i := range steps {
			for range 20 {
				steps[i] = append(steps[i], rng.IntN(1000))
			}
		}
		parallel(len(steps), func(i int) error {
			for _, n := range steps[i] {
				id, by, node := ids[n%4], w.as(ids[(n/4)%4]), nodes[i%2]
				switch kind := (n / 16) % 8; {
				case n == 999:
					_, _ = node.DecommissionAgent(t.Context(), ledger.System(), id, domain.DecommissionAgent{Caller: by})
				case kind < 2:
					_ = w.setStatus(node, by, id, domain.AgentIsSuspended)
				case kind < 4:
					_ = w.setStatus(node, w.operator, id, domain.AgentActive)
				case kind < 6:
					_, _ = node.AddMember(t.Context(), ledger.System(), w.organization, domain.AddMember{Caller: w.operator, AgentID: id, Role: domain.RoleAdmin})
				default:
					_ = w.removeMember(node, id)
				}
			}
			return nil
		})
		w.checkAdminsSince(t, ids, from)
		storetest.Verify(t, store)
	}
}

// What is refused confirms nobody.
func TestARefusedRemovalWritesNothing(t *testing.T) {
	w := newWorld(t, memory.New(), 1000)
	ids, plain := w.admins(t, 2), w.register(t, "plain@acme.test").ID
	head, err := w.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.RemoveMember(t.Context(), ledger.System(), w.organization, domain.RemoveMember{Caller: w.as(plain), AgentID: ids[0]})
	if !isCode(err, domain.CodeInsufficientScope) {
		t.Errorf("got %v", err)
	}
	if now, err := w.Head(t.Context()); err != nil || now != head {
		t.Errorf("the ledger went from %d to %d, %v", head, now, err)
	}
}

func (w *world) removeMember(node *ledger.Ledger, id domain.AgentID) error {
	_, err := node.RemoveMember(context.Background(), ledger.System(), w.organization, domain.RemoveMember{Caller: w.operator, AgentID: id})
	return err
}
