package follow

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
)

// Progress knows how far the followers are, wherever they run, and lets readers
// wait for those that write read models.
//
// Workers of this process report directly. Core followers that run elsewhere
// announce each transaction by NOTIFY. And Progress looks for itself, each
// second and, while somebody waits, every 10 to 100 ms: it reads the
// places and then asks the ledger for the first event after a place that its
// follower wants. Up to that event the follower is done, by whatever its own
// process has or has not stored about events that do not concern it. So no wait
// depends on another process answering, and a follower that has nothing to do
// counts as being at the head.
//
// When the listening session breaks, the database may have crashed and lost
// transactions that were not yet on disk (see [BeginRows]): all that was known
// is forgotten and learned again.
type Progress struct {
	pool    *pgxpool.Pool
	store   eventstore.Store
	options ProgressOptions

	trackers []*tracker
	outdated atomic.Pointer[[]string] // names, as of the last look
	head     atomic.Uint64            // newest position known
	waiting  atomic.Int64             // readers that wait
	measured atomic.Int64             // when it was last looked how old what is not applied is, in nanoseconds
	nudge    chan struct{}            // asks for a look at the database
	hurry    chan struct{}            // asks followers of this process not to let events gather
}

// ProgressOptions tune a [Progress]; the zero value is good.
type ProgressOptions struct {
	Logger *slog.Logger  // default: discards
	Poll   time.Duration // between looks when nobody waits; default: 1 s
	Stall  time.Duration // how long one may stand still before it counts as stalled; default: 30 s
}

// patience is how long a follower may stand still with something to apply.
const patience = 30 * time.Second

// While somebody waits: when to look for the first time, and how often then.
const (
	firstLook   = 5 * time.Millisecond
	eagerLook   = 10 * time.Millisecond
	patientLook = 100 * time.Millisecond
)

// NewProgress knows of nothing until [Progress.Run] runs or a [Runner] reports.
func NewProgress(pool *pgxpool.Pool, store eventstore.Store, followers []Follower, options ProgressOptions) *Progress {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if options.Poll <= 0 {
		options.Poll = time.Second
	}
	if options.Stall <= 0 {
		options.Stall = patience
	}
	p := &Progress{pool: pool, store: store, options: options, nudge: make(chan struct{}, 1), hurry: make(chan struct{}, 1)}
	for _, f := range followers {
		p.trackers = append(p.trackers, newTracker(&f))
	}
	return p
}

// Wait waits until every core read model that wants one of the types (with
// none given: every core read model) has reached the position. The error is a
// [BehindError], when ctx ends or at once when one of them has halted.
func (p *Progress) Wait(ctx context.Context, position eventstore.Position, types ...domain.Type) error {
	return p.waitFor(ctx, position, func(f *Follower) bool {
		return f.Core && (len(types) == 0 || slices.ContainsFunc(types, f.Wants))
	})
}

// WaitAll waits until every read model has reached the position.
func (p *Progress) WaitAll(ctx context.Context, position eventstore.Position) error {
	return p.waitFor(ctx, position, (*Follower).readModel)
}

// WaitFor waits until the named followers have reached the position.
func (p *Progress) WaitFor(ctx context.Context, position eventstore.Position, names ...string) error {
	return p.waitFor(ctx, position, func(f *Follower) bool { return slices.Contains(names, f.Name) })
}

func (p *Progress) waitFor(ctx context.Context, position eventstore.Position, chosen func(*Follower) bool) error {
	for _, t := range p.trackers {
		if !chosen(t.follower) {
			continue
		}
		if err := p.await(ctx, t, position); err != nil {
			return err
		}
	}
	return nil
}

func (p *Progress) await(ctx context.Context, t *tracker, position eventstore.Position) error {
	if there, err := t.at(position); there || err != nil {
		return err
	}
	p.waiting.Add(1)
	defer p.waiting.Add(-1)
	select {
	case p.hurry <- struct{}{}:
	default: // asked already
	}
	look := time.NewTimer(firstLook)
	defer look.Stop()
	for {
		t.mu.Lock()
		changed := t.changed
		t.mu.Unlock()
		if there, err := t.at(position); there || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-look.C:
			p.lookSoon()
		case <-ctx.Done():
			now := t.glimpse()
			return &BehindError{Projection: t.follower.Name, Position: now.position, Wanted: position, Cause: ctx.Err()}
		}
	}
}

