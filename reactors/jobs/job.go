package jobs

import (
	"context"
	"time"
)

// Job is something to do at intervals.
type Job struct {
	Name     string // of the row in job_runs, and in metrics
	Interval time.Duration
	// Run does it. An error says that it could not be done, or not be found out;
	// it is tried again soon. Run ends early when ctx does.
	Run func(ctx context.Context) (Result, error)
}

// Result is what a job has found out.
type Result struct {
	Failed bool   // what it looks after is not as it should be
	Detail string // for operators, in one line
	Count  int64  // of what the job counts: events verified, credentials about to expire

	// Expected: it failed by how the server is set up, which is no news.
	Expected bool
}

// Outcome is how a run ended.
type Outcome string

const (
	NeverRan Outcome = ""
	Passed   Outcome = "passed"
	Failed   Outcome = "failed" // it found something wrong
	Error    Outcome = "error"  // it could not find out
)

// Run is how a job went last.
type Run struct {
	Job        string
	Interval   time.Duration
	Outcome    Outcome
	Detail     string
	Count      int64
	StartedAt  time.Time // zero when it never ran, as FinishedAt
	FinishedAt time.Time
	Duration   time.Duration
	NextAt     time.Time
}

// overdue reports whether the result is too old to say anything: two runs have
// been missed.
func (r Run) overdue(now time.Time) bool {
	return now.After(r.FinishedAt.Add(2*r.Interval + retryAfter))
}

// retryAfter is how soon a job that could not be done is tried again.
const retryAfter = time.Minute

// next is when to run again.
func (r Run) next() time.Time {
	if r.Outcome == Error {
		return r.FinishedAt.Add(min(r.Interval, retryAfter))
	}
	next := r.StartedAt.Add(r.Interval)
	if next.Before(r.FinishedAt) {
		return r.FinishedAt
	}
	return next
}
