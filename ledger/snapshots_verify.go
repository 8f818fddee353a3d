package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/eventstore"
)

// SnapshotsVerified is what [Ledger.VerifySnapshots] found.
type SnapshotsVerified struct {
	Checked int64 // snapshots
	Events  int64 // folded again
	Unread  int64 // of a shape that no server of this version reads
	Faults  []SnapshotFault
}

// SnapshotFault is a snapshot that says other than the events of its stream.
type SnapshotFault struct {
	Stream   string
	Revision int64
	Reason   error
}

// VerifySnapshots folds the stream of every snapshot again, from its beginning,
// and compares. It changes nothing. The error is that it could not look.
func (l *Ledger) VerifySnapshots(ctx context.Context) (SnapshotsVerified, error) {
	var result SnapshotsVerified
	kept := l.agents.snapshots
	verify := map[string]func(context.Context, *snapshot) (events int64, fault, err error){
		l.agents.snapshotShape:        l.agents.verifySnapshot,
		l.organizations.snapshotShape: l.organizations.verifySnapshot,
		l.seats.snapshotShape:         l.seats.verifySnapshot,
		l.claims.snapshotShape:        l.claims.verifySnapshot,
		l.delegations.snapshotShape:   l.delegations.verifySnapshot,
		l.signingKeys.snapshotShape:   l.signingKeys.verifySnapshot,
	}
	for after := ""; ; {
		page, err := kept.page(ctx, after)
		if err != nil || len(page) == 0 {
			return result, err
		}
		for i := range page {
			known := false
			for shape, fold := range verify {
				if page[i].shape != sealedShape(shape) {
					continue
				}
				known, page[i].shape = true, shape
				events, fault, err := fold(ctx, &page[i])
				if err != nil {
					return result, fmt.Errorf("verify the snapshot of %s: %w", page[i].stream, err)
				}
				result.Checked++
				result.Events += events
				if fault != nil {
					result.Faults = append(result.Faults, SnapshotFault{page[i].stream, page[i].revision, fault})
				}
				break
			}
			if !known {
				result.Unread++
			}
		}
		after = page[len(page)-1].stream
	}
}

const selectSnapshots = `
SELECT stream, shape, revision, hash, state FROM snapshots WHERE stream > $1 ORDER BY stream LIMIT 20`

// page gives the snapshots after a stream, by name of stream.
func (s *Snapshots) page(ctx context.Context, after string) ([]snapshot, error) {
	rows, err := s.pool.Query(ctx, selectSnapshots, after)
	if err != nil {
		return nil, unavailable("read snapshots", err)
	}
	page, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (found snapshot, err error) {
		var hash []byte
		err = row.Scan(&found.stream, &found.shape, &found.revision, &hash, &found.state)
		copy(found.hash[:], hash)
		return found, err
	})
	return page, unavailable("read snapshots", err)
}

var (
	errNoSuchEvent = errors.New("the stream does not have the event that it is of")
	errOtherState  = errors.New("the events lead to another state")
)

func (r *repository[S]) verifySnapshot(ctx context.Context, s *snapshot) (events int64, fault, err error) {
	state, fault := r.snapshots.open(s)
	if fault != nil {
		return 0, fault, nil
	}
	v := versioned[S]{revision: -1}
	for event, err := range r.store.ReadStream(ctx, s.stream, 0, eventstore.Forwards) {
		if err != nil {
			return events, nil, err
		}
		if event.Revision > s.revision {
			break
		}
		if v, err = apply(v, event); err != nil {
			return events, nil, err
		}
		events++
	}
	if err := ctx.Err(); err != nil {
		return events, nil, err
	}
	if v.revision != s.revision || v.hash != s.hash {
		return events, errNoSuchEvent, nil
	}
	same, err := sameState(state, v.state)
	if err == nil && !same {
		fault = errOtherState
	}
	return events, fault, err
}

// sameState compares a saved state with one that was folded, both as they are
// when they have been loaded.
func sameState[S any](saved []byte, folded S) (bool, error) {
	encoded, err := json.Marshal(folded)
	if err != nil {
		return false, err
	}
	var loaded [2][]byte
	for i, text := range [...][]byte{saved, encoded} {
		var state S
		if err := json.Unmarshal(text, &state); err != nil {
			return false, nil
		}
		if loaded[i], err = json.Marshal(state); err != nil {
			return false, err
		}
	}
	return bytes.Equal(loaded[0], loaded[1]), nil
}
