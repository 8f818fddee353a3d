// Package server wires an AgentIdP server together and runs it. It is the list of
// what the server is made of; tests start it just as the serve command does.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"golang.org/x/sync/errgroup"

	"github.com/sentryagent/agentidp/api"
	"github.com/sentryagent/agentidp/api/limits"
	"github.com/sentryagent/agentidp/api/policy"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/internal/keyring"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/migrations"
	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/projections/readmodels"
	"github.com/sentryagent/agentidp/projections/transparency"
	"github.com/sentryagent/agentidp/replay/history"
)

// App is a server that is ready to serve: everything is connected and loaded,
// and the port is bound. Make one with [Start].
type App struct {
	config   config.Config
	version  string
	logger   *slog.Logger
	now      func() time.Time
	pool     *pgxpool.Pool
	redis    *redis.Client
	store    Engine
	queries  *readmodels.Queries
	ledger   *ledger.Ledger
	anchor   *readmodels.Anchor
	progress *projections.Progress
	registry *prometheus.Registry
	lost     atomic.Bool             // the ledger lacks events that it had
	without  string                  // name of a read model that is left out
	jobs     []func(context.Context) // work that goes on while the server runs, until its context ends
	api      *api.Server
	server   *http.Server
	listener net.Listener
	door     *door        // until it listens
	metrics  net.Listener // nil: /metrics is on the API's port
}

// Option changes what a server is made of.
type Option func(*App)

// WithClock has a server live at another time than the machine's.
func WithClock(now func() time.Time) Option { return func(a *App) { a.now = now } }

// WithoutReadModel leaves a read model out: to measure what it costs.
func WithoutReadModel(name string) Option { return func(a *App) { a.without = name } }

// Start builds a server. On error nothing is left open.
func Start(ctx context.Context, c config.Config, version string, logger *slog.Logger, options ...Option) (_ *App, err error) {
	a := &App{config: c, version: version, logger: logger, now: time.Now, registry: prometheus.NewRegistry()}
	for _, option := range options {
		option(a)
	}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	warnOfWideProxies(logger, c.TrustedProxies)
	a.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if err := domain.CheckCatalogue(); err != nil {
		return nil, err
	}
	if a.pool, err = openDatabase(ctx, c, "DATABASE_URL", observeQueries(a.registry), becomeServer); err != nil {
		return nil, err
	}
	if err := migrations.Check(ctx, a.pool); err != nil {
		return nil, err
	}
	if err := a.tellWeaknesses(ctx); err != nil {
		return nil, err
	}
	redisOptions, err := redis.ParseURL(c.RedisURL)
	if err != nil {
		return nil, errors.New("REDIS_URL is not a Redis URL")
	}
	logging.Disable() // the client's writing to standard error: what matters of it comes back as errors
	a.redis = redis.NewClient(impatient(redisOptions))
	a.redis.AddHook(observeCommands(a.registry))
	if err := checkEngine(ctx, a.pool, c); err != nil {
		return nil, err
	}
	if err := a.openLedger(ctx); err != nil {
		return nil, err
	}
	if err := checkShared(ctx, a.pool, sharedSettings(c)...); err != nil {
		return nil, err
	}
	keys, err := keyring.Open(ctx, a.pool, c.MasterKeyFile)
	if err != nil {
		return nil, fmt.Errorf("signing keys: %w", err)
	}
	rules, err := policy.Load(ctx, c.PolicyDir)
	if err != nil {
		return nil, err
	}
	if err := a.wire(ctx, keys, rules, version); err != nil {
		return nil, err
	}
	if err := a.listen(ctx); err != nil {
		return nil, err
	}
	return a, rememberShared(ctx, a.pool, c) // last, so that no start that failed is remembered
}

// impatient has a Redis that is away noticed at once: nothing that needs it
// has no other way.
func impatient(options *redis.Options) *redis.Options {
	const patience = 500 * time.Millisecond
	options.DialTimeout, options.ReadTimeout, options.WriteTimeout = patience, patience, patience
	options.MaxRetries, options.DialerRetries = -1, 1
	return options
}

