package revocation_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/memory"
	"github.com/sentryagent/agentidp/ledger/revocation"
)

func TestRevocationVerdicts(t *testing.T) {
	organization, agent, credential, token := newOrganizationID(), newAgentID(), newCredentialID(), newTokenID()
	var (
		suspended    = domain.AgentSuspended{AgentID: agent}
		reactivated  = domain.AgentReactivated{AgentID: agent}
		gone         = domain.AgentDecommissioned{AgentID: agent}
		reduced      = domain.AgentUpdated{AgentID: agent, ScopesReduced: true}
		updated      = domain.AgentUpdated{AgentID: agent}
		rotated      = domain.CredentialRotated{AgentID: agent, CredentialID: credential}
		revoked      = domain.CredentialRevoked{AgentID: agent, CredentialID: credential}
		tokenRevoked = domain.TokenRevoked{AgentID: agent, TokenID: token, ExpiresAt: time.Now().Add(time.Hour)}
		orgSuspended = domain.OrganizationSuspended{OrganizationID: organization}
		orgBack      = domain.OrganizationReactivated{OrganizationID: organization}
		orgDeleted   = domain.OrganizationDeleted{OrganizationID: organization}
	)
	for _, c := range []struct {
		name        string
		facts       []domain.Event
		old, recent revocation.Verdict // of tokens issued before and after
	}{
		{"nothing", nil, revocation.Alive, revocation.Alive},
		{"agent suspended", []domain.Event{suspended}, revocation.AgentInactive, revocation.AgentInactive},
		{"agent reactivated", []domain.Event{suspended, reactivated}, revocation.AgentChanged, revocation.Alive},
		{"agent suspended again", []domain.Event{suspended, reactivated, suspended}, revocation.AgentInactive, revocation.AgentInactive},
		{"agent decommissioned", []domain.Event{gone}, revocation.AgentInactive, revocation.AgentInactive},
		{"scopes reduced", []domain.Event{reduced}, revocation.AgentChanged, revocation.Alive},
		{"scopes reduced while suspended", []domain.Event{suspended, reduced}, revocation.AgentInactive, revocation.AgentInactive},
		{"another update", []domain.Event{updated}, revocation.Alive, revocation.Alive},
		{"credential rotated", []domain.Event{rotated}, revocation.CredentialChanged, revocation.Alive},
		{"credential revoked", []domain.Event{revoked}, revocation.CredentialChanged, revocation.CredentialChanged},
		{"token revoked", []domain.Event{tokenRevoked}, revocation.TokenRevoked, revocation.TokenRevoked},
		{"organization suspended", []domain.Event{orgSuspended}, revocation.OrganizationInactive, revocation.OrganizationInactive},
		{"organization reactivated", []domain.Event{orgSuspended, orgBack}, revocation.OrganizationChanged, revocation.Alive},
		{"organization deleted", []domain.Event{orgDeleted}, revocation.OrganizationInactive, revocation.OrganizationInactive},
	} {
		t.Run(c.name, func(t *testing.T) {
			store := memory.New()
			ref := revocation.Token{TokenID: token, AgentID: agent, CredentialID: credential, OrganizationID: organization, ExpiresAt: time.Now().Add(time.Hour)}
			ref.Position = record(t, store, newStream(), organization, issued(agent, credential))
			ref.Basis = ref.Position - 1
			for _, f := range c.facts {
				record(t, store, newStream(), organization, f)
			}
			r := revocation.New(store, revocation.Options{})
			if got := r.Latest().Check(ref); got != revocation.NotLoaded {
				t.Errorf("before the first sync: %q, want %q", got, revocation.NotLoaded)
			}
			if _, err := r.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := r.Latest().Check(ref); got != c.old {
				t.Errorf("token from before: %q, want %q", got, c.old)
			}
			ref.Position = record(t, store, newStream(), organization, issued(agent, credential))
			ref.Basis = ref.Position - 1
			if _, err := r.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := r.Latest().Check(ref); got != c.recent {
				t.Errorf("token from after: %q, want %q", got, c.recent)
			}
			other := revocation.Token{TokenID: newTokenID(), AgentID: newAgentID(), OrganizationID: newOrganizationID(), Position: 1, ExpiresAt: ref.ExpiresAt}
			if got := r.Latest().Check(other); got != revocation.Alive {
				t.Errorf("somebody else's token: %q, want it alive", got)
			}
			ref.ExpiresAt = time.Now().Add(-time.Second)
			if got := r.Latest().Check(ref); got != revocation.TokenExpired {
				t.Errorf("expired token: %q, want %q", got, revocation.TokenExpired)
			}
			if got, want := r.Latest().OrganizationActive(organization), c.old != revocation.OrganizationInactive; got != want {
				t.Errorf("organization active: %v, want %v", got, want)
			}
		})
	}
}

