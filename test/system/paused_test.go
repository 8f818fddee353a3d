package system_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/projections/transparency"
	"github.com/sentryagent/agentidp/test/chaos"
)

// holders are the process ids of the sessions that hold the leases of a part of
// the work.
func holders(ctx context.Context, pool *pgxpool.Pool, part string) (pids []int32, err error) {
	const who = `SELECT coalesce(array_agg(DISTINCT a.pid), '{}') FROM pg_stat_activity a JOIN pg_locks l USING (pid)
		WHERE a.datname = current_database() AND a.application_name = $1 AND l.locktype = 'advisory' AND l.granted`
	err = pool.QueryRow(ctx, who, "agentidp "+part).Scan(&pids)
	return pids, err
}

// leader starts a server and waits until it holds the leases of the parts.
func (w *world) leader(tb testing.TB, pool *pgxpool.Pool, parts ...string) (*node, map[string]int32) {
	tb.Helper()
	s, held := w.serve(tb), map[string]int32{}
	for _, part := range parts {
		await(tb, "the leases of "+part, func(ctx context.Context) error {
			pids, err := holders(ctx, pool, part)
			if err == nil && len(pids) != 1 {
				err = fmt.Errorf("held by %v", pids)
			}
			if err == nil {
				held[part] = pids[0]
			}
			return err
		})
	}
	return s, held
}

func awaitSuccessor(tb testing.TB, pool *pgxpool.Pool, part string, before int32) {
	tb.Helper()
	await(tb, "another server to take "+part+" over", func(ctx context.Context) error {
		pids, err := holders(ctx, pool, part)
		if err == nil && (len(pids) != 1 || pids[0] == before) {
			err = fmt.Errorf("held by %v, by %d before", pids, before)
		}
		return err
	})
}

// The server that runs the projections and the jobs is frozen until another has
// taken them over, three times, and wakes up in the middle of what that does.
func TestFrozenLeaderDoesNoHarmWhenItWakesUp(t *testing.T) {
	t.Parallel()
	onEachEngine(t, frozenLeaderDoesNoHarm, "CHECKPOINT_INTERVAL_MS=1000", "VERIFY_NEW_INTERVAL_MS=1000", "CREDENTIAL_SCAN_INTERVAL_MS=1000")
}

