package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
)

// DIDKeys makes the keys of DIDs and keeps their private halves.
type DIDKeys interface {
	// New makes a pair for an agent's DID, uuid.Nil for the server's own, and gives
	// the public half, a JWK. The private half is safe once keep has returned nil.
	New(owner uuid.UUID) (public json.RawMessage, keep func(context.Context) error, err error)
	// Has reports whether the private half of a key is kept.
	Has(ctx context.Context, public json.RawMessage) (bool, error)
}

// kept keeps the private half of a key that is about to be put on record. A crash
// before the record leaves a key that nobody knows of, and that is swept.
func kept(ctx context.Context, keep func(context.Context) error) error {
	if err := keep(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

// withDIDKey gives a registration the first key of its agent's DID. The private
// half is kept while the registration takes its first steps; wait for that before
// the agent is created.
func (l *Ledger) withDIDKey(ctx context.Context, command *domain.RegisterAgent) (wait func() error, err error) {
	if l.didKeys == nil {
		return func() error { return nil }, nil
	}
	public, keep, err := l.didKeys.New(command.AgentID.UUID)
	if err != nil {
		return nil, err
	}
	command.DIDKey = public
	done := make(chan error, 1)
	go func() { done <- kept(ctx, keep) }()
	return func() error { return <-done }, nil
}

// Readable waits, within bounds, until the read models show all that is in the ledger
// now.
func (l *Ledger) Readable(ctx context.Context) error {
	head, err := l.Head(ctx)
	if err != nil || l.readModels == nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, l.readWait)
	defer cancel()
	return l.readModels.Wait(ctx, head)
}

// CreateDID gives an agent a DID document that was registered before there were
// any; did is for one that was registered without a DID. Created is false where
// there was nothing to do. It does not wait for the read models.
func (l *Ledger) CreateDID(ctx context.Context, id domain.AgentID, did string) (created bool, err error) {
	public, keep, err := l.didKeys.New(id.UUID)
	if err != nil {
		return false, err
	}
	command := domain.CreateDID{DID: did, PublicKey: public}
	agent, err := l.Agent(ctx, id)
	if err != nil {
		return false, err
	}
	if events, err := agent.Decide(command); err != nil || len(events) == 0 {
		return false, err
	}
	if err := kept(ctx, keep); err != nil {
		return false, err
	}
	outcome, err := l.onAgent(ctx, System(), id, command)
	return len(outcome.Events) > 0, err
}

// RotateDIDKey has another key take the place of the one that an agent's DID has:
// the one that the command brings, or a new one of the server's where it brings none.
func (l *Ledger) RotateDIDKey(ctx context.Context, origin Origin, id domain.AgentID, command domain.RotateDIDKey) (none Outcome[domain.Agent], err error) {
	if command.Caller, err = l.admitted(ctx, command.Caller, id); err != nil {
		return none, err
	}
	if command.PublicKey != nil {
		command.Custody = domain.CustodyAgent
		return l.changeAgent(ctx, origin, id, command)
	}
	public, keep, err := l.didKeys.New(id.UUID)
	if err != nil {
		return none, err
	}
	command.PublicKey, command.Custody = public, domain.CustodyServer
	agent, err := l.Agent(ctx, id)
	if err != nil {
		return none, err
	}
	if _, err := agent.Decide(command); err != nil { // a refusal keeps nothing
		return none, err
	}
	if err := kept(ctx, keep); err != nil {
		return none, err
	}
	return l.changeAgent(ctx, origin, id, command)
}

// InstanceKey is a key of the server's own DID.
type InstanceKey struct {
	domain.InstanceKeyCreated
	CreatedAt time.Time
}

// InstanceKey gives the key of the server's own DID. The first call on a ledger
// makes it, and so does one that finds its private half lost; of several nodes that
// do so at once one wins, and the others take its key.
func (l *Ledger) InstanceKey(ctx context.Context) (InstanceKey, error) {
	const tries = 10
	var lost error
	for range tries {
		key, revision, err := l.newestInstanceKey(ctx)
		if err != nil {
			return key, err
		}
		if revision >= 0 {
			if here, err := l.didKeys.Has(ctx, key.PublicKey); here || err != nil {
				return key, err
			}
		}
		made, err := l.makeInstanceKey(ctx, key.KeyNumber+1, revision)
		if !errors.As(err, new(*eventstore.ConflictError)) {
			return made, err
		}
		lost = err
	}
	return InstanceKey{}, lost
}

func (l *Ledger) newestInstanceKey(ctx context.Context) (key InstanceKey, revision int64, err error) {
	for e, err := range l.store.ReadStream(ctx, domain.InstanceStream, eventstore.End, eventstore.Backwards) {
		if err != nil {
			return key, -1, err
		}
		record, err := e.Decode()
		if err != nil {
			return key, -1, err
		}
		fact, err := domain.Decode(domain.Type(record.Type), record.Schema, record.Data)
		if err != nil {
			return key, -1, err
		}
		key.InstanceKeyCreated, _ = fact.(domain.InstanceKeyCreated)
		key.CreatedAt = record.Time
		return key, e.Revision, nil
	}
	return key, -1, nil
}

func (l *Ledger) makeInstanceKey(ctx context.Context, number int, after int64) (key InstanceKey, err error) {
	public, keep, err := l.didKeys.New(uuid.Nil)
	if err != nil {
		return key, err
	}
	if err := kept(ctx, keep); err != nil {
		return key, err
	}
	key = InstanceKey{domain.InstanceKeyCreated{KeyNumber: number, PublicKey: public}, l.now().UTC()}
	event, err := draft(System(), domain.OrganizationID{}, key.InstanceKeyCreated, key.CreatedAt)
	if err != nil {
		return key, err
	}
	_, err = l.store.Append(ctx, domain.InstanceStream, eventstore.Exactly(after), event)
	return key, err
}
