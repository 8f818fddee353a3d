package stores

import (
	"context"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

var roundTripBuckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .5, 1, 5}

// queryObserver measures queries and batches, counts who waits for a connection
// of the pool, and abandons connections to servers that have become read-only.
type queryObserver struct {
	duration prometheus.Histogram
	waiting  prometheus.Gauge
}

var (
	_ pgx.QueryTracer       = (*queryObserver)(nil)
	_ pgx.BatchTracer       = (*queryObserver)(nil)
	_ pgxpool.AcquireTracer = (*queryObserver)(nil)
)

func observeQueries(registry prometheus.Registerer) *queryObserver {
	o := &queryObserver{
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "agentidp_db_query_duration_seconds", Help: "Time of a query or batch of queries.", Buckets: roundTripBuckets,
		}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "agentidp_db_pool_waiting_requests", Help: "Requests that are being given a connection or wait for one.",
		}),
	}
	registry.MustRegister(o.duration, o.waiting)
	return o
}

type startKey struct{}

func started(ctx context.Context) context.Context {
	return context.WithValue(ctx, startKey{}, time.Now())
}

func (o *queryObserver) ended(ctx context.Context) {
	if start, known := ctx.Value(startKey{}).(time.Time); known {
		o.duration.Observe(time.Since(start).Seconds())
	}
}

func (o *queryObserver) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return started(ctx)
}

func (o *queryObserver) TraceQueryEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryEndData) {
	o.ended(ctx)
	if data.Err != nil {
		abandonReadOnly(conn, data.Err)
	}
}

func (o *queryObserver) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return started(ctx)
}

func (o *queryObserver) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

func (o *queryObserver) TraceBatchEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceBatchEndData) {
	o.ended(ctx)
	if data.Err != nil {
		abandonReadOnly(conn, data.Err)
	}
}

func (o *queryObserver) TraceAcquireStart(ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireStartData) context.Context {
	o.waiting.Inc()
	return ctx
}

func (o *queryObserver) TraceAcquireEnd(context.Context, *pgxpool.Pool, pgxpool.TraceAcquireEndData) {
	o.waiting.Dec()
}

// commandObserver measures Redis commands.
type commandObserver struct{ duration prometheus.Histogram }

func observeCommands(registry prometheus.Registerer) commandObserver {
	o := commandObserver{prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "agentidp_redis_command_duration_seconds", Help: "Time of a Redis command or pipeline.", Buckets: roundTripBuckets,
	})}
	registry.MustRegister(o.duration)
	return o
}

func (o commandObserver) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		return next(ctx, network, address)
	}
}

func (o commandObserver) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, command redis.Cmder) error {
		defer o.since(time.Now())
		return next(ctx, command)
	}
}

func (o commandObserver) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		defer o.since(time.Now())
		return next(ctx, commands)
	}
}

func (o commandObserver) since(start time.Time) { o.duration.Observe(time.Since(start).Seconds()) }
