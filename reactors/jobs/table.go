package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// answerTimeout bounds statements that take no time.
const answerTimeout = 3 * time.Second

// errFenced: somebody else has the right to run the job by now.
var errFenced = errors.New("another process runs the job")

// turn is the right to run a job, as the table has it.
type turn struct {
	term   int64
	nextAt time.Time
}

// A job that is new is due at once. One whose interval was made shorter is due
// when it would have been with that interval.
const takeTurn = `INSERT INTO job_runs AS j (name, term, interval_ms, next_at) VALUES ($1, 1, $2, $3)
	ON CONFLICT (name) DO UPDATE SET term = j.term + 1, interval_ms = excluded.interval_ms,
		next_at = LEAST(j.next_at, coalesce(j.started_at + excluded.interval_ms * interval '1 millisecond', j.next_at))
	RETURNING term, next_at`

// take begins a new term: whoever had the one before can write no more.
func take(ctx context.Context, pool *pgxpool.Pool, job Job, now time.Time) (t turn, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if err := pool.QueryRow(ctx, takeTurn, job.Name, job.Interval.Milliseconds(), now).Scan(&t.term, &t.nextAt); err != nil {
		return t, fmt.Errorf("take over the job: %w", err)
	}
	return t, nil
}

const storeRun = `UPDATE job_runs
	SET outcome = $3, detail = $4, count = $5, started_at = $6, finished_at = $7, duration_us = $8, next_at = $9
	WHERE name = $1 AND term = $2`

// store writes down how a run went. It is [errFenced] when the term is over.
func (t turn) store(ctx context.Context, pool *pgxpool.Pool, r Run) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	stored, err := pool.Exec(ctx, storeRun, r.Job, t.term, string(r.Outcome), r.Detail, r.Count,
		r.StartedAt, r.FinishedAt, r.Duration.Microseconds(), r.NextAt)
	switch {
	case err != nil:
		return fmt.Errorf("write down the run: %w", err)
	case stored.RowsAffected() == 0:
		return errFenced
	}
	return nil
}

const selectRuns = `SELECT name, interval_ms, coalesce(outcome, ''), detail, count, started_at, finished_at, duration_us, next_at
	FROM job_runs ORDER BY name`

// Runs tells how every job went last, by its name; those that no node has
// taken up yet are not there.
func Runs(ctx context.Context, pool *pgxpool.Pool) ([]Run, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	rows, err := pool.Query(ctx, selectRuns)
	if err != nil {
		return nil, fmt.Errorf("read the jobs: %w", err)
	}
	runs, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r Run, err error) {
		var interval, took int64
		var started, finished *time.Time
		err = row.Scan(&r.Job, &interval, (*string)(&r.Outcome), &r.Detail, &r.Count, &started, &finished, &took, &r.NextAt)
		r.Interval, r.Duration = time.Duration(interval)*time.Millisecond, time.Duration(took)*time.Microsecond
		if started != nil && finished != nil {
			r.StartedAt, r.FinishedAt = started.UTC(), finished.UTC()
		}
		r.NextAt = r.NextAt.UTC()
		return r, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the jobs: %w", err)
	}
	return runs, nil
}
