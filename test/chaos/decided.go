package chaos

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/sentryagent/agentidp/domain"
)

// decided is nil when a decision came to just this event.
func decided(events []domain.Event, err error, fact domain.Event) error {
	if err != nil {
		return fmt.Errorf("the state refuses it: %w", err)
	}
	if len(events) != 1 {
		return fmt.Errorf("the state leads to %d events", len(events))
	}
	return same(events[0], fact)
}

// decidedAmong is nil when a decision came to this event and others.
func decidedAmong(events []domain.Event, err error, fact domain.Event) error {
	if err != nil {
		return fmt.Errorf("the state refuses it: %w", err)
	}
	for _, e := range events {
		if same(e, fact) == nil {
			return nil
		}
	}
	return errors.New("the state does not lead to it")
}

// same compares events as the ledger would hold them.
func same(got, want domain.Event) error {
	gotType, _, gotData, err := domain.Encode(got)
	if err != nil {
		return err
	}
	wantType, _, wantData, err := domain.Encode(want)
	if err != nil {
		return err
	}
	if gotType != wantType || !bytes.Equal(gotData, wantData) {
		return fmt.Errorf("the state leads to %s %s, not to %s", gotType, gotData, wantData)
	}
	return nil
}

// anybody is who may do everything in an organization: whether the caller was
// allowed to is not told by the ledger.
func anybody(organization domain.OrganizationID) domain.Caller {
	return domain.Caller{OrganizationID: organization, Scopes: domain.AllScopes()}
}
