package domain

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
)

// decider is what the aggregates have in common.
type decider[S, C any] interface {
	Decide(C) ([]Event, error)
	Evolve(Event, time.Time) S
}

// story is a scenario: given events, when a command, then events or a refusal.
type story[S decider[S, C], C any] struct {
	t     testing.TB
	state S
}

// outcome is what a command led to.
type outcome[S decider[S, C], C any] struct {
	story  story[S, C]
	cmd    C
	events []Event
	err    error
}

func givenAgent(t testing.TB, events ...Event) story[Agent, AgentCommand] {
	return given[Agent, AgentCommand](t, events...)
}

func givenOrganization(t testing.TB, events ...Event) story[Organization, OrganizationCommand] {
	return given[Organization, OrganizationCommand](t, events...)
}

func givenSeats(t testing.TB, events ...Event) story[Seats, SeatsCommand] {
	return given[Seats, SeatsCommand](t, events...)
}

func givenClaim(t testing.TB, events ...Event) story[Claim, ClaimCommand] {
	return given[Claim, ClaimCommand](t, events...)
}

// given folds a stream; its events were recorded a second apart, the last one
// a second before noon.
func given[S decider[S, C], C any](t testing.TB, events ...Event) story[S, C] {
	t.Helper()
	s := story[S, C]{t: t}
	for i, e := range events {
		s.state = s.state.Evolve(e, noon.Add(time.Duration(i-len(events))*time.Second))
	}
	return s
}

// when decides, and holds every decision to what is promised of all of them:
// it changes nothing, is the same when made again, and refuses by an [*Error]
// (or an [*AuthError]) without events.
func (s story[S, C]) when(cmd C) outcome[S, C] {
	s.t.Helper()
	before := picture(s.t, s.state)
	events, err := s.state.Decide(cmd)
	if after := picture(s.t, s.state); before != after {
		s.t.Errorf("Decide(%+v) changed the state\nfrom %s\nto   %s", cmd, before, after)
	}
	again, errAgain := s.state.Decide(cmd)
	if !reflect.DeepEqual(events, again) || !reflect.DeepEqual(err, errAgain) {
		s.t.Errorf("Decide(%+v) gave %+v, %v and then %+v, %v", cmd, events, err, again, errAgain)
	}
	if err != nil && len(events) > 0 {
		s.t.Errorf("Decide(%+v) refused with %v and still gave %+v", cmd, err, events)
	}
	var refusal *Error
	var failure *AuthError
	if err != nil && !errors.As(err, &refusal) && !errors.As(err, &failure) {
		s.t.Errorf("Decide(%+v) refused with a %T: %v", cmd, err, err)
	}
	return outcome[S, C]{story: s, cmd: cmd, events: events, err: err}
}

// then expects exactly these events and gives the state they lead to. What
// was decided must read back from the ledger as it was decided.
func (o outcome[S, C]) then(want ...Event) story[S, C] {
	t := o.story.t
	t.Helper()
	if o.err != nil {
		t.Fatalf("%T %+v: refused with %v, want %+v", o.cmd, o.cmd, o.err, want)
	}
	if diff := cmp.Diff(want, o.events, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("%T %+v: events (-want +got)\n%s", o.cmd, o.cmd, diff)
	}
	state := o.story.state
	for _, e := range o.events {
		if stored := throughLedger(t, e); !reflect.DeepEqual(e, stored) {
			t.Errorf("%s reads back differently (-decided +stored)\n%s", e.EventType(), cmp.Diff(e, stored))
		}
		state = state.Evolve(e, noon)
	}
	return story[S, C]{t: t, state: state}
}

// thenNothing expects success without any event.
func (o outcome[S, C]) thenNothing() {
	o.story.t.Helper()
	o.then()
}

// thenRefused expects a refusal with a code and the field that its details
// name, "" for none.
func (o outcome[S, C]) thenRefused(code Code, field string) *Error {
	t := o.story.t
	t.Helper()
	var refusal *Error
	if !errors.As(o.err, &refusal) {
		t.Fatalf("%T %+v: got %+v and error %v, want a refusal with %s", o.cmd, o.cmd, o.events, o.err, code)
	}
	got, _ := refusal.Details["field"].(string)
	if refusal.Code != code || got != field {
		t.Fatalf("%T %+v: refused with %v and field %q, want %s and %q", o.cmd, o.cmd, refusal, got, code, field)
	}
	if refusal.Message == "" {
		t.Errorf("%T: the refusal %s says nothing", o.cmd, code)
	}
	return refusal
}

