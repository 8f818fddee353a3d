package domain

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"
)

// fact is an event and when it was recorded, UTC to the microsecond as the
// ledger has it.
type fact struct {
	event Event
	at    time.Time
}

// step is one command on its way: the state it met and what it led to.
type step[S, C any] struct {
	before S
	past   []fact
	cmd    C
	at     time.Time
	events []Event
	err    error
}

// explore sends random commands to an aggregate and holds it to what is
// promised of every aggregate:
//   - Decide changes nothing, and refuses by an [*Error] or an [*AuthError];
//   - Evolve leaves the state it starts from as it was, whatever grows out of it;
//   - folding the events as the ledger gives them back leads to the same state;
//   - a state put away as JSON comes back equal. This needs times in UTC without
//     a monotonic reading and raw JSON in the form that json.Marshal leaves alone.
func explore[S decider[S, C], C any](t *rapid.T, draw func(S, time.Time) C, check func(step[S, C])) {
	type kept struct {
		state S
		frame string
	}
	var (
		state S
		past  []fact
		older []kept
		now   = noon
	)
	for range rapid.IntRange(1, 60).Draw(t, "commands") {
		now = now.Add(time.Duration(rapid.IntRange(1, 2_000_000).Draw(t, "µs later")) * time.Microsecond)
		older = append(older, kept{state, picture(t, state)})
		cmd := draw(state, now)
		events, err := state.Decide(cmd)
		var refusal *Error
		var failure *AuthError
		if err != nil && (len(events) > 0 || !errors.As(err, &refusal) && !errors.As(err, &failure)) {
			t.Fatalf("%T %+v: events %+v and a %T: %v", cmd, cmd, events, err, err)
		}
		check(step[S, C]{before: state, past: past, cmd: cmd, at: now, events: events, err: err})
		for _, e := range events {
			state = state.Evolve(e, now)
			past = append(past, fact{throughLedger(t, e), now})
			// A branch that nobody follows must not show in any other state.
			rapid.SampledFrom(older).Draw(t, "branch").state.Evolve(e, now.Add(time.Hour))
		}
		comesBackFromJSON(t, state)
	}
	for _, k := range older {
		if now := picture(t, k.state); now != k.frame {
			t.Fatalf("an older state changed\nfrom %s\nto   %s", k.frame, now)
		}
	}
	var refolded S
	for _, f := range past {
		refolded = refolded.Evolve(f.event, f.at)
	}
	if !reflect.DeepEqual(refolded, state) {
		t.Fatalf("the ledger tells another story (-lived +refolded)\n%s", cmp.Diff(state, refolded))
	}
}

func comesBackFromJSON[S any](t *rapid.T, state S) {
	t.Helper()
	var back S
	b := picture(t, state)
	if err := json.Unmarshal([]byte(b), &back); err != nil {
		t.Fatalf("json.Unmarshal(%s): %v", b, err)
	}
	if !reflect.DeepEqual(back, state) {
		t.Fatalf("%s came back differently (-away +back)\n%s", b, cmp.Diff(state, back))
	}
}

var (
	drawCaller = rapid.SampledFrom([]Caller{operator, operator, colleague, stranger})
	drawScopes = rapid.Custom(func(t *rapid.T) Scopes { // as they come: unsorted, repeated, nil
		return Scopes(rapid.SliceOfN(rapid.SampledFrom(append(AllScopes(), "root")), 0, 5).Draw(t, "scopes"))
	})
	drawText     = rapid.OneOf(rapid.Just("fine"), rapid.StringN(0, 20, -1), rapid.SampledFrom([]string{"", "<b>&\u2028", "\x00", "\xff"}))
	drawMetadata = rapid.Map(rapid.SampledFrom([]string{
		``, `{}`, ` { "b" : 1.0, "a" : [ "<" ] } `, `{"x":"\u2028\ud800"}`, `null`, `{"a":1e999}`, `{"a":1,"a":2}`, "{\"\xff\":\"\xff\"}",
	}), func(s string) json.RawMessage { return json.RawMessage(s) })
	drawID = rapid.Map(rapid.IntRange(1, 4), func(n int) uuid.UUID { return uuid.UUID{15: byte(n)} })
)

// maybe draws nil half of the time.
func maybe[T any](t *rapid.T, label string, g *rapid.Generator[T]) *T {
	return rapid.Ptr(g, true).Draw(t, label)
}

func callerOf(cmd any) *Caller {
	field := reflect.ValueOf(cmd).FieldByName("Caller")
	if !field.IsValid() {
		return nil
	}
	return new(field.Interface().(Caller))
}

func TestSeatsNeverExceedTheCap(t *testing.T) {
	taken, full := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.SampledFrom([]int{0, 1, 2, 3, Unlimited}).Draw(t, "cap")
		draw := func(Seats, time.Time) SeatsCommand {
			agent := AgentID{drawID.Draw(t, "agent")}
			switch rapid.IntRange(0, 7).Draw(t, "command") {
			case 0:
				return CloseSeats{OrganizationID: acme}
			case 1, 2:
				return ReleaseSeat{OrganizationID: acme, AgentID: agent}
			}
			return TakeSeat{OrganizationID: acme, AgentID: agent, Cap: limit}
		}
		explore(t, draw, func(s step[Seats, SeatsCommand]) {
			after := s.before
			for _, e := range s.events {
				after = after.Evolve(e, s.at)
				if _, isTaken := e.(SeatTaken); isTaken {
					taken++
				}
			}
			if limit != Unlimited && len(after.Taken) > limit {
				t.Fatalf("%d seats taken of %d", len(after.Taken), limit)
			}
			if after.Closed && len(after.Taken) > 0 {
				t.Fatalf("somebody sits in a closed organization: %v", after.Taken)
			}
			if errors.Is(s.err, &Error{Code: CodeAgentCap}) {
				full++
				if len(s.before.Taken) < limit {
					t.Fatalf("refused with %d seats of %d taken", len(s.before.Taken), limit)
				}
			}
		})
	})
	if taken == 0 || full == 0 {
		t.Errorf("%d seats taken, %d refused: the commands prove nothing", taken, full)
	}
}

