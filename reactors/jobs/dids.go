package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger"
)

// Identities tells, from a read model, how the DIDs of agents stand.
type Identities interface {
	// AgentsWithoutDID lists agents that have no DID document and may have one: in
	// the order of their ids, those after one.
	AgentsWithoutDID(ctx context.Context, after domain.AgentID, limit int) ([]domain.AgentID, error)
	// DIDKeysInUse gives the keys that the DIDs of these agents have now.
	DIDKeysInUse(ctx context.Context, ids []domain.AgentID) (map[domain.AgentID]json.RawMessage, error)
}

// CreateDIDs gives a DID document to agents that have none: those that were
// registered before there were any, or by a server of that time. What a run has done
// is on record, so the next one goes on from there.
func CreateDIDs(interval time.Duration, identities Identities, l *ledger.Ledger, did func(domain.AgentID) string) Job {
	return Job{Name: DIDCreation, Interval: interval, Run: func(ctx context.Context) (Result, error) {
		if err := l.Readable(ctx); err != nil { // an agent that is not shown yet would wait for the next run
			return Result{}, err
		}
		created, err := createDIDs(ctx, identities, l, did)
		return Result{Count: int64(created), Detail: fmt.Sprintf("%d agents got a DID document", created)}, err
	}}
}

// createDIDs takes a page at a time and few agents of it at once: appends are
// gathered, and commands of callers find room between them. An agent that cannot be
// helped keeps the others from nothing, unless it is the same for a whole page.
func createDIDs(ctx context.Context, identities Identities, l *ledger.Ledger, did func(domain.AgentID) string) (created int, failed error) {
	const page, atOnce = 200, 4
	var last domain.AgentID
	for {
		agents, err := identities.AgentsWithoutDID(ctx, last, page)
		if err != nil {
			return created, err
		}
		if len(agents) == 0 {
			return created, failed
		}
		var group errgroup.Group
		group.SetLimit(atOnce)
		done, errs := make([]bool, len(agents)), make([]error, len(agents))
		for i, id := range agents {
			group.Go(func() error {
				done[i], errs[i] = l.CreateDID(ctx, id, did(id))
				return nil
			})
		}
		_ = group.Wait()
		failures := 0
		for i, err := range errs {
			if done[i] {
				created++
			}
			if err != nil {
				failures++
				failed = fmt.Errorf("agent %s: %w", agents[i], err)
			}
		}
		if failures == len(agents) || ctx.Err() != nil {
			return created, failed
		}
		last = agents[len(agents)-1]
	}
}

// KeptKey is the private half of a DID's key, by the key's thumbprint.
type KeptKey struct {
	ID    string
	Agent domain.AgentID
}

// KeptKeys are the private halves that servers keep.
type KeptKeys interface {
	// Kept lists those made before a moment: in the order of their ids, those after one.
	Kept(ctx context.Context, before time.Time, after string, limit int) ([]KeptKey, error)
	// IDOf is the id of a public key.
	IDOf(public json.RawMessage) (string, error)
	Forget(ctx context.Context, id string) error
}

// sweepAfter is how old a key must be before it can be one that nobody knows of.
// Registering an agent takes seconds.
const sweepAfter = 24 * time.Hour

// SweepDIDKeys forgets private halves that no DID has: of keys that were replaced, of
// agents that are gone, of registrations that came to nothing. The read model says
// which those may be, and the ledger whether they are.
func SweepDIDKeys(interval time.Duration, identities Identities, l *ledger.Ledger, keys KeptKeys, now func() time.Time) Job {
	return Job{Name: DIDKeySweep, Interval: interval, Run: func(ctx context.Context) (Result, error) {
		swept, err := sweepDIDKeys(ctx, identities, l, keys, now().Add(-sweepAfter))
		return Result{Count: int64(swept), Detail: fmt.Sprintf("%d private keys that no DID has were forgotten", swept)}, err
	}}
}

func sweepDIDKeys(ctx context.Context, identities Identities, l *ledger.Ledger, keys KeptKeys, before time.Time) (swept int, err error) {
	const page = 500
	last := ""
	for {
		kept, err := keys.Kept(ctx, before, last, page)
		if err != nil || len(kept) == 0 {
			return swept, err
		}
		agents := make([]domain.AgentID, len(kept))
		for i, k := range kept {
			agents[i] = k.Agent
		}
		inUse, err := identities.DIDKeysInUse(ctx, agents)
		if err != nil {
			return swept, err
		}
		for _, k := range kept {
			last = k.ID
			used, err := isUsed(ctx, l, keys, k, inUse[k.Agent])
			if err != nil {
				return swept, err
			}
			if used {
				continue
			}
			if err := keys.Forget(ctx, k.ID); err != nil {
				return swept, err
			}
			swept++
		}
	}
}

// isUsed asks the ledger where the read model has another key for the agent, or none.
func isUsed(ctx context.Context, l *ledger.Ledger, keys KeptKeys, kept KeptKey, shown json.RawMessage) (bool, error) {
	if is, err := isKey(keys, shown, kept.ID); is || err != nil {
		return is, err
	}
	agent, err := l.Agent(ctx, kept.Agent)
	if err != nil {
		return false, err
	}
	return isKey(keys, agent.Keys.Current.PublicKey, kept.ID)
}

func isKey(keys KeptKeys, public json.RawMessage, id string) (bool, error) {
	if public == nil {
		return false, nil
	}
	is, err := keys.IDOf(public)
	return is == id, err
}
