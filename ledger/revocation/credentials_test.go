package revocation_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/memory"
	"github.com/sentryagent/agentidp/ledger/revocation"
)

// madeWith is a link with the credential of the token it was made with.
func madeWith(link domain.DelegationCreated, credential domain.CredentialID) domain.DelegationCreated {
	link.CredentialID = &credential
	return link
}

// What ends a credential ends the delegations made with it before that, those
// below them, and the tokens in use and on their way.
func TestACredentialTakesItsDelegationsWithIt(t *testing.T) {
	organization, agents := newOrganizationID(), []domain.AgentID{newAgentID(), newAgentID(), newAgentID()}
	mine, theirs := newCredentialID(), newCredentialID()
	for name, test := range map[string]struct {
		fact domain.Event
		want revocation.Verdict
	}{
		"revoked":                {domain.CredentialRevoked{AgentID: agents[0], CredentialID: mine}, revocation.DelegationEnded},
		"rotated":                {domain.CredentialRotated{AgentID: agents[0], CredentialID: mine}, revocation.DelegationEnded},
		"rotated and kept":       {domain.CredentialRotated{AgentID: agents[0], CredentialID: mine, DelegationsKept: true}, revocation.Alive},
		"that of the link below": {domain.CredentialRevoked{AgentID: agents[1], CredentialID: theirs}, revocation.DelegationEnded},
		"another one":            {domain.CredentialRevoked{AgentID: agents[0], CredentialID: newCredentialID()}, revocation.Alive},
	} {
		t.Run(name, func(t *testing.T) {
			store := memory.New()
			links := lineage(organization, agents...)
			links[0], links[1] = madeWith(links[0], mine), madeWith(links[1], theirs)
			old := delegated(organization, agents[0], agents[1]) // of a build that kept no credentials
			recordLinks(t, store, append(links, old))
			r := revocation.New(store, revocation.Options{})
			if _, err := r.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			leaf, basis := links[1].DelegationID, r.Position()
			if got := r.Latest().CheckDelegation(leaf, basis); got != revocation.Alive {
				t.Fatalf("before that: %q", got)
			}
			exchanged := issued(agents[2], newCredentialID())
			exchanged.Delegation, exchanged.Subject = &leaf, &agents[0]
			ref := revocation.Token{
				TokenID: exchanged.TokenID, AgentID: agents[2], CredentialID: exchanged.CredentialID, OrganizationID: organization,
				ExpiresAt: exchanged.ExpiresAt, Basis: basis, Delegation: leaf,
			}
			record(t, store, newStream(), organization, test.fact)
			ref.Position = record(t, store, domain.DelegationStream(leaf), organization, exchanged) // it raced
			later := madeWith(delegated(organization, agents[0], agents[1]), mine)
			recordLinks(t, store, []domain.DelegationCreated{later})
			if _, err := r.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := r.Latest().CheckDelegation(leaf, r.Position()); got != test.want {
				t.Errorf("the delegation: %q, want %q", got, test.want)
			}
			if got := r.Latest().Check(ref); got != test.want {
				t.Errorf("a token that was decided on before: %q, want %q", got, test.want)
			}
			for what, id := range map[string]domain.DelegationID{"made after that": later.DelegationID, "from before": old.DelegationID} {
				if got := r.Latest().CheckDelegation(id, r.Position()); got != revocation.Alive {
					t.Errorf("one %s: %q", what, got)
				}
			}
		})
	}
}

// The index and its snapshot hold what something living rests on, and not what
// has gone by. A living delegation keeps what could end it.
func TestTheIndexStaysBoundedOverManyRevocations(t *testing.T) {
	w, key := newWorld(t), newMasterKey(t)
	now := time.Now().Add(-100 * 24 * time.Hour)
	organization := newOrganizationID()
	snapshots := revocation.NewSnapshots(w.pool, key, slog.New(slog.DiscardHandler))
	newIndex := func() *revocation.Index {
		return revocation.New(w.store, revocation.Options{Now: func() time.Time { return now }, Snapshots: snapshots})
	}
	r := newIndex()
	commit := func(stream string, facts ...domain.Event) {
		for _, fact := range facts {
			if _, err := w.store.Append(t.Context(), stream, eventstore.Any(), draft(t, organization, now, fact)); err != nil {
				t.Fatal(err)
			}
		}
	}
	measure := func() (revocation.Size, int) {
		if _, err := r.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.Prune(now)
		if err := r.SaveSnapshot(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		var bytes int
		if err := w.pool.QueryRow(t.Context(), `SELECT length(sealed) FROM revocation_snapshot`).Scan(&bytes); err != nil {
			t.Fatal(err)
		}
		return r.Size(), bytes
	}
	const days, perDay = 8, 40
	var sizes []revocation.Size
	var saved []int
	for range days {
		for range perDay {
			from, to, credential := newAgentID(), newAgentID(), newCredentialID()
			link := madeWith(delegated(organization, from, to), credential)
			link.ExpiresAt = now.Add(24 * time.Hour).UTC().Truncate(time.Microsecond)
			commit(domain.DelegationStream(link.DelegationID), link)
			commit(newStream(), domain.CredentialRevoked{AgentID: from, CredentialID: credential}, domain.AgentDecommissioned{AgentID: from},
				domain.AgentSuspended{AgentID: to}, domain.TokenRevoked{AgentID: to, TokenID: newTokenID(), ExpiresAt: now.Add(time.Hour)})
			now = now.Add(24 * time.Hour / perDay)
		}
		size, bytes := measure()
		sizes, saved = append(sizes, size), append(saved, bytes)
	}
	last := sizes[days-1]
	if last != sizes[1] || saved[days-1] > saved[1]*11/10 {
		t.Errorf("after each day it held %+v, in %v bytes", sizes, saved)
	}
	if last.Credentials < perDay-1 || last.Agents < 2*(perDay-1) || last.Credentials > perDay+4 || last.Tokens > 2 {
		t.Errorf("it holds %+v: what living delegations rest on must be in there, and little else", last)
	}
	whole := newIndex()
	whole.Prune(now) // it began with the snapshot
	if _, err := whole.Sync(t.Context()); err != nil || whole.Size() != last {
		t.Errorf("begun with the snapshot it holds %+v, %v; want %+v", whole.Size(), err, last)
	}
	now = now.Add(25 * time.Hour)
	if size, bytes := measure(); size != (revocation.Size{}) || bytes > saved[0]/2 {
		t.Errorf("when all has gone by it holds %+v, in %d bytes", size, bytes)
	}
	unsaved := revocation.New(w.store, revocation.Options{Now: func() time.Time { return now.Add(3 * time.Hour) }})
	if _, err := unsaved.Sync(t.Context()); err != nil || unsaved.Size() != (revocation.Size{}) {
		t.Errorf("read from the ledger it took in %+v, %v", unsaved.Size(), err)
	}
}
