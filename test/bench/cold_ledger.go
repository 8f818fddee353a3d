package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/internal/keyring"
	"github.com/sentryagent/agentidp/internal/wait"
	writeside "github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
	"github.com/sentryagent/agentidp/server/upkeep"
)

// coldLedger is a ledger of either engine without a server, to issue many
// tokens the way a server does but for HTTP and the signature.
type coldLedger struct {
	*upkeep.Ledger
	settings config.Config
	keys     *keyring.MasterKey
}

func (b *bench) openCold(ctx context.Context, at ledgerAt) (*coldLedger, error) {
	settings, err := b.config(at)
	if err != nil {
		return nil, err
	}
	keys, err := keyring.LoadMasterKey(settings.MasterKeyFile)
	if err != nil {
		return nil, err
	}
	opened, err := upkeep.OpenLedger(ctx, settings)
	return &coldLedger{opened, settings, keys}, err
}

// begin makes a write side that has nothing in memory, and the saving of its snapshots.
func (l *coldLedger) begin() (*writeside.Ledger, *writeside.Snapshots) {
	snapshots := writeside.NewSnapshots(l.Pool, l.keys, slog.New(slog.DiscardHandler))
	return writeside.New(l.Store, nil, revocation.New(l.Store, revocation.Options{}), writeside.Options{
		SnapshotEvery: int64(l.settings.SnapshotEvery), Snapshots: snapshots,
	}), snapshots
}

// load takes the time of loading an agent that is not in memory.
func (l *coldLedger) load(ctx context.Context, a agent) (time.Duration, error) {
	id, err := domain.ParseAgentID(a.id)
	if err != nil {
		return 0, err
	}
	cold, _ := l.begin()
	begin := time.Now()
	_, err = cold.Agent(ctx, id)
	return time.Since(begin), err
}

// issueUpTo issues tokens to an agent until its stream has nearly so many
// events: where a start is dearest, a whole interval of snapshots after the last
// one but for the few tokens that will come while it is measured.
func (l *coldLedger) issueUpTo(ctx context.Context, a agent, events int) error {
	id, err := domain.ParseAgentID(a.id)
	if err != nil {
		return err
	}
	const toCome = 20
	every := l.settings.SnapshotEvery
	missing := events / every * every
	for newest, err := range l.Store.ReadStream(ctx, domain.AgentStream(id), eventstore.End, eventstore.Backwards) {
		if err != nil {
			return err
		}
		missing -= int(newest.Revision) + 1
		break
	}
	const many = 128 // as may share an append
	if err := l.issue(ctx, a, missing-every, many); err != nil {
		return err
	}
	return l.issue(ctx, a, every-toCome, 1) // so that the snapshot is not late
}

// issue issues tokens to an agent, some at once.
func (l *coldLedger) issue(ctx context.Context, a agent, tokens, callers int) error {
	id, err := domain.ParseAgentID(a.id)
	if err != nil {
		return err
	}
	server, snapshots := l.begin()
	saving, stop := context.WithCancel(ctx)
	var saver sync.WaitGroup
	saver.Go(func() { snapshots.Run(saving) })
	defer saver.Wait()
	defer stop()
	errs := make([]error, callers)
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			for n := i; n < tokens && errs[i] == nil; n += callers {
				errs[i] = issueOne(ctx, server, a, id, l.command(a))
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func clientOrigin(a agent) writeside.Origin {
	return writeside.Origin{
		Actor:   writeside.Actor{Kind: "agent", ID: a.id},
		Request: writeside.Request{ID: "req-1", IP: "192.0.2.7", Agent: "bench/1"},
	}
}

func issueOne(ctx context.Context, server *writeside.Ledger, a agent, id domain.AgentID, command domain.IssueToken) error {
	client, err := server.Authenticate(ctx, id, command.Proof, command.At)
	if err != nil {
		return err
	}
	offer, err := server.OfferToken(ctx, client, command)
	if err != nil {
		return err
	}
	_, err = server.IssueToken(ctx, clientOrigin(a), offer)
	return err
}

func (l *coldLedger) command(a agent) domain.IssueToken {
	keyID, mac := l.keys.CredentialVerifier(a.secret)
	return domain.IssueToken{
		Proof: domain.Proof{Secret: []domain.Verifier{{KeyID: keyID, MAC: mac}}}, TokenID: domain.TokenID{UUID: newID()},
		Audience: l.settings.PublicURL, Algorithm: config.AlgES256, KeyID: "k1", At: time.Now().UTC().Truncate(time.Second),
	}
}

// awaitQuiet waits until the read models have everything up to the head, and
// every job has run.
func (b *bench) awaitQuiet(ctx context.Context, at ledgerAt, head eventstore.Position) error {
	const quiet = `SELECT (SELECT coalesce(min(position), 0) >= $1 FROM projection_checkpoints)
		AND NOT EXISTS (SELECT FROM job_runs WHERE outcome IS NULL OR next_at <= now())`
	const recheck, patience = 50 * time.Millisecond, 10 * time.Minute
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return onDatabase(ctx, at.ownerURL, func(conn *pgx.Conn) error {
		for {
			var isQuiet bool
			if err := conn.QueryRow(ctx, quiet, int64(head)).Scan(&isQuiet); err != nil || isQuiet {
				return err
			}
			_ = wait.For(ctx, recheck)
		}
	})
}
