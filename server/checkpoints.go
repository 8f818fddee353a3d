package server

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sentryagent/agentidp/projections/transparency"
	"github.com/sentryagent/agentidp/reactors/jobs"
)

// signCheckpoints is the job that signs what has grown. A refusal is no trouble
// that passes: somebody has to look.
func signCheckpoints(signer *transparency.Signer, registry prometheus.Registerer) jobs.Judge {
	size := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "agentidp_checkpoint_tree_size", Help: "Entries in the newest checkpoint of the whole ledger that this node signed.",
	})
	refusals := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "agentidp_checkpoints_refused_total", Help: "Times that logs were not signed because they do not extend what was signed before.",
	})
	registry.MustRegister(size, refusals)
	return func(ctx context.Context) (jobs.Verdict, error) {
		all, err := signer.SignAll(ctx)
		for _, c := range all {
			if c.Log == transparency.Whole {
				size.Set(float64(c.Size))
			}
		}
		if _, ok := errors.AsType[*transparency.RefusedError](err); ok {
			refusals.Inc()
			return jobs.Verdict{Count: int64(len(all)), Fault: err}, nil
		}
		return jobs.Verdict{Count: int64(len(all))}, err
	}
}
