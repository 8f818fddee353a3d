package jobs_test

import (
	"slices"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/reactors/jobs"
)

func TestControlsClaimNothingThatWasNotLookedAt(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)
	run := func(job string, outcome jobs.Outcome, ago time.Duration) jobs.Run {
		return jobs.Run{Job: job, Interval: time.Hour, Outcome: outcome, StartedAt: now.Add(-ago), FinishedAt: now.Add(-ago)}
	}
	part, full := jobs.VerifyNewEvents, jobs.VerifyAllEvents
	signed, guarded := run(jobs.Checkpoint, jobs.Passed, 0), run(jobs.DatabaseGuards, jobs.Passed, 0)
	untouched := run(jobs.StoreStreams, jobs.Passed, 0)
	for name, test := range map[string]struct {
		runs []jobs.Run
		want jobs.Status // of CC7.2
	}{
		"no job has run":        {nil, jobs.Unknown},
		"one has not run":       {[]jobs.Run{signed, run(part, jobs.Passed, 0)}, jobs.Unknown},
		"both passed":           {[]jobs.Run{signed, run(part, jobs.Passed, time.Minute), run(full, jobs.Passed, time.Hour)}, jobs.Passing},
		"one failed":            {[]jobs.Run{signed, run(part, jobs.Failed, 0), run(full, jobs.Passed, 0)}, jobs.Failing},
		"the other failed":      {[]jobs.Run{signed, run(part, jobs.Passed, 0), run(full, jobs.Failed, 0)}, jobs.Failing},
		"failed, other missing": {[]jobs.Run{signed, run(full, jobs.Failed, 0)}, jobs.Failing},
		"could not look":        {[]jobs.Run{signed, run(part, jobs.Error, 0), run(full, jobs.Passed, 0)}, jobs.Unknown},
		"taken up, never ran":   {[]jobs.Run{signed, {Job: part, Interval: time.Hour}, run(full, jobs.Passed, 0)}, jobs.Unknown},
		"not looked at lately":  {[]jobs.Run{signed, run(part, jobs.Passed, 3*time.Hour), run(full, jobs.Passed, 0)}, jobs.Unknown},
		"never signed":          {[]jobs.Run{run(part, jobs.Passed, 0), run(full, jobs.Passed, 0)}, jobs.Unknown},
		"signing refused":       {[]jobs.Run{run(jobs.Checkpoint, jobs.Failed, 0), run(part, jobs.Passed, 0), run(full, jobs.Passed, 0)}, jobs.Failing},
		"guards are gone":       {[]jobs.Run{signed, run(part, jobs.Passed, 0), run(full, jobs.Passed, 0), run(jobs.DatabaseGuards, jobs.Failed, 0)}, jobs.Failing},
		"a stream was deleted":  {[]jobs.Run{signed, run(part, jobs.Passed, 0), run(full, jobs.Passed, 0), run(jobs.StoreStreams, jobs.Failed, 0)}, jobs.Failing},
		"failed long ago":       {[]jobs.Run{signed, run(part, jobs.Failed, 300*time.Hour), run(full, jobs.Passed, 0)}, jobs.Failing},
	} {
		t.Run(name, func(t *testing.T) {
			got, runs := map[string]jobs.Control{}, test.runs
			if len(runs) > 0 && !slices.ContainsFunc(runs, func(r jobs.Run) bool { return r.Job == jobs.DatabaseGuards }) {
				runs = append(runs, guarded)
			}
			if len(runs) > 0 && !slices.ContainsFunc(runs, func(r jobs.Run) bool { return r.Job == jobs.StoreStreams }) {
				runs = append(runs, untouched)
			}
			for _, c := range jobs.Controls(runs, now) {
				got[c.ID] = c
			}
			if len(got) != 5 || got["CC7.2"].Status != test.want {
				t.Errorf("got %+v, want five controls, CC7.2 %s", got, test.want)
			}
			for _, id := range []string{"CC6.1", "CC6.7", "CC7.1", "CC9.2"} {
				if got[id].Status != jobs.Unknown || !got[id].LastChecked.IsZero() {
					t.Errorf("%s is %+v without a job of its own having run", id, got[id])
				}
			}
		})
	}
}
