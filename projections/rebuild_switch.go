package projections

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/follow"
	"github.com/sentryagent/agentidp/internal/pg"
	"github.com/sentryagent/agentidp/internal/wait"
)

// A switch is tried again and again: it waits for readers no longer than this,
// because those that come meanwhile wait behind it.
var switchPatience = []time.Duration{
	10 * time.Millisecond, 20 * time.Millisecond, 40 * time.Millisecond, 60 * time.Millisecond,
}

const (
	switchPause = 100 * time.Millisecond // between tries

	lockLive = `SELECT version, position, state = 'halted' FROM projection_checkpoints WHERE name = $1 FOR UPDATE`

	takeOver = `UPDATE projection_checkpoints
		SET version = $2, position = $3, state = 'running', error = '', failed_position = NULL, updated_at = now() WHERE name = $1`
)

// replace lets the shadow's tables take the place of the live ones, as soon as
// they are up to date and no reader is in the way for a moment. held is how long
// readers were locked out in the try that succeeded.
func (r *Rebuilder) replace(ctx context.Context, s *shadow) (held time.Duration, err error) {
	for try := 0; ; try++ {
		if err := r.fill(ctx, []*derivation{&s.derivation}); err != nil {
			return 0, err
		}
		if s.err != nil {
			return 0, s.err
		}
		patience := switchPatience[min(try, len(switchPatience)-1)]
		r.switching.Lock() // one after another: they would only wait for each other's readers
		held, err = r.trySwitch(ctx, s, patience)
		r.switching.Unlock()
		switch {
		case err == nil:
			return held, nil
		case errors.Is(err, errTooFar):
		case pg.Is(err, pg.LockNotAvailable, pg.DeadlockDetected):
			if try == len(switchPatience) {
				s.logger.Warn("the switch waits for long reads of the live tables to end", "position", s.position)
			}
			if err := wait.For(ctx, wait.Jitter(switchPause)); err != nil {
				return 0, err
			}
		default:
			return 0, fmt.Errorf("switch: %w", err)
		}
	}
}

// lockNext locks the new tables, which autovacuum may be busy with.
func lockNext(tables []string) string {
	names := make([]string, len(tables))
	for i, table := range tables {
		names[i] = pgx.Identifier{"next", table}.Sanitize()
	}
	return `LOCK TABLE ` + strings.Join(names, ", ") + ` IN ACCESS EXCLUSIVE MODE`
}

// trySwitch is the switch. It holds the live checkpoint, so the live runner
// waits; makes up for what that has written meanwhile; and exchanges the tables.
func (r *Rebuilder) trySwitch(ctx context.Context, s *shadow, patience time.Duration) (held time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, follow.TxTimeout)
	defer cancel()
	p, to := s.projection, s.position
	var last []follow.Event
	var locked time.Time
	err = pgx.BeginTxFunc(ctx, s.conn, s.begin, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockNext(p.Tables)); err != nil { // before others have to wait for us
			return err
		}
		if err := s.saved(ctx, tx, s.position, s.position); err != nil {
			return err
		}
		var version int
		var live eventstore.Position
		var halted bool
		if err := tx.QueryRow(ctx, lockLive, p.Name).Scan(&version, &live, &halted); err != nil {
			return err
		}
		if version > p.Version {
			return &follow.VersionError{Stored: version, Own: p.Version}
		}
		if r.options.Moved {
			live = 0
		}
		events, err := missing(ctx, r.store, &s.derivation, live)
		if err != nil {
			return err
		}
		if err := s.apply(ctx, tx, events); err != nil {
			return err
		}
		last = events
		newest := s.newest
		if len(last) > 0 {
			newest = last[len(last)-1].Position
		}
		to = max(s.position, live)
		if version == p.Version && !halted && newest <= live {
			to = live // the rows are those of the live position: the runner need not notice
		}
		batch := &pgx.Batch{}
		batch.Queue(`SELECT protect_rebuild($1)`, p.Name)
		batch.Queue(takeOver, p.Name, p.Version, to)
		follow.Announce(batch, p.Name, p.Version, to)
		each := max(patience/time.Duration(len(p.Tables)), time.Millisecond) // the bound is for one table's lock
		batch.Queue(`SELECT set_config('lock_timeout', $1, true)`, strconv.FormatInt(each.Milliseconds(), 10))
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return err
		}
		locked = time.Now()
		_, err = tx.Exec(ctx, `SELECT switch_rebuild($1)`, p.Name)
		return err
	})
	if err != nil {
		return 0, err
	}
	held = time.Since(locked)
	s.took(last, to)
	return held, nil
}