// thenNotAuthenticated expects a failed authentication.
func (o outcome[S, C]) thenNotAuthenticated(reason AuthReason) {
	t := o.story.t
	t.Helper()
	var failure *AuthError
	if !errors.As(o.err, &failure) || failure.Reason != reason {
		t.Fatalf("%T %+v: got %+v and error %v, want an authentication failed for %s", o.cmd, o.cmd, o.events, o.err, reason)
	}
}

// reporter is the part of testing.TB that rapid.T has too.
type reporter interface {
	Helper()
	Fatalf(format string, args ...any)
}

// throughLedger stores an event and reads it back.
func throughLedger(t reporter, e Event) Event {
	t.Helper()
	eventType, schema, data, err := Encode(e)
	if err != nil {
		t.Fatalf("Encode(%+v): %v", e, err)
	}
	stored, err := Decode(eventType, schema, data)
	if err != nil {
		t.Fatalf("Decode(%s, %d, %s): %v", eventType, schema, data, err)
	}
	return stored
}

// picture is everything that a state says, frozen.
func picture(t reporter, state any) string {
	t.Helper()
	b, err := json.Marshal(state)
	if err != nil {
		t.Fatalf("json.Marshal(%+v): %v", state, err)
	}
	return string(b)
}

func testUUID(s string) uuid.UUID { return uuid.MustParse("0192f3a0-0000-7000-8000-" + s) }

// The people and things that the scenarios are about.
var (
	noon = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)

	acme      = OrganizationID{testUUID("0000000000a1")}
	rivals    = OrganizationID{testUUID("0000000000a2")}
	robot     = AgentID{testUUID("0000000000b1")}
	sibling   = AgentID{testUUID("0000000000b2")}
	boss      = AgentID{testUUID("0000000000b3")}
	first     = CredentialID{testUUID("0000000000c1")}
	second    = CredentialID{testUUID("0000000000c2")}
	tokenID   = TokenID{testUUID("0000000000d1")}
	operator  = Caller{AgentID: boss, OrganizationID: OrganizationID{testUUID("0000000000a9")}, Scopes: AllScopes()}
	colleague = Caller{AgentID: sibling, OrganizationID: acme,
		Scopes: NewScopes(ScopeAgentsRead, ScopeAgentsWrite, ScopeTokensRead), Standing: Standing{Organization: Organization{ID: acme}}}
	stranger = Caller{AgentID: AgentID{testUUID("0000000000b9")}, OrganizationID: rivals,
		Scopes: AllScopes().Without(ScopeAdminOrgs)}
)

func someProfile() Profile {
	return Profile{
		AgentType: AgentScreener, Version: "1.4.0", Capabilities: []string{"resume:read"}, Owner: "talent team",
		DeploymentEnv: EnvProduction, Description: "Reads applications.", Metadata: json.RawMessage(`{"region":"eu"}`),
	}
}

func verifier(secret string) *Verifier {
	return &Verifier{KeyID: "key-1", MAC: []byte("mac of " + secret)}
}

func secretProof(secret string) Proof { return Proof{Secret: []Verifier{*verifier(secret)}} }

func created() AgentCreated {
	return AgentCreated{
		AgentID: robot, OrganizationID: acme, Email: "robot@acme.test", Profile: someProfile(),
		Scopes: NewScopes(ScopeAgentsRead, ScopeAgentsWrite), DID: "did:web:idp.test:agents:" + robot.String(),
	}
}

func generated(id CredentialID, secret string) CredentialGenerated {
	return CredentialGenerated{AgentID: robot, CredentialID: id, Kind: SecretCredential, Verifier: verifier(secret)}
}

func revoked(id CredentialID) CredentialRevoked {
	return CredentialRevoked{AgentID: robot, CredentialID: id, Reason: "leaked"}
}

func suspended() AgentSuspended     { return AgentSuspended{AgentID: robot, Reason: "odd behaviour"} }
func reactivated() AgentReactivated { return AgentReactivated{AgentID: robot} }
func decommissioned() AgentDecommissioned {
	return AgentDecommissioned{AgentID: robot, Reason: "retired"}
}
