package chaos

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
)

// History replays a ledger and notes every event that should not be there. The
// rules are the domain's own: of each event the command is made that leads to
// it, and the aggregate, as it was right before, must decide on just that event.
// Feed it the whole ledger in order, then ask for [History.End].
//
// Memory grows with the ledger.
type History struct {
	chain *eventstore.Chain
	trees *trees

	agents        map[domain.AgentID]*past[domain.Agent]
	organizations map[domain.OrganizationID]*past[domain.Organization]
	delegations   map[domain.DelegationID]*past[domain.Delegation]
	madeWith      map[domain.CredentialID][]domain.DelegationID // since it was last rotated
	outlived      map[domain.DelegationID]time.Time             // when its credential ended it
	ended         map[domain.CredentialID]int64                 // at which revision it was last revoked or rotated
	seats         map[domain.OrganizationID]domain.Seats
	claims        map[string]domain.Claim // by stream
	unique        map[string]eventstore.Position
	requests      map[string][]made
	streams       map[string][]made

	violations []Violation
}

// made is an event and what it made.
type made struct {
	eventType domain.Type
	stream    string
	position  eventstore.Position
	named     string // the id of what an answer would name; "" for nothing
}

// NewHistory begins a replay. Dense says that the engine counts positions one
// by one.
func NewHistory(dense bool) *History {
	return &History{
		chain:         eventstore.NewChain(eventstore.ChainOptions{Dense: dense}),
		trees:         newTrees(),
		agents:        map[domain.AgentID]*past[domain.Agent]{},
		organizations: map[domain.OrganizationID]*past[domain.Organization]{},
		delegations:   map[domain.DelegationID]*past[domain.Delegation]{},
		madeWith:      map[domain.CredentialID][]domain.DelegationID{},
		outlived:      map[domain.DelegationID]time.Time{},
		ended:         map[domain.CredentialID]int64{},
		seats:         map[domain.OrganizationID]domain.Seats{},
		claims:        map[string]domain.Claim{},
		unique:        map[string]eventstore.Position{},
		requests:      map[string][]made{},
		streams:       map[string][]made{},
	}
}

// occurrence is an event on its way through the rules.
type occurrence struct {
	fact         domain.Event
	stream       string
	organization domain.OrganizationID
	at           time.Time // recorded
	position     eventstore.Position
}

// breach is why an event should not be there.
type breach struct {
	rule   Rule
	detail string
}

func (b *breach) Error() string { return b.detail }

func breaks(rule Rule, format string, args ...any) error {
	return &breach{rule: rule, detail: fmt.Sprintf(format, args...)}
}

// Take takes the next event.
func (h *History) Take(e eventstore.Event) {
	if err := h.chain.Check(e); err != nil {
		h.note(RuleChain, e.Position, err)
	}
	h.trees.take(e)
	h.once("event", e.ID, e.Position)
	record, err := e.Decode()
	if err != nil {
		h.note(RuleDecoded, e.Position, err)
		return
	}
	fact, err := domain.Decode(domain.Type(record.Type), record.Schema, record.Data)
	if err != nil {
		h.note(RuleDecoded, e.Position, err)
		return
	}
	m := made{domain.Type(record.Type), e.Stream, e.Position, named(fact)}
	h.streams[e.Stream] = append(h.streams[e.Stream], m)
	if id := record.Request.ID; id != "" {
		h.requests[id] = append(h.requests[id], m)
	}
	o := occurrence{
		fact: fact, stream: e.Stream, organization: domain.OrganizationID{UUID: e.Organization}, at: record.Time, position: e.Position,
	}
	if err := h.take(o); err != nil {
		h.note(RuleAllowed, e.Position, fmt.Errorf("%s on %s: %w", record.Type, e.Stream, err))
	}
}

// take judges an event and applies it, whatever the judgement: what follows is
// judged on what the ledger says.
func (h *History) take(o occurrence) error {
	switch o.fact.(type) {
	case domain.OrganizationCreated, domain.OrganizationUpdated, domain.OrganizationSuspended, domain.OrganizationReactivated,
		domain.OrganizationDeleted, domain.CreationAbandoned, domain.MemberAdded, domain.MemberRoleChanged, domain.MemberRemoved,
		domain.MemberSuspended, domain.TierChanged, domain.OrganizationAccessRevoked:
		h.endAccess(o)
		return h.takeOrganization(o)
	case domain.SeatTaken, domain.SeatReleased, domain.SeatsClosed:
		return h.takeSeats(o)
	case domain.ClaimMade, domain.ClaimTakenOver:
		return h.takeClaim(o)
	case domain.DelegationCreated, domain.DelegationRevoked:
		return h.takeDelegation(o)
	case domain.SigningKeyCreated:
		return h.takeSigningKey(o)
	case domain.InstanceKeyCreated:
		return onStream(o, domain.InstanceStream)
	case domain.AuthFailed:
		return onStream(o, domain.SecurityStream(o.at.UTC().Format(time.DateOnly)))
	}
	if issued, ok := o.fact.(domain.TokenIssued); ok && issued.Delegation != nil {
		return h.takeExchange(o, issued)
	}
	h.endDelegations(o)
	h.endAccess(o)
	return h.takeAgent(o)
}

// revision is that of the newest event of a stream, -1 while there is none.
func (h *History) revision(stream string) int64 { return int64(len(h.streams[stream])) - 1 }

func (h *History) takeSigningKey(o occurrence) error {
	key, _ := o.fact.(domain.SigningKeyCreated)
	h.onceText("signing key "+key.KeyID, o.position)
	return onStream(o, domain.SigningKeyStream(key.KeyID))
}

// End is everything that was found. It looks at what must hold in the end.
func (h *History) End() []Violation {
	for id, agent := range h.agents {
		_, seated := h.seats[agent.now.OrganizationID].Taken[id]
		if agent.now.Exists() && agent.now.Status != domain.AgentIsGone && !seated {
			h.note(RuleSeated, 0, fmt.Errorf("in the end the agent %s has no seat", id))
		}
	}
	return h.violations
}

func (h *History) note(rule Rule, position eventstore.Position, err error) {
	if b, ok := errors.AsType[*breach](err); ok {
		rule = b.rule
	}
	h.violations = append(h.violations, Violation{Rule: rule, Position: position, Detail: err.Error()})
}

// once notes what should be unique and is not.
func (h *History) once(what string, id uuid.UUID, position eventstore.Position) {
	h.onceText(what+" "+id.String(), position)
}

func (h *History) onceText(what string, position eventstore.Position) {
	if first, known := h.unique[what]; known {
		h.note(RuleUnique, position, fmt.Errorf("%s is at %d already", what, first))
		return
	}
	h.unique[what] = position
}

func onStream(o occurrence, want string) error {
	if o.stream != want {
		return breaks(RuleStream, "it belongs on %s", want)
	}
	return nil
}