func (a *App) wire(ctx context.Context, keys *keyring.Keyring, rules *policy.Policy, version string) error {
	c, logger := a.config, a.logger
	readModels := slices.DeleteFunc(readmodels.All(), func(p projections.Projection) bool { return p.Name == a.without })
	progress := projections.NewProgress(a.pool, a.store, readModels, projections.ProgressOptions{Logger: logger})
	a.progress = progress
	runner := projections.NewRunner(a.pool, a.store, readModels, projections.RunnerOptions{Logger: logger, Progress: progress})
	directory := projections.NewDirectory()
	revocations := projections.NewRevocations(a.store, projections.RevocationsOptions{
		Crowd: crowd(c), Now: a.now, Also: []projections.Fold{directory.Fold()},
		Snapshots: projections.NewRevocationSnapshots(a.pool, a.queries, keys, logger),
	})
	limiter := limits.New(a.redis, a.now, logger)
	signer := Signer(a.pool, a.store, keys.MasterKey, c, a.now)
	witnesses, err := transparency.NewWitnesses(a.pool, c.LedgerOrigin, c.WitnessKeys)
	if err != nil {
		return fmt.Errorf("WITNESS_KEYS: %w", err)
	}
	snapshots := ledger.NewSnapshots(a.pool, keys, logger)
	a.ledger = ledger.New(a.store, progress, revocations, ledger.Options{
		SnapshotEvery: int64(c.SnapshotEvery), Snapshots: snapshots, Logger: logger, Now: a.now, ReadWait: c.ReadWaitTimeout,
	})
	idempotency := ledger.NewIdempotencyKeys(a.pool, keys, a.now)
	assertions := ledger.NewAssertions(a.pool)
	for _, key := range keys.PublicKeys() {
		if err := recordKey(ctx, a.ledger, key); err != nil {
			return err
		}
	}
	if err := a.anchor.Begin(ctx, domain.SigningKeyStream(keys.PublicKeys()[0].KID)); err != nil {
		return err
	}
	if err := revocations.Sync(ctx); err != nil {
		return fmt.Errorf("load revocations: %w", err)
	}
	if err := progress.Look(ctx); err != nil {
		return fmt.Errorf("look at the read models: %w", err)
	}
	if outdated := progress.Outdated(); len(outdated) > 0 {
		logger.Info("read models of an older version are rebuilt; until that is done this server is not ready", "projections", outdated)
	}
	verifier := newVerifier(a.pool, a.store, transparency.NewLogs(a.pool), signer.Identity(), c, nil, nil)
	server, err := api.New(api.Parts{
		Verifier: verifier, History: history.New(a.store, a.queries, a.now),
		Ledger: a.ledger, EventStore: reached(a.store, c), Idempotency: idempotency, Assertions: assertions, Queries: a.queries, Progress: progress, Revocations: revocations,
		Directory: directory, Logs: transparency.NewLogs(a.pool), Signer: signer, Witnesses: witnesses, Limiter: limiter,
		Keys: keys, Policy: rules, Redis: a.redis, Registry: a.registry, Logger: logger, Controls: a.controls,
	}, apiOptions(c, version, a.now))
	if err != nil {
		return err
	}
	scheduler := a.scheduler(a.queries, verifier, signer, keys, server)
	a.registry.MustRegister(projections.NewCollector(progress), poolCollector{a.pool}, positionCollector{a.store, &a.lost})
	a.api, a.server = server, httpServer(server, c.IdleTimeout, logger)
	a.jobs = []func(context.Context){
		runner.Run,
		progress.Run,
		revocations.Run,
		limiter.Run,
		snapshots.Run,
		scheduler.Run,
		every(10*time.Second, logger, func(ctx context.Context) error { return a.ledger.FlushAuthFailures(ctx, false) }),
		every(time.Hour, logger, a.anchor.Move),
		every(time.Hour, logger, idempotency.Prune),
		every(10*time.Minute, logger, assertions.Prune),
	}
	return nil
}

func apiOptions(c config.Config, version string, now func() time.Time) api.Options {
	return api.Options{
		Version: version, PublicURL: c.PublicURL, Issuer: c.OIDCIssuer,
		DID: api.DID(c.DIDWebDomain), SigningAlg: c.JWTSigningAlg,
		CORSOrigins: c.CORSOrigins, TrustedProxies: c.TrustedProxies, HSTS: strings.HasPrefix(c.PublicURL, "https://"),
		ReadWait: c.ReadWaitTimeout, RetentionDays: c.AuditRetentionDays,
		Delegation: c.A2AEnabled, Compliance: c.ComplianceEnabled,
		RateLimit: api.RateLimit{Max: c.RateLimitMaxRequests, Window: c.RateLimitWindow}, TierEnforcement: c.TierEnforcement,
		Now:          now,
		MetricsAllow: c.MetricsAllow, MetricsElsewhere: c.MetricsPort != 0,
	}
}