// What was revoked before Sync was called is never accepted after it.
func TestSyncIsLinearizable(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) eventstore.Store{
		"memory":   func(*testing.T) eventstore.Store { return memory.New() },
		"postgres": func(t *testing.T) eventstore.Store { return newWorld(t).store },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := open(t)
			r := revocation.New(store, revocation.Options{})
			const writers, readers, each = 8, 8, 60
			refs := make([]revocation.Token, writers*each)
			var next atomic.Int64
			revoked := make(chan int, len(refs))
			var writing, reading sync.WaitGroup
			for range writers {
				writing.Go(func() {
					for i := int(next.Add(1) - 1); i < len(refs); i = int(next.Add(1) - 1) {
						agent, credential := newAgentID(), newCredentialID()
						e := issued(agent, credential)
						refs[i] = revocation.Token{TokenID: e.TokenID, AgentID: agent, CredentialID: credential, ExpiresAt: e.ExpiresAt}
						refs[i].Position = record(t, store, newStream(), newOrganizationID(), e)
						record(t, store, newStream(), newOrganizationID(), []domain.Event{
							domain.TokenRevoked{AgentID: agent, TokenID: e.TokenID, ExpiresAt: e.ExpiresAt},
							domain.CredentialRotated{AgentID: agent, CredentialID: credential},
							domain.AgentSuspended{AgentID: agent},
						}[i%3])
						revoked <- i
					}
				})
			}
			for range readers {
				reading.Go(func() {
					for i := range revoked {
						if _, err := r.Sync(t.Context()); err != nil {
							t.Error(err)
							return
						}
						if r.Latest().Check(refs[i]) == revocation.Alive {
							t.Errorf("token %d was revoked before Sync and is alive after it", i)
						}
					}
				})
			}
			writing.Wait()
			close(revoked)
			reading.Wait()
		})
	}
}

// failingStore can be told to fail, and holds reads until it is told to go on.
type failingStore struct {
	eventstore.Store
	fails   atomic.Bool
	reading chan struct{} // takes a token per read, when not nil
	goOn    chan struct{}
	reads   atomic.Int64
}

func (s *failingStore) Head(ctx context.Context) (eventstore.Position, error) {
	s.reads.Add(1)
	if s.reading != nil {
		s.reading <- struct{}{}
		<-s.goOn
	}
	if s.fails.Load() {
		return 0, eventstore.ErrUnavailable
	}
	return s.Store.Head(ctx)
}

func (s *failingStore) ReadAll(ctx context.Context, after eventstore.Position, f eventstore.Filter) iter.Seq2[eventstore.Event, error] {
	return s.Store.ReadAll(ctx, after, f)
}

