package projections

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/klauspost/compress/zstd"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/wait"
)

// RevocationSnapshots keeps the index of revocations in PostgreSQL, so that a
// server that starts reads what came since and not the whole ledger. A snapshot
// is a cache, never truth: it counts only if it was sealed with our key, and if
// the event that it knows the ledger by is where it was. An older one, put back,
// takes longer to bring up to date, and is then the same.
type RevocationSnapshots struct {
	pool   *pgxpool.Pool
	trail  Trail
	sealer Sealer
	logger *slog.Logger
}

// Sealer keeps what is sealed from being read or changed, and from being taken
// for something else: see aad.
type Sealer interface {
	Seal(plaintext, aad []byte) ([]byte, error)
	Open(envelope, aad []byte) ([]byte, error)
}

// Trail tells where the newest event is that the audit trail shows; false where it
// is empty.
type Trail interface {
	Newest(ctx context.Context) (eventstore.Landmark, bool, error)
}

// NewRevocationSnapshots keeps them in the pool's database.
func NewRevocationSnapshots(pool *pgxpool.Pool, trail Trail, sealer Sealer, logger *slog.Logger) *RevocationSnapshots {
	return &RevocationSnapshots{pool: pool, trail: trail, sealer: sealer, logger: logger}
}

// snapshotInterval is how often a snapshot is saved, over all servers.
const snapshotInterval = 10 * time.Minute

// revocationSnapshot is the index as it is saved.
type revocationSnapshot struct {
	Applied eventstore.Position `json:"applied"`
	// Landmark is no older than what was applied: in a ledger that has it nothing
	// of that is missing.
	Landmark eventstore.Landmark `json:"landmark"`

	Agents        map[domain.AgentID]fate        `json:"agents"`
	Credentials   map[domain.CredentialID]fate   `json:"credentials"`
	Organizations map[domain.OrganizationID]fate `json:"organizations"`
	Tokens        map[domain.TokenID]time.Time   `json:"tokens"`
	Delegations   map[domain.DelegationID]link   `json:"delegations"`
	Also          []json.RawMessage              `json:"also"`
}

// aad names what is sealed: this shape, of an index of these types of events.
func (r *Revocations) aad() []byte {
	return []byte("revocations/2 " + strings.Join(r.filter.Types, " "))
}

const selectRevocations = `SELECT sealed FROM revocation_snapshot`

// restore begins an index that has read nothing with the snapshot, where there is
// one that counts. The caller holds r.feeding. The error is that the ledger could
// not be asked.
func (r *Revocations) restore(ctx context.Context) error {
	kept := r.options.Snapshots
	if kept == nil || r.Position() > 0 {
		return nil
	}
	saved, err := r.loadSnapshot(ctx)
	if err == nil {
		err = saved.Landmark.In(ctx, r.store)
	}
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case errors.Is(err, eventstore.ErrUnavailable), ctx.Err() != nil:
		return err
	case err == nil:
		err = r.begin(saved)
	}
	if err != nil {
		kept.logger.WarnContext(ctx, "the snapshot of revocations is of no use; the whole ledger is read", "reason", err)
		return nil
	}
	kept.logger.InfoContext(ctx, "revocations restored from their snapshot", "position", saved.Applied)
	return nil
}

func (r *Revocations) loadSnapshot(ctx context.Context) (saved revocationSnapshot, err error) {
	kept := r.options.Snapshots
	var sealed []byte
	if err := kept.pool.QueryRow(ctx, selectRevocations).Scan(&sealed); err != nil {
		return saved, err
	}
	compressed, err := kept.sealer.Open(sealed, r.aad())
	if err != nil {
		return saved, err
	}
	decoder, err := zstd.NewReader(nil)
	if err != nil {
		return saved, err
	}
	defer decoder.Close()
	encoded, err := decoder.DecodeAll(compressed, nil)
	if err != nil {
		return saved, err
	}
	err = json.Unmarshal(encoded, &saved)
	if err == nil && len(saved.Also) != len(r.options.Also) {
		err = fmt.Errorf("it has %d indexes that ride along, not %d", len(saved.Also), len(r.options.Also))
	}
	return saved, err
}