func recordKey(ctx context.Context, l *ledger.Ledger, key keyring.PublicKey) error {
	jwk, err := key.JWK.MarshalJSON()
	if err != nil {
		return err
	}
	return l.RecordSigningKey(ctx, domain.SigningKeyCreated{KeyID: key.KID, Algorithm: key.Alg, PublicKey: jwk})
}

// httpServer has a bound for everything that a client could draw out.
func httpServer(handler http.Handler, idle time.Duration, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      5 * time.Minute, // verifying a large ledger takes its time
		IdleTimeout:       idle,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
}

// Run serves until ctx ends, then lets requests in flight finish, writes down
// what is only in memory, and closes everything.
func (a *App) Run(ctx context.Context) error {
	defer a.close()
	jobs, stopJobs := context.WithCancel(context.WithoutCancel(ctx))
	defer stopJobs()
	group, jobs := errgroup.WithContext(jobs)
	for _, job := range a.jobs {
		group.Go(func() error {
			job(jobs)
			return nil
		})
	}
	a.catchUp(ctx)
	group.Go(func() error { return a.watchLedger(jobs) })
	group.Go(func() error { return a.serve(a.server, a.listener) })
	var metrics *http.Server
	if a.metrics != nil {
		metrics = httpServer(api.MetricsHandler(a.registry), a.config.IdleTimeout, a.logger)
		group.Go(func() error { return a.serve(metrics, a.metrics) })
	}
	a.logger.Info("serving", "address", a.Address(), "url", a.config.PublicURL, "metrics", "http://"+a.MetricsAddress()+"/metrics")
	select {
	case <-ctx.Done():
		a.drain(jobs)
	case <-jobs.Done(): // one of them failed
	}
	a.logger.Info("stopping")
	err := a.stop(metrics)
	stopJobs()
	if jobErr := group.Wait(); jobErr != nil && !errors.Is(jobErr, context.Canceled) {
		err = errors.Join(jobErr, err)
	}
	return err
}

// drain goes on serving for a while, and says that it is about to stop.
func (a *App) drain(jobs context.Context) {
	a.api.Drain()
	if a.config.DrainTime == 0 {
		return
	}
	a.logger.Info("draining", "seconds", a.config.DrainTime.Seconds())
	over := time.NewTimer(a.config.DrainTime)
	defer over.Stop()
	select {
	case <-over.C:
	case <-jobs.Done():
	}
}

// catchUp waits, within bounds, until the read models have what was written
// before this server was there, by bootstrap for one. Whoever connects meanwhile
// waits to be accepted.
func (a *App) catchUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, a.config.ReadWaitTimeout)
	defer cancel()
	head, err := a.store.Head(ctx)
	if err == nil && len(a.progress.Outdated()) == 0 {
		err = errors.Join(a.progress.Wait(ctx, head), a.anchor.Move(ctx))
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		a.logger.WarnContext(ctx, "serving before the read models have caught up", "error", err)
	}
}

func (a *App) serve(server *http.Server, listener net.Listener) error {
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (a *App) stop(metrics *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), a.config.ShutdownTimeout)
	defer cancel()
	err := a.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("requests were cut off after %s: %w", a.config.ShutdownTimeout, err), a.server.Close())
	}
	if metrics != nil {
		err = errors.Join(err, metrics.Close())
	}
	if flushErr := a.ledger.FlushAuthFailures(ctx, true); flushErr != nil {
		a.logger.Warn("counts of failed authentications were lost", "error", flushErr)
	}
	return err
}

func (a *App) close() {
	if a.door != nil {
		if listener := a.door.handOver(); listener != nil {
			_ = listener.Close()
		}
	}
	if a.listener != nil {
		_ = a.listener.Close()
	}
	if a.metrics != nil {
		_ = a.metrics.Close()
	}
	if a.store != nil {
		a.store.Close()
	}
	if a.redis != nil {
		_ = a.redis.Close()
	}
	if a.pool != nil {
		a.pool.Close()
	}
}
