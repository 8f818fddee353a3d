package wiretest

import (
	"math/rand/v2"

	"github.com/sentryagent/agentidp/eventstore/esdb/model"
)

// Option is a setting of a cluster.
type Option func(*model.Options)

// Version makes the cluster another version of the server, such as "24.10".
func Version(version string) Option {
	return func(o *model.Options) { o.Version = version }
}

// Elections has the nodes elect their leader by themselves, with chances drawn
// from a seed.
func Elections(seed uint64) Option {
	return func(o *model.Options) {
		o.Elections, o.Rand = true, rand.New(rand.NewPCG(seed, seed))
	}
}
