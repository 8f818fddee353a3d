package follow

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/pg"
)

// Run listens and looks until ctx ends.
func (p *Progress) Run(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() { p.hearAll(ctx) })
	both.Go(func() { p.lookAgainAndAgain(ctx) })
	both.Wait()
}

// hearAll listens for announcements, for ever.
func (p *Progress) hearAll(ctx context.Context) {
	backoff := newBackoff()
	troubled := false
	for ctx.Err() == nil {
		listening, err := p.listen(ctx)
		if ctx.Err() != nil {
			return
		}
		if listening {
			backoff.Reset()
			troubled = false
			for _, t := range p.trackers {
				t.forget()
			}
		}
		if !troubled {
			p.options.Logger.Warn("not listening to projections, polling instead", "error", err)
			troubled = true
		}
		p.lookSoon()
		_ = backoff.For(ctx)
	}
}

// listen passes announcements on until the session is lost. It reports whether
// it came to listening at all.
func (p *Progress) listen(ctx context.Context) (listening bool, err error) {
	conn, err := pg.Connect(ctx, p.pool, "agentidp progress")
	if err != nil {
		return false, err
	}
	defer pg.Discard(conn)
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return false, err
	}
	p.lookSoon() // for what was committed while nobody listened
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return true, err
		}
		if a, ok := parseAnnouncement(n.Payload); ok {
			if t := p.tracker(a.name); t != nil {
				t.hear(a)
			}
			p.sawHead(a.position)
		}
	}
}

func (p *Progress) lookAgainAndAgain(ctx context.Context) {
	delay := eagerLook
	troubled := false
	for {
		moved, err := p.look(ctx)
		if ctx.Err() != nil {
			return
		}
		switch {
		case err != nil && !troubled:
			p.options.Logger.Warn("the read models cannot be looked after", "error", err)
		case err == nil && troubled:
			p.options.Logger.Info("the read models are looked after again")
		}
		troubled = err != nil
		switch {
		case p.waiting.Load() == 0:
			delay = p.options.Poll
		case moved || delay > patientLook:
			delay = eagerLook
		default:
			delay = min(2*delay, patientLook)
		}
		if !p.pauseOrNudge(ctx, delay) {
			return
		}
	}
}

func (p *Progress) pauseOrNudge(ctx context.Context, delay time.Duration) bool {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-p.nudge:
	}
	return true
}

const selectPlaces = `SELECT c.name, c.version, c.position, c.state = 'halted', c.error, r.version, r.position, r.head, r.holder,
	extract(epoch FROM clock_timestamp() - c.updated_at)::float8
	FROM projection_checkpoints c LEFT JOIN projection_rebuilds r USING (name)`

type storedPlace struct {
	name     string
	version  int
	position eventstore.Position
	halted   bool
	reason   string
	idle     time.Duration // since it was stored, by the database's clock
	rebuild  *RebuildStatus
}

func scanPlace(row pgx.CollectableRow) (c storedPlace, err error) {
	var version *int
	var position, head *eventstore.Position
	var holder *string
	var idle float64
	err = row.Scan(&c.name, &c.version, &c.position, &c.halted, &c.reason, &version, &position, &head, &holder, &idle)
	c.idle = time.Duration(idle * float64(time.Second))
	if err == nil && version != nil {
		c.rebuild = &RebuildStatus{Version: *version, Position: *position, Head: *head, Holder: *holder}
	}
	return c, err
}

// Look does once what [Progress.Run] does again and again.
func (p *Progress) Look(ctx context.Context) error {
	_, err := p.look(ctx)
	return err
}

// look reads the places and asks the ledger what comes after them. It
// reports whether a follower has moved.
func (p *Progress) look(ctx context.Context) (moved bool, err error) {
	since := make([]glimpse, len(p.trackers))
	for i, t := range p.trackers {
		since[i] = t.glimpse() // before reading, so that what changes meanwhile is seen to have changed
	}
	stored, err := p.places(ctx)
	if err != nil {
		return false, fmt.Errorf("read the checkpoints: %w", err)
	}
	head, err := eventstore.Reached(ctx, p.store)
	if err != nil {
		return false, err
	}
	p.sawHead(head)
	p.found(stored)
	measure := p.isToMeasure(time.Now())
	for i, t := range p.trackers {
		for _, c := range stored {
			if c.name != t.follower.Name || c.version < t.follower.Version {
				continue // of an older version: nothing that this build reads is there yet
			}
			changed, err := p.lookAt(ctx, t, since[i], c, head, measure)
			if err != nil {
				return moved, err
			}
			moved = moved || changed
		}
	}
	return moved, nil
}

func (p *Progress) places(ctx context.Context) ([]storedPlace, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	rows, err := p.pool.Query(ctx, selectPlaces)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanPlace)
}

// isToMeasure reports, once in a Poll, that it is time again to look how old
// what is not applied is.
func (p *Progress) isToMeasure(now time.Time) bool {
	last := p.measured.Load()
	return now.UnixNano()-last >= int64(p.options.Poll) && p.measured.CompareAndSwap(last, now.UnixNano())
}

// found takes what is stored besides the places.
func (p *Progress) found(stored []storedPlace) {
	outdated := []string{}
	for _, t := range p.trackers {
		for _, c := range stored {
			if c.name != t.follower.Name {
				continue
			}
			t.found(c)
			if c.version < t.follower.Version {
				outdated = append(outdated, c.name)
			}
		}
	}
	p.outdated.Store(&outdated)
}

// lookAt finds out how far a follower is: up to the next event after its
// place that it wants, or up to the head. The head was read before the
// ledger is, so an event that comes meanwhile is after it. Of a follower that
// wants all events that is known without reading, so that is read only to
// measure how old the next one is.
func (p *Progress) lookAt(ctx context.Context, t *tracker, since glimpse, c storedPlace, head eventstore.Position, measure bool) (bool, error) {
	from := c.position
	if since.led {
		from = max(from, since.resume) // a local worker's memory is ahead of what is stored
	}
	position, resume := from, from
	near := eventstore.AtHand(p.store, from)
	switch {
	case !near && measure:
		// Whether any of what lies between concerns it would take a read of all
		// that: as long as it is so far behind, the next event of any kind will do.
		if next, err := p.firstAfter(ctx, from, head, eventstore.Filter{}); err == nil {
			t.expect(next)
		}
	case near && (t.follower.Types != nil || measure):
		var next moment
		if from < head {
			var err error
			if next, err = p.firstAfter(ctx, from, head, t.follower.filter()); err != nil {
				return false, err
			}
			if next.position == 0 || next.position > head {
				position, resume = head, head
			} else {
				position = next.position - 1 // good to compare with, but no place that the ledger has given out
			}
		}
		t.expect(next)
	}
	return t.learn(since, position, resume, c.halted, c.reason), nil
}

// firstAfter is the next event that passes, zero when there is none.
func (p *Progress) firstAfter(ctx context.Context, position, head eventstore.Position, filter eventstore.Filter) (moment, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	for e, err := range eventstore.ReadNew(ctx, p.store, position, head, filter) {
		return moment{e.Position, e.RecordedAt}, err
	}
	return moment{}, nil
}