// begin takes a snapshot over.
func (r *Revocations) begin(saved revocationSnapshot) error {
	for i, fold := range r.options.Also {
		if err := fold.Restore(saved.Also[i]); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.Copy(r.agents, saved.Agents)
	maps.Copy(r.credentials, saved.Credentials)
	maps.Copy(r.organizations, saved.Organizations)
	maps.Copy(r.tokens, saved.Tokens)
	maps.Copy(r.delegations, saved.Delegations)
	r.applied = saved.Applied
	return nil
}

// saveSnapshot saves the index unless that was done lately, by whichever server.
// What goes wrong is logged: it costs the next start some time.
func (r *Revocations) saveSnapshot(ctx context.Context) {
	kept := r.options.Snapshots
	if kept == nil || r.options.Now().Before(r.nextSnapshot) {
		return
	}
	r.nextSnapshot = r.options.Now().Add(snapshotInterval)
	if err := r.SaveSnapshot(ctx, snapshotInterval); err != nil && ctx.Err() == nil {
		kept.logger.WarnContext(ctx, "the snapshot of revocations was not saved", "error", err)
	}
}

const (
	recentRevocations = `SELECT EXISTS (SELECT FROM revocation_snapshot WHERE saved_at > now() - $1::interval)`
	saveRevocations   = `INSERT INTO revocation_snapshot (sealed) VALUES ($1)
		ON CONFLICT (singleton) DO UPDATE SET sealed = EXCLUDED.sealed, saved_at = now()`
)

// SaveSnapshot saves the index as it is, unless the last snapshot is younger than
// given. The index must have been read, and there must be a place for snapshots.
func (r *Revocations) SaveSnapshot(ctx context.Context, unless time.Duration) error {
	kept := r.options.Snapshots
	var recent bool
	if err := kept.pool.QueryRow(ctx, recentRevocations, unless).Scan(&recent); err != nil || recent {
		return err
	}
	saved, also := r.copy()
	for _, state := range also {
		encoded, err := json.Marshal(state)
		if err != nil {
			return err
		}
		saved.Also = append(saved.Also, encoded)
	}
	if err := kept.mark(ctx, &saved); err != nil {
		return err
	}
	encoded, err := json.Marshal(saved)
	if err != nil {
		return err
	}
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		return err
	}
	sealed, err := kept.sealer.Seal(encoder.EncodeAll(encoded, nil), r.aad())
	if err != nil {
		return err
	}
	_, err = kept.pool.Exec(ctx, saveRevocations, sealed)
	return err
}

// copy is all that the index and those that ride along know at one moment.
func (r *Revocations) copy() (saved revocationSnapshot, also []any) {
	r.feeding.Lock()
	defer r.feeding.Unlock()
	for _, fold := range r.options.Also {
		also = append(also, fold.Save())
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	return revocationSnapshot{
		Applied: r.applied, Agents: maps.Clone(r.agents), Credentials: maps.Clone(r.credentials),
		Organizations: maps.Clone(r.organizations), Tokens: maps.Clone(r.tokens), Delegations: maps.Clone(r.delegations),
	}, also
}

// mark waits until the audit trail shows an event to know the ledger by.
func (s *RevocationSnapshots) mark(ctx context.Context, saved *revocationSnapshot) error {
	const patience, poll = 5 * time.Second, 100 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		newest, found, err := s.trail.Newest(ctx)
		switch {
		case err != nil:
			return err
		case found && newest.Position >= saved.Applied:
			saved.Landmark = newest
			return nil
		case wait.For(ctx, poll) != nil:
			return &BehindError{Projection: "audit", Position: newest.Position, Wanted: saved.Applied, Cause: ctx.Err()}
		}
	}
}
