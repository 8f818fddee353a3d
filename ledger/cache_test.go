package ledger

import (
	"fmt"
	"testing"

	"github.com/sentryagent/agentidp/domain"
)

// The cache is bounded in number and in size, and never goes back.
func TestCacheIsBoundedInNumberAndSize(t *testing.T) {
	const most = 10 * weightOfState
	c := newCache(100, most, weighAgent)
	for i := range 50 {
		c.add(fmt.Sprint("agent-", i), versioned[domain.Agent]{revision: 1})
	}
	if c.bytes > most || c.kept.Len() != 10 {
		t.Errorf("%d bytes of %d in %d aggregates", c.bytes, most, c.kept.Len())
	}
	large := domain.Agent{Credentials: make([]domain.Credential, 1000)}
	c.add("agent-large", versioned[domain.Agent]{state: large, revision: 1})
	if _, kept := c.get("agent-large"); kept || c.kept.Len() != 10 {
		t.Errorf("what does not fit is kept, or drove %d others out", 10-c.kept.Len())
	}
	c.add("agent-49", versioned[domain.Agent]{revision: 0})
	if known, _ := c.get("agent-49"); known.revision != 1 {
		t.Errorf("revision %d, want the newer one, 1", known.revision)
	}
	c.add("agent-49", versioned[domain.Agent]{state: domain.Agent{Credentials: make([]domain.Credential, 5)}, revision: 2})
	for i := range 50 {
		c.remove(fmt.Sprint("agent-", i))
	}
	if c.bytes != 0 || c.kept.Len() != 0 {
		t.Errorf("%d bytes in %d aggregates after all were removed", c.bytes, c.kept.Len())
	}
	few := newCache(3, 1<<30, weighFixed[domain.Claim])
	for i := range 5 {
		few.add(fmt.Sprint("claim-", i), versioned[domain.Claim]{})
	}
	if few.kept.Len() != 3 || few.bytes != 3*weightOfState {
		t.Errorf("%d claims of %d bytes", few.kept.Len(), few.bytes)
	}
}