func frozenLeaderDoesNoHarm(t *testing.T, w *world) {
	pool := w.superuser(t)
	a, held := w.leader(t, pool, "projections", "jobs")
	owner := a.tenant(t, w)
	b := w.serve(t)
	ctx := within(t, 3*patience)
	for round := range 3 {
		leader, other := a, b
		if round%2 == 1 {
			leader, other = b, a
		}
		load := startMixedLoad(t, other.client, owner)
		leader.signal(t, syscall.SIGSTOP)
		for _, part := range []string{"projections", "jobs"} {
			awaitSuccessor(t, pool, part, held[part])
			pids, err := holders(ctx, pool, part)
			if err != nil || len(pids) != 1 {
				t.Fatalf("round %d: %s is held by %v, %v", round, part, pids, err)
			}
			held[part] = pids[0]
		}
		// What is written now is shown although its reader of before is frozen.
		await(t, "a registration that can be read", func(ctx context.Context) error {
			r, err := other.call(ctx, http.MethodPost, "/api/v1/agents", owner.operatorToken, owner.registration(fmt.Sprintf("round-%d", round)))
			if err == nil && r.status != http.StatusCreated && r.status != http.StatusConflict {
				err = fmt.Errorf("%v", r)
			}
			return err
		})
		before := jobTerms(t, pool)
		leader.signal(t, syscall.SIGCONT)
		leader.healthy(t, patience)
		load.awaitMore(t, 20)
		load.end(t)
		for job, term := range jobTerms(t, pool) {
			if term < before[job] {
				t.Errorf("round %d: job %s went from term %d back to %d", round, job, before[job], term)
			}
		}
	}
	if r := runToEnd(t, w.settings, "projections", "verify"); r.code != exitOK {
		t.Errorf("read models differ from a fresh rebuild: code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	w.mustBeSignedOnce(t)
}

// jobTerms are the terms of all jobs.
func jobTerms(tb testing.TB, pool *pgxpool.Pool) map[string]int64 {
	tb.Helper()
	terms := map[string]int64{}
	rows, err := pool.Query(tb.Context(), `SELECT name, term FROM job_runs`)
	if err != nil {
		tb.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var term int64
		if err := rows.Scan(&name, &term); err != nil {
			tb.Fatal(err)
		}
		terms[name] = term
	}
	return terms
}

// A signer that is frozen in the middle of signing, and of its job, wakes up
// when another has had its turn: it signs no other tree, and what the other
// wrote down of the job stands.
func TestSignerFrozenInItsTurnSignsNoOtherTree(t *testing.T) {
	t.Parallel()
	onEachEngine(t, frozenSignerSignsNoOtherTree, "CHECKPOINT_INTERVAL_MS=1000")
}

func frozenSignerSignsNoOtherTree(t *testing.T, w *world) {
	pool := w.superuser(t)
	a, held := w.leader(t, pool, "jobs")
	owner := a.tenant(t, w)
	b := w.serve(t)
	release := holdWrites(t, pool, "checkpoints")
	a.mustToken(t, owner.agent, owner.secret, "")
	waiting(t, pool, 1) // what is remembered and signed is being stored
	a.signal(t, syscall.SIGSTOP)
	awaitSuccessor(t, pool, "jobs", held["jobs"])
	b.mustToken(t, owner.agent, owner.secret, "")
	waiting(t, pool, 2)
	release()
	var finished string
	await(t, "the successor's run", func(ctx context.Context) error {
		return pool.QueryRow(ctx, `SELECT finished_at::text FROM job_runs WHERE name = 'checkpoint' AND outcome = 'passed' AND term > 1`).Scan(&finished)
	})
	a.signal(t, syscall.SIGCONT)
	a.healthy(t, patience)
	for range 3 {
		a.must(t, http.StatusOK, http.MethodGet, "/api/v1/organizations/"+owner.organization+"/checkpoint", owner.operatorToken, nil)
		b.mustToken(t, owner.agent, owner.secret, "")
	}
	var now string
	if err := pool.QueryRow(t.Context(), `SELECT finished_at::text FROM job_runs WHERE name = 'checkpoint'`).Scan(&now); err != nil || now < finished {
		t.Errorf("the job's run is of %s, %v; the successor's was of %s", now, err, finished)
	}
	w.mustBeSignedOnce(t)
}

// holdWrites has whoever writes to a table wait until it is released.
func holdWrites(tb testing.TB, pool *pgxpool.Pool, table string) (release func()) {
	tb.Helper()
	return hold(tb, pool, `BEGIN; LOCK TABLE `+table+` IN EXCLUSIVE MODE`)
}

// hold takes what some statements take, in a session that lives until release
// or, where the test does not come to that, until its end.
func hold(tb testing.TB, pool *pgxpool.Pool, statements ...string) (release func()) {
	tb.Helper()
	session, err := pool.Acquire(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	release = sync.OnceFunc(func() { _ = session.Hijack().Close(context.Background()) })
	tb.Cleanup(release)
	for _, sql := range statements {
		if _, err := session.Exec(tb.Context(), sql); err != nil {
			tb.Fatalf("%s: %v", sql, err)
		}
	}
	return release
}

// mustBeSignedOnce holds every checkpoint that was stored against the ledger.
func (w *world) mustBeSignedOnce(tb testing.TB) {
	tb.Helper()
	store := w.openStore(tb)
	history := chaos.NewHistory(eventstore.Dense(store))
	for event, err := range store.ReadAll(within(tb, patience), 0, eventstore.Filter{}) {
		if err != nil {
			tb.Fatal(err)
		}
		history.Take(event)
	}
	var signed []chaos.Checkpoint
	logs := transparency.NewLogs(w.superuser(tb))
	for _, id := range history.Logs() {
		stored, err := logs.Checkpoints(within(tb, patience), id)
		if err != nil {
			tb.Fatal(err)
		}
		for _, s := range stored {
			signed = append(signed, chaos.Checkpoint{Checkpoint: s.Checkpoint, Log: id, Seen: "the database"})
		}
	}
	if violations := append(history.End(), history.CheckCheckpoints(signed)...); len(violations) > 0 || len(signed) == 0 {
		tb.Errorf("%d checkpoints:\n%s", len(signed), chaos.Shortest(violations))
	}
}

// A server that was frozen for longer than its leases last is asked the moment
// it wakes up, and before: it goes by nothing that was ended meanwhile.
func TestFrozenServerKnowsBetterTheMomentItWakesUp(t *testing.T) {
	t.Parallel()
	onEachEngine(t, frozenKnowsBetter)
}

func frozenKnowsBetter(t *testing.T, w *world) {
	pool := w.superuser(t)
	a, held := w.leader(t, pool, "projections")
	owner := a.tenant(t, w)
	b := w.serve(t)
	own := "/api/v1/agents/" + owner.agent
	// Whatever may be remembered is fresh: of the secret, of tokens, of two agents.
	rotated, revoked := a.mustToken(t, owner.agent, owner.secret, ""), ""
	second := a.must(t, http.StatusCreated, http.MethodPost, "/api/v1/agents", owner.operatorToken, owner.registration("second-of-"+owner.organization)).text("agentId")
	secret := a.must(t, http.StatusCreated, http.MethodPost, "/api/v1/agents/"+second+"/credentials", owner.operatorToken, map[string]any{}).text("clientSecret")
	suspended := a.mustToken(t, second, secret, "")
	revoked = a.mustToken(t, owner.agent, owner.secret, "")
	for _, token := range []string{rotated, revoked, suspended} {
		a.must(t, http.StatusOK, http.MethodGet, own, token, nil)
	}

	a.signal(t, syscall.SIGSTOP)
	awaitSuccessor(t, pool, "projections", held["projections"])
	ctx := within(t, patience)
	if r, err := b.form(ctx, "/oauth2/revoke", owner.agent, owner.secret, map[string][]string{"token": {revoked}}); err != nil || r.status != http.StatusOK {
		t.Fatalf("revoke: %v, %v", r, err)
	}
	b.must(t, http.StatusOK, http.MethodPatch, "/api/v1/agents/"+second, owner.operatorToken, map[string]any{"status": "suspended"})
	b.must(t, http.StatusOK, http.MethodPost, own+"/credentials/"+owner.credential+"/rotate", owner.operatorToken, map[string]any{})

	asks := map[string]func() (reply, error){
		"a token of the old secret":    func() (reply, error) { return a.token(ctx, owner.agent, owner.secret, "") },
		"a token of a suspended agent": func() (reply, error) { return a.token(ctx, second, secret, "") },
	}
	for name, token := range map[string]string{"a revoked token": revoked, "a rotated secret's token": rotated, "a suspended agent's token": suspended} {
		asks[name] = func() (reply, error) { return a.call(ctx, http.MethodGet, own, token, nil) }
	}
	type told struct {
		what string
		reply
		error
	}
	answers := make(chan told, len(asks))
	for what, ask := range asks {
		go func() {
			r, err := ask()
			answers <- told{what, r, err}
		}()
	}
	a.signal(t, syscall.SIGCONT)
	for range asks {
		switch got := <-answers; {
		case got.error == nil && got.status == http.StatusServiceUnavailable:
			// It cannot know yet and says so; then it knows.
			await(t, "an answer to "+got.what, func(context.Context) error {
				r, err := asks[got.what]()
				if err != nil || r.status != http.StatusUnauthorized {
					return fmt.Errorf("%v, %w", r, err)
				}
				return nil
			})
		case got.error != nil || got.status != http.StatusUnauthorized:
			t.Errorf("%s got %v, %v; want 401", got.what, got.reply, got.error)
		}
	}
	w.mustHoldInLedger(t, nil)
}
