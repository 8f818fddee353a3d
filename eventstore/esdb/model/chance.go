package model

import (
	"context"
	"hash/fnv"
	"math/rand/v2"
	"time"
)

// chance is all that the server leaves to chance in one matter. It depends on
// the seed, the time and the matter, and not on how often chance was asked
// before: so a round in virtual time replays from its seed even where several
// callers ask at the same moment, in whatever order they are scheduled.
func (c *Cluster) chance(matter, of string, which uint64) *rand.Rand {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(matter)) // never fails
	_, _ = hash.Write([]byte{0})
	_, _ = hash.Write([]byte(of))
	return rand.New(rand.NewPCG(c.seed^hash.Sum64(), which^uint64(time.Now().UnixNano())<<8))
}

type asker struct{}

// From says who asks, so that what two ask at the same moment does not arrive at
// the same moment.
func From(ctx context.Context, who uint64) context.Context {
	return context.WithValue(ctx, asker{}, who)
}

func askerOf(ctx context.Context) uint64 {
	who, _ := ctx.Value(asker{}).(uint64)
	return who
}

// between draws a duration.
func between(chance *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(chance.Int64N(int64(most-least)+1))
}

// half is true every other time.
func half(chance *rand.Rand) bool { return chance.IntN(2) == 0 }
