package main

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/projections/readmodels"
	"github.com/sentryagent/agentidp/server"
)

// trees measures what the transparency logs cost: token issuance beside the
// same by a server that does not build them.
func (b *bench) trees(ctx context.Context) (err error) {
	const atLeast = 0.95 // of the rate without
	treeless, without, err := b.onFreshLedger(ctx, "treeless", func(at ledgerAt) (*node, error) {
		return b.startSelf(ctx, at, config.AlgES256, nil, modeTreeless)
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, treeless.stop()) }()
	product, with, err := b.onFreshLedger(ctx, "treed", func(at ledgerAt) (*node, error) {
		return b.startServer(ctx, at, config.AlgES256)
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, product.stop()) }()
	got, beside, err := b.sendInTurns(ctx, b.tokenLoad(product, with, clients, agents), func() (float64, error) {
		const part = 3
		m, err := b.send(ctx, b.tokenLoad(treeless, without, clients, agents), b.warmUp/part, b.duration/part)
		return summarize(m).rate, err
	})
	if err != nil {
		return err
	}
	b.addHTTP("token ES256 with transparency logs, 64 clients", got, "without them", beside, &target{Ratio: atLeast})
	return nil
}

// onFreshLedger starts a server on a ledger of its own, so that those that are
// compared have equally much in it.
func (b *bench) onFreshLedger(ctx context.Context, database string, start func(ledgerAt) (*node, error)) (*node, *tenant, error) {
	l, err := b.openLedger(ctx, database)
	if err != nil {
		return nil, nil, err
	}
	at := l.at
	l.close()
	s, err := start(at)
	if err != nil {
		return nil, nil, err
	}
	t, err := b.newTenant(ctx, s, at)
	if err != nil {
		return nil, nil, errors.Join(err, s.stop())
	}
	return s, t, nil
}

// serveTreeless is the serve command without the projection of the logs.
func serveTreeless(ctx context.Context) error {
	settings, err := config.Load(os.Environ(), "")
	if err != nil {
		return err
	}
	s, err := server.Start(ctx, settings, "bench", slog.New(slog.NewJSONHandler(os.Stderr, nil)), server.WithoutReadModel(readmodels.Logs))
	if err != nil {
		return err
	}
	return s.Run(ctx)
}
