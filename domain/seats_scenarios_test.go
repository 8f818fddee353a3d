package domain

import "testing"

func seatTaken(agent AgentID) SeatTaken { return SeatTaken{OrganizationID: acme, AgentID: agent} }

func takeSeat(agent AgentID, limit int) TakeSeat {
	return TakeSeat{OrganizationID: acme, AgentID: agent, Cap: limit}
}

func TestCapIsNeverExceeded(t *testing.T) {
	one, two := []Event{seatTaken(robot)}, []Event{seatTaken(robot), seatTaken(sibling)}
	for name, test := range map[string]struct {
		past []Event
		cap  int
		full bool
	}{
		"room":             {one, 2, false},
		"full":             {two, 2, true},
		"over, cap sunk":   {two, 1, true},
		"no seats at all":  {nil, 0, true},
		"without any cap":  {two, Unlimited, false},
		"first of its one": {nil, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			result := givenSeats(t, test.past...).when(takeSeat(boss, test.cap))
			if !test.full {
				result.then(seatTaken(boss))
				return
			}
			refusal := result.thenRefused(CodeAgentCap, "")
			if refusal.Details["limit"] != test.cap || refusal.Details["current"] != len(test.past) {
				t.Errorf("details are %v, want limit %d and current %d", refusal.Details, test.cap, len(test.past))
			}
		})
	}
}

func TestSeatIsTakenOnce(t *testing.T) {
	givenSeats(t, seatTaken(robot)).when(takeSeat(robot, 1)).thenNothing()
}

func TestReleasedSeatIsFreeAgain(t *testing.T) {
	s := givenSeats(t, seatTaken(robot))
	s.when(ReleaseSeat{OrganizationID: acme, AgentID: sibling}).thenNothing()
	s.when(ReleaseSeat{OrganizationID: acme, AgentID: robot}).then(SeatReleased{OrganizationID: acme, AgentID: robot}).
		when(takeSeat(sibling, 1)).then(seatTaken(sibling))
	givenSeats(t).when(ReleaseSeat{OrganizationID: acme, AgentID: robot}).thenNothing()
}

func TestSeatsCloseOnlyWhenNobodySits(t *testing.T) {
	refusal := givenSeats(t, seatTaken(robot)).when(CloseSeats{OrganizationID: acme}).thenRefused(CodeHasActiveAgents, "")
	if refusal.Details["agents"] != 1 {
		t.Errorf("details are %v, want 1 agent", refusal.Details)
	}
	closed := givenSeats(t, seatTaken(robot), SeatReleased{OrganizationID: acme, AgentID: robot}).
		when(CloseSeats{OrganizationID: acme}).then(SeatsClosed{OrganizationID: acme})
	closed.when(CloseSeats{OrganizationID: acme}).thenNothing()
	closed.when(takeSeat(robot, Unlimited)).thenRefused(CodeOrganizationNotFound, "")
}
