// Package jobs runs what a server does by itself, at intervals and once over
// all nodes: proving the ledger, putting expired credentials on record,
// checking what the compliance controls promise.
//
// A [Job] is a name, an interval and a function. The [Scheduler] of each node
// asks for the lease of every job; who has it runs the job when it is due and
// writes down how it went, fenced by a term, in table job_runs. The next run is
// in that table too, so neither a restart nor a change of node runs a job
// early, and a job whose holder died in the middle runs again at once.
//
// Start with job.go; each job has a file of its own, and controls.go says what
// they mean for the five controls.
package jobs
