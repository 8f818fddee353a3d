package server

import (
	"context"
	"encoding/json"
	"time"

	"github.com/sentryagent/agentidp/api"
	"github.com/sentryagent/agentidp/api/compliance"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/keyring"
	"github.com/sentryagent/agentidp/migrations"
	"github.com/sentryagent/agentidp/reactors/jobs"
	"github.com/sentryagent/agentidp/replay/verify"
)

// guardInterval is how often the guards of the database are looked at, at least:
// five queries of catalogues, over all servers.
const guardInterval = time.Minute

const (
	didInterval   = time.Hour // in which agents that have no DID document get one
	sweepInterval = 24 * time.Hour
)

// overdue is how much older than the age at which another is published a signing key may
// get: longer than any lead.
const overdue = 7 * 24 * time.Hour

// scheduler runs what is done once over all nodes.
func (s *Server) scheduler(keys *keyring.Keyring) *jobs.Scheduler {
	c, pool := s.config, s.storage.pool
	list := []jobs.Job{
		jobs.VerifyNew(c.VerifyNewInterval, verifyNew(s.read.verifier)),
		jobs.VerifyAll(c.VerifyAllInterval, verifyAll(s.read.verifier)),
		jobs.SignCheckpoints(c.CheckpointInterval, signCheckpoints(s.read.signer, s.registry)),
		jobs.ExpireCredentials(c.CredentialScanInterval, s.read.queries, s.write.ledger, s.now),
		jobs.CreateDIDs(didInterval, s.read.queries, s.write.ledger, api.DID(c.DIDWebDomain)),
		jobs.SweepDIDKeys(sweepInterval, s.read.queries, s.write.ledger, keptKeys{s.write.didKeys}, s.now),
		jobs.ExpirePartners(c.CredentialScanInterval, s.read.queries, s.write.ledger, s.now, s.http.api.ReportPartnerExpired),
		jobs.CheckKeys(c.ControlCheckInterval, func(ctx context.Context) (jobs.Verdict, error) {
			fault, err := keys.Check(ctx, pool, c.MasterKeyFile)
			return jobs.Verdict{Fault: fault}, err
		}),
		jobs.CheckGuards(min(c.ControlCheckInterval, guardInterval), func(ctx context.Context) ([]string, error) {
			return migrations.Unguarded(ctx, pool)
		}),
		jobs.CheckStreams(min(c.ControlCheckInterval, guardInterval), s.storage.interferences),
		jobs.CheckTLS(c.ControlCheckInterval, c.PublicURL, nil, s.now),
		jobs.CheckRotation(c.ControlCheckInterval, jobs.RotationRules{
			MaxAge: s.timing.MaxAge + overdue, Grace: 2*c.CredentialScanInterval + time.Minute,
		}, func() time.Time { return signingSince(keys) }, s.read.queries, s.now),
	}
	m := newJobMetrics(s.registry, list, s.http.api)
	return jobs.NewScheduler(pool, list, jobs.Options{Logger: s.logger, Now: s.now, Ran: m.ran, Seen: m.seen})
}

// keptKeys shows the keyring's keys of DIDs to the job that sweeps them.
type keptKeys struct{ *keyring.DIDKeys }

func (k keptKeys) Kept(ctx context.Context, before time.Time, after string, limit int) ([]jobs.KeptKey, error) {
	stored, err := k.Stored(ctx, before, after, limit)
	kept := make([]jobs.KeptKey, len(stored))
	for i, s := range stored {
		kept[i] = jobs.KeptKey{ID: s.KID, Agent: domain.AgentID{UUID: s.Agent}}
	}
	return kept, err
}

func (keptKeys) IDOf(public json.RawMessage) (string, error) { return keyring.DIDKeyID(public) }

// interferences are what was done to the ledger's streams past the ledger, each in a
// line of its own.
func (s *storage) interferences(ctx context.Context) (told []string, err error) {
	found, err := eventstore.Interferences(ctx, s.store, 0)
	for _, i := range found {
		told = append(told, verify.FindingOf(i).Error())
	}
	return told, err
}

// verifyAll proves the ledger from its beginning.
func verifyAll(verifier *verify.Verifier) jobs.Judge {
	return func(ctx context.Context) (jobs.Verdict, error) {
		report, err := verifier.Verify(ctx, verify.Scope{})
		return verdict(report), err
	}
}

// verifyNew proves what has come since the last time, and remembers how far it came.
func verifyNew(verifier *verify.Verifier) jobs.Judge {
	return func(ctx context.Context) (jobs.Verdict, error) {
		report, err := verifier.VerifyNew(ctx)
		if err == nil {
			err = verifier.Remember(ctx, report)
		}
		return verdict(report), err
	}
}

func verdict(report verify.Report) jobs.Verdict {
	v := jobs.Verdict{Count: report.Checked}
	if report.Break != nil {
		v.Fault = report.Break
	}
	return v
}

// signingSince is when the oldest key was published that signs.
func signingSince(keys *keyring.Keyring) (oldest time.Time) {
	for _, key := range keys.PublicKeys() {
		if key.State == keyring.Current && (oldest.IsZero() || key.CreatedAt.Before(oldest)) {
			oldest = key.CreatedAt
		}
	}
	return oldest
}

// controls tells how the controls stand. When the database is away nothing is
// known of them.
func (s *storage) controls(ctx context.Context, f frame) []compliance.Control {
	runs, err := jobs.Runs(ctx, s.pool)
	if err != nil {
		f.logger.WarnContext(ctx, "the controls are unknown", "error", err)
	}
	controls := jobs.Controls(runs, f.now())
	shown := make([]compliance.Control, len(controls))
	for i, c := range controls {
		shown[i] = compliance.Control{ID: c.ID, Name: c.Name, Status: string(c.Status), LastChecked: c.LastChecked}
		for _, r := range c.Jobs {
			shown[i].Jobs = append(shown[i].Jobs, compliance.ControlJob{
				Name: r.Job, Result: string(r.Outcome), LastRun: r.FinishedAt, Duration: r.Duration, NextRun: r.NextAt,
			})
		}
	}
	return shown
}
