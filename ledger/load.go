package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
)

// read gives the aggregate with every event that was committed before the call.
func (r *repository[S]) read(ctx context.Context, stream string) (versioned[S], error) {
	known, fresh, err := r.load(ctx, stream)
	if err != nil || fresh {
		return known, err
	}
	return r.refresh(ctx, stream, known)
}

// load gives the aggregate as this process last saw it; fresh says that it was
// read from the store just now, from its snapshot on where it has one that is of
// this stream: a snapshot is a cache and never wins against the events.
//
// Where many events had to be read a snapshot is due, for the next start. That
// holds for a read that broke off as well, so that a stream that takes longer
// to read than there is time is read in the end.
func (r *repository[S]) load(ctx context.Context, stream string) (v versioned[S], fresh bool, err error) {
	if known, cached := r.cache.get(stream); cached {
		return known, false, nil
	}
	start, err := r.loadSnapshot(ctx, stream)
	if err != nil {
		return start, false, err
	}
	v, err = r.replay(ctx, stream, start, max(start.revision, 0))
	if errors.Is(err, errOtherHistory) {
		r.dropSnapshot(ctx, stream, start, err)
		start = versioned[S]{revision: -1}
		v, err = r.replay(ctx, stream, start, 0)
	}
	r.remember(stream, v)
	r.saveSnapshot(stream, start, v)
	return v, true, err
}

// refresh applies the events after those that v knows, and remembers the result.
func (r *repository[S]) refresh(ctx context.Context, stream string, v versioned[S]) (versioned[S], error) {
	v, err := r.replay(ctx, stream, v, v.revision+1)
	r.remember(stream, v)
	return v, err
}

var errOtherHistory = errors.New("the snapshot is of another history than the stream has")

// replay applies the events of a stream from a revision on, which is the one
// after the newest that v knows, or that one: then it has to be the same there,
// or the error is [errOtherHistory]. On any other error it gives what came of
// the events before.
func (r *repository[S]) replay(ctx context.Context, stream string, v versioned[S], from int64) (versioned[S], error) {
	proven := from > v.revision
	for event, err := range r.store.ReadStream(ctx, stream, from, eventstore.Forwards) {
		switch {
		case err != nil && !proven:
			return versioned[S]{revision: -1}, fmt.Errorf("read %s: %w", stream, err)
		case err != nil:
			return v, fmt.Errorf("read %s: %w", stream, err)
		case proven && event.Revision != v.revision+1:
			return v, fmt.Errorf("read %s: %w", stream, &eventstore.InterferedError{
				Kind: eventstore.HiddenEvents, Stream: stream,
				Detail: fmt.Sprintf("shows revision %d after %d: events between are hidden or gone", event.Revision, v.revision),
			})
		case proven:
			if v, err = apply(v, event); err != nil {
				return v, fmt.Errorf("read %s at revision %d: %w", stream, event.Revision, err)
			}
		case event.Revision == v.revision && event.Hash == v.hash:
			v.position, proven = event.Position, true
		default:
			return v, errOtherHistory
		}
	}
	if !proven {
		return v, errOtherHistory
	}
	return v, nil
}

func apply[S aggregate[S]](v versioned[S], event eventstore.Event) (versioned[S], error) {
	record, err := event.Decode()
	if err != nil {
		return v, err
	}
	fact, err := domain.Decode(domain.Type(record.Type), record.Schema, record.Data)
	if err != nil {
		return v, err
	}
	return versioned[S]{evolved(v.state, fact, record.Time), event.Revision, event.Position, event.Hash}, nil
}

// evolved is the state after an event, without what is dead of it.
func evolved[S aggregate[S]](state S, fact domain.Event, at time.Time) S {
	state = state.Evolve(fact, at)
	if domain.Changes(fact) == domain.CredentialNoun || domain.EndingOf(fact).Credentials {
		if agent, ok := any(state).(interface{ WithoutDead() S }); ok {
			return agent.WithoutDead()
		}
	}
	return state
}

// remember keeps v unless something newer is known. Streams that do not exist
// are not worth a place: anybody can ask for those.
func (r *repository[S]) remember(stream string, v versioned[S]) {
	if v.revision < 0 {
		return
	}
	r.cache.add(stream, v)
}

// forget drops what is known of a stream; it will be loaded anew.
func (r *repository[S]) forget(stream string) { r.cache.remove(stream) }

// loadSnapshot gives the state of the stream's snapshot, of no position: whether
// it fits the stream is still to be seen. Without one it is that of no event.
func (r *repository[S]) loadSnapshot(ctx context.Context, stream string) (versioned[S], error) {
	empty := versioned[S]{revision: -1}
	if r.snapshots == nil {
		return empty, nil
	}
	snapshot, found, err := r.snapshots.load(ctx, stream, r.snapshotShape)
	if err != nil || !found {
		return empty, err
	}
	v := versioned[S]{revision: snapshot.revision, hash: snapshot.hash}
	state, err := r.snapshots.open(&snapshot)
	if err == nil {
		err = json.Unmarshal(state, &v.state)
	}
	if err != nil {
		r.dropSnapshot(ctx, stream, v, err)
		return empty, nil
	}
	return v, nil
}

// dropSnapshot makes room for one that is of use.
func (r *repository[S]) dropSnapshot(ctx context.Context, stream string, v versioned[S], reason error) {
	r.logger.WarnContext(ctx, "a snapshot is of no use and is dropped; the stream is read from its beginning",
		"stream", stream, "revision", v.revision, "reason", reason)
	if err := r.snapshots.drop(ctx, stream, v.revision, v.hash); err != nil {
		r.logger.WarnContext(ctx, "snapshot not dropped", "stream", stream, "error", err)
	}
}

// saveSnapshot hands the state over for saving when there is a multiple of
// snapshotEvery on the way from before to after.
func (r *repository[S]) saveSnapshot(stream string, before, after versioned[S]) {
	if r.snapshots == nil || after.revision/r.snapshotEvery <= before.revision/r.snapshotEvery {
		return
	}
	state, err := json.Marshal(after.state)
	if err != nil {
		r.logger.Error("encode snapshot", "stream", stream, "error", err)
		return
	}
	r.snapshots.save(snapshot{
		stream: stream, shape: r.snapshotShape, revision: after.revision, hash: after.hash, state: state,
	})
}