func TestSyncFailsClosedAndRecovers(t *testing.T) {
	store := &failingStore{Store: memory.New()}
	var observed revocation.Observation
	r := revocation.New(store, revocation.Options{Observe: func(o revocation.Observation) { observed = o }})
	store.fails.Store(true)
	if _, err := r.Sync(t.Context()); !errors.Is(err, revocation.ErrStale) || !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("Sync on a store that is away: %v, want ErrStale and its cause", err)
	}
	store.fails.Store(false)
	position := record(t, store, newStream(), newOrganizationID(), domain.AgentSuspended{AgentID: newAgentID()})
	if _, err := r.Sync(t.Context()); err != nil || r.Position() != position {
		t.Errorf("Sync on a store that is back: %v, at %d, want %d", err, r.Position(), position)
	}
	if observed.Callers != 1 || observed.Events != 1 || observed.Position != position || observed.Err != nil {
		t.Errorf("observed %+v", observed)
	}
}

// bounded notes how long its reads may take.
type bounded struct {
	eventstore.Store
	patience []time.Duration
}

func (s *bounded) ReadAll(ctx context.Context, after eventstore.Position, f eventstore.Filter) iter.Seq2[eventstore.Event, error] {
	deadline, _ := ctx.Deadline()
	s.patience = append(s.patience, time.Until(deadline))
	return s.Store.ReadAll(ctx, after, f)
}

// The first read is as long as the ledger on an engine that has no index of
// types. Bounded like the others it would never end on a long one, and no server
// would start.
func TestTheFirstReadMayTakeAsLongAsTheLedgerIs(t *testing.T) {
	store := &bounded{Store: memory.New()}
	r := revocation.New(store, revocation.Options{Timeout: time.Minute, LoadTimeout: time.Hour})
	for range 2 {
		record(t, store, newStream(), newOrganizationID(), domain.AgentSuspended{AgentID: newAgentID()})
		if _, err := r.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(store.patience) != 2 || store.patience[0] <= time.Minute || store.patience[1] > time.Minute {
		t.Errorf("the reads may take %v, want the first more than a minute and no other", store.patience)
	}
}

func TestCallersShareTheNextReadAndNeverOneUnderWay(t *testing.T) {
	store := &failingStore{Store: memory.New(), reading: make(chan struct{}), goOn: make(chan struct{})}
	var callers []int
	r := revocation.New(store, revocation.Options{Observe: func(o revocation.Observation) { callers = append(callers, o.Callers) }})
	results := make(chan error)
	start := func() {
		go func() {
			_, err := r.Sync(context.Background())
			results <- err
		}()
	}
	start()
	<-store.reading // the first read is under way

	impatient, leave := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		_, err := r.Sync(impatient)
		gone <- err
	}()
	const more = 5
	for range more {
		start()
	}
	leave()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("the caller that left got %v", err)
	}
	store.goOn <- struct{}{}
	if err := <-results; err != nil {
		t.Errorf("the first caller got %v", err)
	}
	for done := 0; done < more; {
		select {
		case <-store.reading:
			store.goOn <- struct{}{}
		case err := <-results:
			if err != nil {
				t.Errorf("a later caller got %v", err)
			}
			done++
		}
	}
	if n := store.reads.Load(); n < 2 || callers[0] != 1 {
		t.Errorf("%d reads served %v callers, want the first to serve one", n, callers)
	}
}

func TestPruneForgetsWhatNoTokenNeeds(t *testing.T) {
	store := memory.New()
	now := time.Now()
	r := revocation.New(store, revocation.Options{Now: func() time.Time { return now }})
	dead, agent, credential, token := newAgentID(), newAgentID(), newCredentialID(), newTokenID()
	record(t, store, newStream(), newOrganizationID(),
		domain.AgentSuspended{AgentID: dead}, domain.AgentReactivated{AgentID: agent},
		domain.CredentialRotated{CredentialID: credential}, domain.TokenRevoked{TokenID: token, ExpiresAt: now.Add(time.Hour)},
		domain.TokenRevoked{TokenID: newTokenID(), ExpiresAt: now.Add(-time.Hour)})
	if _, err := r.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		after time.Duration
		want  revocation.Size
	}{
		{0, revocation.Size{Agents: 2, Credentials: 1, Tokens: 1}},
		{time.Hour + time.Second, revocation.Size{Agents: 2, Credentials: 1}},
		{2*time.Hour + time.Minute, revocation.Size{}},
	} {
		r.Prune(now.Add(c.after))
		if got := r.Size(); got != c.want {
			t.Errorf("%v later it holds %+v, want %+v", c.after, got, c.want)
		}
	}
}

