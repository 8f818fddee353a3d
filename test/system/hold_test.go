package system_test

import (
	"context"
	"fmt"
	"testing"
)

// holdPostgres has whoever writes an event of a type wait and never succeed.
// arrived returns once somebody does; over, when they are gone, ends it.
func (w *world) holdPostgres(t *testing.T, eventType string) (arrived, over func()) {
	t.Helper()
	pool := w.superuser(t)
	ctx := within(t, patience)
	const hold = `
CREATE FUNCTION hold_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(4711);
    RETURN NEW;
END
$$;
CREATE TRIGGER hold_event BEFORE INSERT ON events FOR EACH ROW WHEN (NEW.type = '%s') EXECUTE FUNCTION hold_event()`
	execute := func(sql string, arguments ...any) {
		t.Helper()
		if _, err := pool.Exec(ctx, sql, arguments...); err != nil {
			t.Fatal(err)
		}
	}
	execute(fmt.Sprintf(hold, eventType))
	lock, err := pool.Acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock.Exec(ctx, `SELECT pg_advisory_lock(4711)`); err != nil {
		t.Fatal(err)
	}
	var held []int32
	arrived = func() { held = waiting(t, pool, 1) }
	over = func() {
		defer lock.Release()
		// PostgreSQL would not notice that its client is dead before it has done
		// what the client asked for.
		execute(`SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS pid`, held)
		await(t, "the server's session to end", func(ctx context.Context) error {
			var left int
			if err := pool.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity WHERE pid = ANY($1::int[])`, held).Scan(&left); err != nil {
				return err
			}
			if left > 0 {
				return fmt.Errorf("%d are left", left)
			}
			return nil
		})
		if _, err := lock.Exec(ctx, `SELECT pg_advisory_unlock(4711)`); err != nil {
			t.Fatal(err)
		}
		execute(`DROP TRIGGER hold_event ON events; DROP FUNCTION hold_event()`)
	}
	return arrived, over
}

// holdEventStore is [world.holdPostgres] for the other engine.
func (w *world) holdEventStore(t *testing.T, eventType string) (arrived, over func()) {
	t.Helper()
	waiting, over := w.eventStore.Hold(eventType)
	return func() {
		select {
		case <-waiting:
		case <-within(t, patience).Done():
			t.Fatalf("nobody appends %s", eventType)
		}
	}, over
}
