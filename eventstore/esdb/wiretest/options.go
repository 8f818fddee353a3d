package wiretest

import (
	"math/rand/v2"

	"github.com/sentryagent/agentidp/eventstore/esdb/model"
)

// lenient is what the engine on main cannot bear yet of the real server: see
// [model.Leniency]. Each line goes when it can.
var lenient = []model.Leniency{model.LenientPositions, model.LenientReaders}

// Option is a setting of a cluster.
type Option func(*model.Options)

// Strict leaves nothing out of what the real server does.
func Strict() Option { return Lenient() }

// Lenient leaves out these behaviours of the real server, and no others.
func Lenient(what ...model.Leniency) Option {
	return func(o *model.Options) { o.Lenient = what }
}

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