func BenchmarkSync(b *testing.B) {
	w := newWorld(b)
	for _, load := range []string{"quiet", "while tokens are issued"} {
		b.Run(load, func(b *testing.B) {
			var reads atomic.Int64
			r := revocation.New(w.store, revocation.Options{Observe: func(revocation.Observation) { reads.Add(1) }})
			ctx, stop := context.WithCancel(b.Context())
			var issuing sync.WaitGroup
			if load != "quiet" {
				d := draft(b, newOrganizationID(), time.Now(), issued(newAgentID(), newCredentialID()))
				for i := range 4 {
					issuing.Go(func() {
						for ctx.Err() == nil {
							d := d
							d.ID = newTokenID().UUID
							_, _ = w.store.Append(ctx, fmt.Sprint("load-", i), eventstore.Any(), d)
						}
					})
				}
			}
			var left atomic.Int64
			var callers sync.WaitGroup
			b.ResetTimer()
			left.Store(int64(b.N))
			for range 64 {
				callers.Go(func() {
					for left.Add(-1) >= 0 {
						if _, err := r.Sync(b.Context()); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			callers.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "syncs/s")
			b.ReportMetric(float64(reads.Load())/b.Elapsed().Seconds(), "reads/s")
			stop()
			issuing.Wait()
		})
	}
}

// A ledger that was restored from a backup has no event to end the tokens that
// the lost part issued: that they are of a place it has not reached has to do.
func TestATokenFromBeyondTheLedgersEndIsRefused(t *testing.T) {
	store := memory.New()
	r := revocation.New(store, revocation.Options{})
	agent, credential := newAgentID(), newCredentialID()
	end := record(t, store, newStream(), newOrganizationID(), issued(agent, credential))
	for _, c := range []struct {
		name            string
		position, basis eventstore.Position
		want            revocation.Verdict
	}{
		{"the newest event", end, end - 1, revocation.Alive},
		{"a basis at the end", end, end, revocation.Alive},
		{"beyond the end", end + 1, end - 1, revocation.BeyondLedger},
		{"far beyond the end", end + 1000, end + 999, revocation.BeyondLedger},
		{"a basis beyond the end", end, end + 1, revocation.BeyondLedger},
	} {
		if _, err := r.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		ref := revocation.Token{
			TokenID: newTokenID(), AgentID: agent, CredentialID: credential, OrganizationID: newOrganizationID(),
			ExpiresAt: time.Now().Add(time.Hour), Position: c.position, Basis: c.basis,
		}
		if got := r.Latest().Check(ref); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// behind is an engine that follows the ledger and has not got so far.
type behind struct{ eventstore.Store }

func (behind) Reached(context.Context) (eventstore.Position, error) { return 1, nil }

// What an engine has at hand may be behind what the index knows by asking. That is
// no loss of events.
func TestKeepingUpWithAnEngineThatIsBehindIsNoLoss(t *testing.T) {
	store := behind{memory.New()}
	observed := make(chan error)
	r := revocation.New(store, revocation.Options{Observe: func(o revocation.Observation) {
		select {
		case observed <- o.Err:
		case <-t.Context().Done():
		}
	}})
	for range 3 {
		record(t, store, newStream(), newOrganizationID(), domain.AgentSuspended{AgentID: newAgentID()})
	}
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan struct{})
	go func() { defer close(ran); r.Run(ctx) }()
	for range 2 { // the first asks, the second looks
		if err := <-observed; err != nil {
			t.Errorf("the index could not be kept up to date: %v", err)
		}
	}
	stop()
	<-ran
}
