package history_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/postgres"
	"github.com/sentryagent/agentidp/internal/pgtest"
	"github.com/sentryagent/agentidp/projections/readmodels"
	"github.com/sentryagent/agentidp/replay/history"
	"github.com/sentryagent/agentidp/replay/replaytest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// scribe writes events into a ledger whose read models nobody fills, an hour
// apart.
type scribe struct {
	store   *postgres.Store
	history *history.History
	at      time.Time
}

func newScribe(t *testing.T) *scribe {
	t.Helper()
	database := pgtest.New(t, pgtest.Migrated)
	pool := pgtest.Pool(t, database.ServerURL)
	s := &scribe{store: postgres.New(t.Context(), pool, postgres.Options{}), at: time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC)}
	t.Cleanup(s.store.Close)
	s.history = history.New(s.store, readmodels.NewQueries(pool), func() time.Time { return s.at })
	return s
}

func (s *scribe) write(t *testing.T, stream string, fact domain.Event) eventstore.Position {
	t.Helper()
	s.at = s.at.Add(time.Hour)
	name, schema, data, err := domain.Encode(fact)
	if err != nil {
		t.Fatal(err)
	}
	appended, err := s.store.Append(t.Context(), stream, eventstore.Any(), eventstore.Draft{
		ID: uuid.Must(uuid.NewV7()), Type: string(name), Schema: schema, Organization: replaytest.Ours.UUID, Time: s.at, Data: data,
		Actor: eventstore.Actor{Kind: "system", ID: "test"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return appended.Position()
}

func (s *scribe) agent(t *testing.T) domain.AgentID {
	t.Helper()
	id := domain.AgentID{UUID: uuid.Must(uuid.NewV7())}
	s.write(t, domain.AgentStream(id), domain.AgentCreated{
		AgentID: id, OrganizationID: replaytest.Ours, Email: id.String() + "@acme.example", Scopes: domain.DefaultScopes(),
	})
	return id
}

var auditor = domain.Caller{OrganizationID: replaytest.Ours}

// The ledger is the truth: what the read model has not seen is found there, a
// link that ended above is told, and nothing later than the moment is.
func TestDelegationsAreFoundWithoutTheReadModel(t *testing.T) {
	t.Parallel()
	s := newScribe(t)
	s.write(t, domain.OrganizationStream(replaytest.Ours), domain.OrganizationCreated{OrganizationID: replaytest.Ours, Name: "Acme", Slug: "acme", PlanTier: domain.TierPro})
	a, b, c := s.agent(t), s.agent(t), s.agent(t)
	upper, lower := domain.DelegationID{UUID: uuid.New()}, domain.DelegationID{UUID: uuid.New()}
	lent := func(id domain.DelegationID, from, to domain.AgentID, parent *domain.DelegationID) domain.DelegationCreated {
		return domain.DelegationCreated{DelegationID: id, OrganizationID: replaytest.Ours, DelegatorID: from, DelegateeID: to, ParentID: parent,
			Scopes: domain.DefaultScopes(), TTLSeconds: domain.MaxDelegationTTL, ExpiresAt: s.at.Add(10 * time.Hour)}
	}
	s.write(t, domain.DelegationStream(upper), lent(upper, a, b, nil))
	both := s.write(t, domain.DelegationStream(lower), lent(lower, b, c, &upper))
	ended := s.write(t, domain.DelegationStream(upper), domain.DelegationRevoked{DelegationID: upper, DelegatorID: a, RevokedBy: a})

	for name, test := range map[string]struct {
		of    domain.AgentID
		at    history.Moment
		ids   []domain.DelegationID
		alive bool
	}{
		"before the second":     {b, history.Moment{Position: both - 1}, []domain.DelegationID{upper}, true},
		"both":                  {b, history.Moment{Position: both}, []domain.DelegationID{lower, upper}, true},
		"the upper one revoked": {b, history.Moment{Position: ended}, []domain.DelegationID{lower, upper}, false},
		"of the last in line":   {c, history.Moment{}, []domain.DelegationID{lower}, false},
		"by time":               {c, history.Moment{Time: s.at.Add(-time.Minute)}, []domain.DelegationID{lower}, true},
	} {
		t.Run(name, func(t *testing.T) {
			state, err := s.history.Agent(t.Context(), auditor, test.of, test.at)
			if err != nil || len(state.Delegations) != len(test.ids) || state.DelegationsTotal != len(test.ids) {
				t.Fatalf("told %+v, %v; want %v", state.Delegations, err, test.ids)
			}
			for i, d := range state.Delegations {
				if d.ID != test.ids[i].UUID || d.Alive != test.alive {
					t.Errorf("delegation %d is %s, alive %v for %v; want %s, alive %v", i, d.ID, d.Alive, d.Reasons, test.ids[i], test.alive)
				}
				if !d.Alive && d.Reasons[0].Event.Position != ended {
					t.Errorf("it ended by %+v, want position %d", d.Reasons[0], ended)
				}
			}
		})
	}
	s.at = s.at.Add(20 * time.Hour)
	if state, err := s.history.Agent(t.Context(), auditor, b, history.Moment{}); err != nil || state.DelegationsTotal != 2 || state.Delegations[0].Alive {
		t.Errorf("after their end: %+v, %v; want both, expired", state.Delegations, err)
	}
	s.at = s.at.Add(20 * time.Hour)
	if state, err := s.history.Agent(t.Context(), auditor, b, history.Moment{}); err != nil || state.DelegationsTotal != 0 || len(state.Delegations) != 0 {
		t.Errorf("a day after their end: %+v, %v; want none, as the read model tells it", state.Delegations, err)
	}
}

// A delegation ends with the credential it was made with, by the first event that
// ends that after its making. What the credential came to before counts not.
func TestADelegationEndsWithItsCredentialInEveryState(t *testing.T) {
	t.Parallel()
	s := newScribe(t)
	s.write(t, domain.OrganizationStream(replaytest.Ours), domain.OrganizationCreated{OrganizationID: replaytest.Ours, Name: "Acme", Slug: "acme", PlanTier: domain.TierPro})
	lender, borrower := s.agent(t), s.agent(t)
	credential, id := domain.CredentialID{UUID: uuid.New()}, domain.DelegationID{UUID: uuid.New()}
	of := func(fact domain.Event) eventstore.Position { return s.write(t, domain.AgentStream(lender), fact) }
	rotated := domain.CredentialRotated{AgentID: lender, CredentialID: credential, Verifier: &domain.Verifier{KeyID: "k", MAC: []byte("mac")}}
	kept := rotated
	kept.DelegationsKept = true
	of(domain.CredentialGenerated{AgentID: lender, CredentialID: credential, Kind: domain.SecretCredential, Verifier: rotated.Verifier})
	of(rotated)
	made := s.write(t, domain.DelegationStream(id), domain.DelegationCreated{DelegationID: id, OrganizationID: replaytest.Ours, DelegatorID: lender, DelegateeID: borrower,
		Scopes: domain.DefaultScopes(), TTLSeconds: domain.MaxDelegationTTL, ExpiresAt: s.at.Add(24 * time.Hour), CredentialID: &credential})
	stays := of(kept)
	ended := of(rotated)
	endedAt := s.at
	again := of(domain.CredentialRevoked{AgentID: lender, CredentialID: credential})
	late := s.write(t, domain.DelegationStream(id), domain.DelegationRevoked{DelegationID: id, DelegatorID: lender, RevokedBy: lender})

	for at, alive := range map[eventstore.Position]bool{made: true, stays: true, ended: false, again: false, late: false} {
		alone, err := s.history.Delegation(t.Context(), id, history.Moment{Position: at})
		if err != nil {
			t.Fatal(err)
		}
		told := []history.Thing{alone.Subject}
		for _, part := range []domain.AgentID{lender, borrower} {
			state, err := s.history.Agent(t.Context(), auditor, part, history.Moment{Position: at})
			if err != nil || len(state.Delegations) != 1 {
				t.Fatalf("at %d: told %+v, %v; want the delegation", at, state.Delegations, err)
			}
			d := state.Delegations[0]
			if d.Alive != alive || !alive && d.Reasons[0].Event.Position != ended && d.Reasons[0].Event.Position != late {
				t.Errorf("at %d: alive %v for %+v; want alive %v", at, d.Alive, d.Reasons, alive)
			}
			told = append(told, d.Thing)
		}
		for _, thing := range told {
			end := thing.Facts.Get("revokedAt")
			if when, is := end.Value.(time.Time); alive && end.Value != nil || !alive && (!is || !when.Equal(endedAt) || end.Event.Position != ended) {
				t.Errorf("at %d: revoked %v by position %d; want alive %v, or revoked %v by %d", at, end.Value, end.Event.Position, alive, endedAt, ended)
			}
		}
	}
}

// A delegation that was made with a credential which ended at the same moment has
// ended when it begins, though the end comes before it in the ledger.
func TestADelegationThatWasUnderWayEndsWithItsCredential(t *testing.T) {
	t.Parallel()
	s := newScribe(t)
	s.write(t, domain.OrganizationStream(replaytest.Ours), domain.OrganizationCreated{OrganizationID: replaytest.Ours, Name: "Acme", Slug: "acme", PlanTier: domain.TierPro})
	lender, borrower := s.agent(t), s.agent(t)
	credential := domain.CredentialID{UUID: uuid.New()}
	of := func(fact domain.Event) eventstore.Position { return s.write(t, domain.AgentStream(lender), fact) }
	verifier := &domain.Verifier{KeyID: "k", MAC: []byte("mac")}
	of(domain.CredentialGenerated{AgentID: lender, CredentialID: credential, Kind: domain.SecretCredential, Verifier: verifier}) // revision 1
	ended := of(domain.CredentialRotated{AgentID: lender, CredentialID: credential, Verifier: verifier})
	for seen, alive := range map[int64]bool{0: true, 1: false, 2: true} {
		made := domain.DelegationCreated{DelegationID: domain.DelegationID{UUID: uuid.New()}, OrganizationID: replaytest.Ours, DelegatorID: lender, DelegateeID: borrower,
			Scopes: domain.DefaultScopes(), TTLSeconds: domain.MaxDelegationTTL, ExpiresAt: s.at.Add(24 * time.Hour), CredentialID: &credential, CredentialRevision: seen}
		at := s.write(t, domain.DelegationStream(made.DelegationID), made)
		state, err := s.history.Delegation(t.Context(), made.DelegationID, history.Moment{Position: at})
		if err != nil {
			t.Fatal(err)
		}
		end := state.Subject.Facts.Get("revokedAt")
		if when, is := end.Value.(time.Time); is == alive || is && (!when.Equal(s.at) || end.Event.Position != ended) {
			t.Errorf("known up to revision %d: revoked %v by %+v, want alive %v", seen, end.Value, end.Event, alive)
		}
	}
}

func TestAStateSaysWhenAThingCameToLife(t *testing.T) {
	t.Parallel()
	s := newScribe(t)
	first := s.write(t, domain.SecurityStream("2026-11-01"), domain.AuthFailed{ClientID: "x", Reason: domain.AuthUnknownClient})
	id := s.agent(t)
	for name, test := range map[string]struct {
		caller domain.Caller
		id     domain.AgentID
		at     history.Moment
		code   domain.Code
	}{
		"too early":           {auditor, id, history.Moment{Position: first}, domain.CodeAgentNotFound},
		"too early, another":  {domain.Caller{OrganizationID: replaytest.Theirs}, id, history.Moment{Position: first}, domain.CodeCrossTenant},
		"another's":           {domain.Caller{OrganizationID: replaytest.Theirs}, id, history.Moment{}, domain.CodeCrossTenant},
		"unknown":             {auditor, domain.AgentID{UUID: uuid.New()}, history.Moment{}, domain.CodeCrossTenant},
		"in the future":       {auditor, id, history.Moment{Time: s.at.Add(time.Hour)}, domain.CodeValidation},
		"beyond the last one": {auditor, id, history.Moment{Position: first + 100}, domain.CodeValidation},
	} {
		if _, err := s.history.Agent(t.Context(), test.caller, test.id, test.at); !errors.Is(err, &domain.Error{Code: test.code}) {
			t.Errorf("%s: %v, want %s", name, err, test.code)
		}
	}
}

func TestParseMoment(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]history.Moment{
		"":                              {},
		"4711":                          {Position: 4711},
		"2026-11-23T12:00:00Z":          {Time: noon.Add(999 * time.Microsecond)},
		"2026-11-23t13:00:00.000+01:00": {Time: noon.Add(999 * time.Microsecond)},
		"2026-11-23T12:00:00.000001Z":   {Time: noon.Add(time.Microsecond)},
	} {
		if got, err := history.ParseMoment(text); err != nil || !got.Time.Equal(want.Time) || got.Position != want.Position {
			t.Errorf("ParseMoment(%q) = %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"0", "-1", "1.5", "noon", "2026-11-23", "99999999999999999999"} {
		if got, err := history.ParseMoment(text); err == nil {
			t.Errorf("ParseMoment(%q) = %+v, want an error", text, got)
		}
	}
}
