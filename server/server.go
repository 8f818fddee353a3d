// Package server puts an AgentIdP server together and runs it. [Start] lists what one
// is made of, from top to bottom; each part has a file of its own. Tests start servers
// just as the serve command does.
package server

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/sentryagent/agentidp/api"
	"github.com/sentryagent/agentidp/api/policy"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/internal/keyring"
	"github.com/sentryagent/agentidp/server/keys"
	"github.com/sentryagent/agentidp/server/stores"
)

// Server is ready to serve: everything is connected and loaded, and the port is bound.
// Make one with [Start].
type Server struct {
	frame
	storage *storage
	door    *door // until it listens
	watch   *watch
	read    *readSide
	write   *writeSide
	http    *front
	work    []func(context.Context) // what goes on while the server runs, until its context ends
}

// frame is what all parts of a server have in common.
type frame struct {
	config   config.Config
	version  string
	logger   *slog.Logger
	now      func() time.Time
	registry *prometheus.Registry
	without  string // name of a read model that is left out
	timing   keys.Timing
}

// Option changes what a server is made of.
type Option func(*frame)

// WithClock has a server live at another time than the machine's.
func WithClock(now func() time.Time) Option { return func(f *frame) { f.now = now } }

// WithKeyTiming has signing keys live faster than the settings allow, for tests.
func WithKeyTiming(timing keys.Timing) Option { return func(f *frame) { f.timing = timing } }

// WithoutReadModel leaves a read model out: to measure what it costs.
func WithoutReadModel(name string) Option { return func(f *frame) { f.without = name } }

// Start builds a server. On error nothing is left open.
func Start(ctx context.Context, c config.Config, version string, logger *slog.Logger, options ...Option) (_ *Server, err error) {
	f := frame{config: c, version: version, logger: logger, now: time.Now, registry: prometheus.NewRegistry(), timing: keys.TimingOf(c)}
	for _, option := range options {
		option(&f)
	}
	s := &Server{frame: f, storage: &storage{}}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	warnOfWideProxies(logger, c.TrustedProxies)
	warnOfOpenRanges(logger, c.OutboundAllow)
	f.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if err := domain.CheckCatalogue(); err != nil {
		return nil, err
	}
	if err := s.storage.open(ctx, f); err != nil {
		return nil, err
	}
	s.door = openDoor(ctx, f, s.storage)
	if s.watch, err = recognize(ctx, f, s.storage); err != nil {
		return nil, err
	}
	ring, err := keyring.Open(ctx, s.storage.pool, c.MasterKeyFile)
	if err != nil {
		return nil, fmt.Errorf("signing keys: %w", err)
	}
	rules, err := policy.Load(ctx, c.PolicyDir)
	if err != nil {
		return nil, err
	}
	if s.read, err = newReadSide(f, s.storage, ring); err != nil {
		return nil, err
	}
	s.write = newWriteSide(f, s.storage, s.read, ring)
	if err := s.begin(ctx, ring); err != nil {
		return nil, err
	}
	if s.http, err = newFront(f, s.storage, s.read, s.write, ring, rules); err != nil {
		return nil, err
	}
	s.work = s.newWork(ring)
	if err := s.http.listen(ctx, f, s.door); err != nil {
		return nil, err
	}
	return s, stores.RememberShared(ctx, s.storage.pool, c) // last, so that no start that failed is remembered
}

// begin puts the first signing keys and the server's own DID on record, brings up what
// is kept in memory, and counts this server among those that serve.
func (s *Server) begin(ctx context.Context, ring *keyring.Keyring) error {
	landmark, err := s.write.recordFirstKeys(ctx, ring)
	if err != nil {
		return err
	}
	if err := s.watch.anchor.Begin(ctx, landmark); err != nil {
		return err
	}
	if err := s.write.keys.Begin(ctx, s.config.ForceKeyRotation); err != nil {
		return fmt.Errorf("signing keys: %w", err)
	}
	if err := s.write.beginInstance(ctx, api.InstanceDID(s.config.DIDWebDomain)); err != nil {
		return fmt.Errorf("the server's own DID: %w", err)
	}
	if _, err := s.write.revocations.Sync(ctx); err != nil {
		return fmt.Errorf("load revocations: %w", err)
	}
	if err := s.read.progress.Look(ctx); err != nil {
		return fmt.Errorf("look at the read models: %w", err)
	}
	if outdated := s.read.progress.Outdated(); len(outdated) > 0 {
		s.logger.Info("read models of an older version are rebuilt; until that is done this server is not ready", "projections", outdated)
	}
	return nil
}

func (s *Server) close() {
	if s.door != nil {
		if listener := s.door.handOver(); listener != nil {
			_ = listener.Close()
		}
	}
	if s.http != nil {
		s.http.close()
	}
	s.storage.close()
}
