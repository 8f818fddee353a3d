package server

import (
	"fmt"
	"slices"

	"github.com/sentryagent/agentidp/follow"
	"github.com/sentryagent/agentidp/internal/keyring"
	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/projections/readmodels"
	"github.com/sentryagent/agentidp/projections/transparency"
	"github.com/sentryagent/agentidp/replay/history"
	"github.com/sentryagent/agentidp/replay/verify"
	"github.com/sentryagent/agentidp/server/stores"
)

// readSide is what is derived from the ledger, and what answers from it.
type readSide struct {
	progress  *follow.Progress
	runner    *follow.Runner
	queries   *readmodels.Queries
	history   *history.History
	logs      *transparency.Logs
	signer    *transparency.Signer
	witnesses *transparency.Witnesses
	verifier  *verify.Verifier
}

func newReadSide(f frame, s *storage, keys *keyring.Keyring) (*readSide, error) {
	models := slices.DeleteFunc(readmodels.All(), func(p projections.Projection) bool { return p.Name == f.without })
	followers := projections.Followers(s.pool, s.store, models, f.logger) // what else follows the ledger goes in here
	progress := follow.NewProgress(s.pool, s.store, followers, follow.ProgressOptions{Logger: f.logger})
	queries := stores.NewQueries(f.config, s.pool, s.store)
	witnesses, err := transparency.NewWitnesses(s.pool, f.config.LedgerOrigin, f.config.WitnessKeys)
	if err != nil {
		return nil, fmt.Errorf("WITNESS_KEYS: %w", err)
	}
	logs := transparency.NewLogs(s.pool)
	signer := stores.NewSigner(s.pool, s.store, keys.MasterKey, f.config, f.now)
	return &readSide{
		progress:  progress,
		runner:    follow.NewRunner(s.pool, s.store, followers, follow.RunnerOptions{Logger: f.logger, Progress: progress}),
		queries:   queries,
		history:   history.New(s.store, queries, f.now),
		logs:      logs,
		signer:    signer,
		witnesses: witnesses,
		verifier:  stores.NewVerifier(s.pool, s.store, logs, signer.Identity(), f.config, nil, nil),
	}, nil
}
