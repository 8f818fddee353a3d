package jobs

import (
	"slices"
	"time"
)

// Status is how a control stands.
type Status string

const (
	Passing Status = "passing"
	Failing Status = "failing"
	Unknown Status = "unknown" // no job has looked, or not lately, or it could not
)

// Control is one of the SOC 2 controls.
type Control struct {
	ID          string
	Name        string
	Status      Status
	LastChecked time.Time // zero when never
	Jobs        []Run     // that it rests on
}

// controls says which jobs look after what. A control without a job is
// unknown: nothing here is claimed that was not looked at.
var controls = []struct {
	id, name string
	jobs     []string
}{
	{"CC6.1", "Encryption at Rest", []string{KeyCheck}},
	{"CC6.7", "TLS Enforcement", []string{TLSCheck}},
	{"CC7.1", "Webhook Dead-Letter Monitoring", nil},
	{"CC7.2", "Audit Log Integrity", []string{VerifyNewEvents, VerifyAllEvents, Checkpoint, DatabaseGuards, StoreStreams}},
	{"CC9.2", "Secrets Rotation", []string{SecretsRotation, CredentialExpiry}},
}

// Controls tells how the controls stand by what the jobs have found. Without
// runs all of them are unknown.
func Controls(runs []Run, now time.Time) []Control {
	all := make([]Control, len(controls))
	for i, c := range controls {
		all[i] = Control{ID: c.id, Name: c.name, Status: Passing}
		if len(c.jobs) == 0 {
			all[i].Status = Unknown
		}
		for _, job := range c.jobs {
			at := slices.IndexFunc(runs, func(r Run) bool { return r.Job == job })
			if at < 0 {
				all[i].rest(Run{Job: job}, now)
				continue
			}
			all[i].rest(runs[at], now)
		}
	}
	return all
}

// rest lets a run count for the control: bad news stays until a run brings
// better, good news only for as long as runs are on time.
func (c *Control) rest(r Run, now time.Time) {
	c.Jobs = append(c.Jobs, r)
	if r.FinishedAt.After(c.LastChecked) {
		c.LastChecked = r.FinishedAt
	}
	switch {
	case r.Outcome == Failed:
		c.Status = Failing
	case c.Status == Passing && (r.Outcome != Passed || r.overdue(now)):
		c.Status = Unknown
	}
}