func TestClaimPassesOnlyFromItsOwner(t *testing.T) {
	takenOver := 0
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]ClaimKind{ClaimEmail, ClaimSlug}).Draw(t, "kind")
		draw := func(Claim, time.Time) ClaimCommand {
			c := MakeClaim{Kind: kind, Owner: drawID.Draw(t, "owner")}
			if rapid.Bool().Draw(t, "take over") {
				c.From = drawID.Draw(t, "from")
			}
			return c
		}
		explore(t, draw, func(s step[Claim, ClaimCommand]) {
			c := s.cmd.(MakeClaim)
			mayHave := s.before.Owner == uuid.Nil || s.before.Owner == c.Owner || s.before.Owner == c.From
			if mayHave != (s.err == nil) {
				t.Fatalf("%+v on %+v: %v", c, s.before, s.err)
			}
			for _, e := range s.events {
				if over, isTakenOver := e.(ClaimTakenOver); isTakenOver {
					takenOver++
					if over.From != s.before.Owner {
						t.Fatalf("%+v takes over from somebody who is not the owner, %s", over, s.before.Owner)
					}
				}
			}
		})
	})
	if takenOver == 0 {
		t.Error("no claim was taken over: the commands prove nothing")
	}
}

func TestNoHistoryBreaksTheRulesOfAnOrganization(t *testing.T) {
	changes := 0
	rapid.Check(t, func(t *rapid.T) {
		drawOverride := rapid.Custom(func(t *rapid.T) Override { return Override{Limit: maybe(t, "limit", rapid.IntRange(-2, 5))} })
		drawTier := rapid.SampledFrom([]Tier{"", TierFree, TierPro, TierEnterprise, "gold"})
		drawStatus := rapid.SampledFrom([]OrganizationStatus{OrganizationActive, OrganizationIsSuspended, OrganizationIsDeleted, "asleep"})
		callers := rapid.SampledFrom([]Caller{operator, operator, colleague, stranger})
		draw := func(Organization, time.Time) OrganizationCommand {
			caller := callers.Draw(t, "caller")
			switch rapid.IntRange(0, 12).Draw(t, "command") {
			case 0, 1, 2:
				return CreateOrganization{
					Caller: caller, OrganizationID: acme, Name: "Acme", Slug: "acme", PlanTier: drawTier.Draw(t, "tier"),
					MaxAgents: maybe(t, "max agents", rapid.IntRange(-1, 5)),
				}
			case 3, 4:
				return AddMember{
					Caller: caller, AgentID: rapid.SampledFrom([]AgentID{robot, sibling, boss}).Draw(t, "member"),
					Role: rapid.SampledFrom([]Role{RoleMember, RoleAdmin, "owner"}).Draw(t, "role"),
				}
			case 5:
				if rapid.IntRange(0, 2).Draw(t, "really") == 0 {
					return DeleteOrganization{Caller: caller}
				}
				return AbandonCreation{OrganizationID: acme}
			}
			return UpdateOrganization{
				Caller: caller, Name: maybe(t, "name", drawText), PlanTier: maybe(t, "tier", drawTier), Status: maybe(t, "status", drawStatus),
				MaxAgents: maybe(t, "agents", drawOverride), MaxTokensPerMonth: maybe(t, "tokens", drawOverride), Reason: drawText.Draw(t, "reason"),
			}
		}
		explore(t, draw, func(s step[Organization, OrganizationCommand]) {
			changes += len(s.events)
			if len(s.events) > 0 && (s.before.Abandoned() || s.before.Status == OrganizationIsDeleted) {
				t.Fatalf("%+v after the end (%s)", s.events, s.before.Status)
			}
			for _, e := range s.events {
				caller := callerOf(s.cmd)
				renamed, isUpdate := e.(OrganizationUpdated)
				justRenamed := isUpdate && renamed.MaxAgents == nil && renamed.MaxTokensPerMonth == nil
				ownAdmin := caller != nil && caller.OrganizationID == acme && s.before.IsAdmin(caller.AgentID)
				if caller != nil && !caller.IsOperator() && !(justRenamed && ownAdmin) {
					t.Fatalf("%+v decided %+v", caller, e)
				}
				if limits := s.before.Evolve(e, s.at).Limits(); limits.MaxAgents < Unlimited || limits.MaxTokensPerMonth < Unlimited {
					t.Fatalf("limits became %+v", limits)
				}
			}
		})
	})
	if changes == 0 {
		t.Error("no command changed anything: they prove nothing")
	}
}

func TestEvolveTakesAnyEvent(t *testing.T) {
	for name, event := range golden {
		t.Run(name, func(t *testing.T) {
			Agent{}.Evolve(event, noon)
			Organization{}.Evolve(event, noon)
			Seats{}.Evolve(event, noon)
			Claim{}.Evolve(event, noon)
			Delegation{}.Evolve(event, noon)
			if got := (Organization{Name: "Acme"}).Evolve(unlisted{}, noon); !reflect.DeepEqual(got, Organization{Name: "Acme"}) {
				t.Errorf("an event of another stream changed the organization: %+v", got)
			}
		})
	}
}
