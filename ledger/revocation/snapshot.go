package revocation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/klauspost/compress/zstd"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/wait"
)

// Snapshots keeps the index in PostgreSQL, so that a server that starts reads
// what came since and not the whole ledger. A snapshot
// is a cache, never truth: it counts only if it was sealed with our key, and if
// the event that it knows the ledger by is where it was. An older one, put back,
// takes longer to bring up to date, and is then the same.
type Snapshots struct {
	pool   *pgxpool.Pool
	sealer Sealer
	logger *slog.Logger
}

// Sealer keeps what is sealed from being read or changed, and from being taken
// for something else: see aad.
type Sealer interface {
	Seal(plaintext, aad []byte) ([]byte, error)
	Open(envelope, aad []byte) ([]byte, error)
}

// NewSnapshots keeps them in the pool's database.
func NewSnapshots(pool *pgxpool.Pool, sealer Sealer, logger *slog.Logger) *Snapshots {
	return &Snapshots{pool: pool, sealer: sealer, logger: logger}
}

// snapshotInterval is how often a snapshot is saved, over all servers.
const snapshotInterval = 10 * time.Minute

// snapshot is the index as it is saved.
type snapshot struct {
	Applied eventstore.Position `json:"applied"`
	// Landmark is no older than what was applied: in a ledger that has it nothing
	// of that is missing.
	Landmark eventstore.Landmark `json:"landmark"`

	Agents        map[domain.AgentID]fate        `json:"agents"`
	Credentials   map[domain.CredentialID]fate   `json:"credentials"`
	Organizations map[domain.OrganizationID]fate `json:"organizations"`
	Tokens        map[domain.TokenID]time.Time   `json:"tokens"`
	Delegations   map[domain.DelegationID]link   `json:"delegations"`
	SigningKeys   map[string]time.Time           `json:"signingKeys"`
	Partners      []domain.Partner               `json:"partners,omitempty"`
	// Also is how the organizations stand, apart from what became of their tokens.
	Also [1]map[domain.OrganizationID]domain.Organization `json:"also"`
}

// aad names what is sealed: this shape, of an index of these types of events.
func (r *Index) aad() []byte {
	return []byte("revocations/2 " + strings.Join(r.filter.Types, " "))
}

const selectRevocations = `SELECT sealed FROM revocation_snapshot`

// restore begins an index that has read nothing with the snapshot, where there is
// one that counts. The caller holds r.feeding. The error is that the ledger could
// not be asked.
func (r *Index) restore(ctx context.Context) error {
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
		r.begin(saved)
	}
	if err != nil {
		kept.logger.WarnContext(ctx, "the snapshot of revocations is of no use; the whole ledger is read", "reason", err)
		return nil
	}
	kept.logger.InfoContext(ctx, "revocations restored from their snapshot", "position", saved.Applied)
	return nil
}

func (r *Index) loadSnapshot(ctx context.Context) (saved snapshot, err error) {
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
	return saved, json.Unmarshal(encoded, &saved)
}

// begin takes a snapshot over.
func (r *Index) begin(saved snapshot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.Copy(r.agents, saved.Agents)
	maps.Copy(r.credentials, saved.Credentials)
	for id, known := range saved.Also[0] {
		r.organizations[id] = organization{Organization: known}
	}
	for id, fate := range saved.Organizations {
		o := r.organizations[id]
		o.fate = fate
		r.organizations[id] = o
	}
	maps.Copy(r.tokens, saved.Tokens)
	maps.Copy(r.delegations, saved.Delegations)
	maps.Copy(r.signingKeys, saved.SigningKeys)
	for _, partner := range saved.Partners {
		r.setPartner(partner.ID, partner)
	}
	r.applied = saved.Applied
}

// saveSnapshot saves the index unless that was done lately, by whichever server.
// What goes wrong is logged: it costs the next start some time.
func (r *Index) saveSnapshot(ctx context.Context) {
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
func (r *Index) SaveSnapshot(ctx context.Context, unless time.Duration) error {
	kept := r.options.Snapshots
	var recent bool
	if err := kept.pool.QueryRow(ctx, recentRevocations, unless).Scan(&recent); err != nil || recent {
		return err
	}
	saved := r.copy()
	if err := saved.mark(ctx, r.store); err != nil {
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

// copy is all that the index knows at one moment.
func (r *Index) copy() snapshot {
	r.feeding.Lock()
	defer r.feeding.Unlock()
	r.mu.RLock()
	defer r.mu.RUnlock()
	saved := snapshot{
		Applied: r.applied, Agents: maps.Clone(r.agents), Credentials: maps.Clone(r.credentials),
		Tokens: maps.Clone(r.tokens), Delegations: maps.Clone(r.delegations),
		SigningKeys:   maps.Clone(r.signingKeys),
		Partners:      slices.Collect(maps.Values(r.partners)),
		Organizations: make(map[domain.OrganizationID]fate),
	}
	saved.Also[0] = make(map[domain.OrganizationID]domain.Organization, len(r.organizations))
	for id, o := range r.organizations {
		if o.fate != (fate{}) {
			saved.Organizations[id] = o.fate
		}
		if !o.ID.IsZero() {
			saved.Also[0][id] = o.Organization
		}
	}
	return saved
}

// mark waits until the store gives an event to know the ledger by. A node of a
// store that is a moment behind may give one that is too old.
func (s *snapshot) mark(ctx context.Context, store eventstore.Store) error {
	const patience, poll = 5 * time.Second, 100 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		newest, err := store.Newest(ctx, 1, eventstore.Filter{})
		if err != nil {
			return fmt.Errorf("look for the newest event: %w", err)
		}
		if len(newest) > 0 && newest[0].Position >= s.Applied {
			s.Landmark = eventstore.LandmarkOf(newest[0])
			return nil
		}
		if err := wait.For(ctx, poll); err != nil {
			return fmt.Errorf("the store gives no event as new as position %d: %w", s.Applied, err)
		}
	}
}