// at reports whether the follower has reached a position, and an error when
// it is not going to.
func (t *tracker) at(position eventstore.Position) (bool, error) {
	now := t.glimpse()
	if now.position < position && now.halted {
		return false, &BehindError{Projection: t.follower.Name, Position: now.position, Wanted: position, Halted: true}
	}
	return now.position >= position, nil
}

func (p *Progress) lookSoon() {
	select {
	case p.nudge <- struct{}{}:
	default: // asked already
	}
}

// Status is where a follower is, as far as this process knows.
type Status struct {
	Projection string              // the follower's name
	ReadModel  bool                // it writes [Rows]
	Position   eventstore.Position // every wanted event up to here is applied
	Lag        uint64              // positions between it and the newest event known
	Dense      bool                // positions count events, and so does Lag
	Behind     time.Duration       // age of the oldest wanted event that is not applied, as of the last look; 0: none is known
	Halted     bool
	Stalled    bool          // not halted, and nothing was applied for half a minute although there is something to apply
	Idle       time.Duration // since its place was stored last, as of the last look
	Error      string        // why it halted, where known
	Local      bool          // a worker of this process runs it
	Version    int           // of the stored read model; 0: none is known
	Own        int           // the version that this build reads
	Rebuild    *RebuildStatus
}

// RebuildStatus is where the rebuild of a read model is, or where it was left.
type RebuildStatus struct {
	Version  int
	Position eventstore.Position
	Head     eventstore.Position // of the ledger, when last looked at
	Holder   string              // who works on it, or did last
}

// StandsStill is Stalled for who has looked once and has not watched: by when the
// place was stored last.
func (s Status) StandsStill() bool { return !s.Halted && s.Behind > patience && s.Idle > patience }

// Outdated reports that the stored read model is an older version's. It will be
// replaced by a rebuild; until then it is not to be read by this build.
func (s Status) Outdated() bool { return s.Version != 0 && s.Version < s.Own }

// Status lists the followers in the order they were given in.
func (p *Progress) Status() []Status {
	list := make([]Status, 0, len(p.trackers))
	head, dense := eventstore.Position(p.head.Load()), eventstore.Dense(p.store)
	for _, t := range p.trackers {
		now := t.glimpse()
		status := Status{Projection: t.follower.Name, ReadModel: t.follower.readModel(), Position: now.position, Dense: dense, Behind: now.behind(time.Now()),
			Halted: now.halted, Stalled: now.stalled(time.Now(), p.options.Stall), Idle: now.idle, Error: now.reason, Local: now.led,
			Version: now.version, Own: t.follower.Version, Rebuild: now.rebuild}
		if head > now.position {
			status.Lag = uint64(head - now.position)
		}
		list = append(list, status)
	}
	return list
}

// Outdated names the read models that are of an older version than this build
// reads, as of the last look: they are being rebuilt, and until that is done
// nothing is to be read that may depend on them.
func (p *Progress) Outdated() []string {
	if names := p.outdated.Load(); names != nil {
		return *names
	}
	return nil
}

func (p *Progress) sawHead(head eventstore.Position) {
	for {
		known := p.head.Load()
		if uint64(head) <= known || p.head.CompareAndSwap(known, uint64(head)) {
			return
		}
	}
}

func (p *Progress) tracker(name string) *tracker {
	for _, t := range p.trackers {
		if t.follower.Name == name {
			return t
		}
	}
	return nil
}

// What follows is how local workers report. Followers that Progress was not
// made with are of no interest to anybody.

func (p *Progress) lead(name string, position eventstore.Position) (term int) {
	if t := p.tracker(name); t != nil {
		return t.lead(position)
	}
	return 0
}

func (p *Progress) reached(name string, term int, position, head eventstore.Position) bool {
	p.sawHead(head)
	t := p.tracker(name)
	return t == nil || t.reached(term, position)
}

func (p *Progress) halt(name string, term int, position eventstore.Position, reason string) {
	if t := p.tracker(name); t != nil {
		t.halt(term, position, reason)
	}
}

func (p *Progress) resign(name string, term int) {
	if t := p.tracker(name); t != nil {
		t.resign(term)
		p.lookSoon()
	}
}
