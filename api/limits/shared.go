package limits

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// shared counts in Redis, for all nodes.
type shared struct{ calls *calls }

func newShared(client *redis.Client) shared { return shared{&calls{redis: client}} }

func (s shared) take(ctx context.Context, now time.Time, d Demand) (Outcome, error) {
	const perWindow, perCounter = 4, 5
	keys := make([]string, 0, len(d.Windows)+len(d.Counters))
	args := make([]any, 0, 2+perWindow*len(d.Windows)+perCounter*len(d.Counters))
	hit := 1
	if d.Look {
		hit = 0
	}
	args = append(args, hit, len(d.Windows))
	for _, w := range d.Windows {
		keys = append(keys, w.Key)
		args = append(args, w.part(now), w.reach(), w.Max, w.life().Milliseconds())
	}
	for _, c := range d.Counters {
		keys = append(keys, c.Key)
		backlog := c.backlog
		if c.OnRecord {
			backlog = 0 // it is in the Floor
		}
		args = append(args, c.Period, c.Max, c.Floor, backlog, max(1, c.Ends.Sub(now).Milliseconds()))
	}
	answer, err := s.calls.run(ctx, keys, args)
	if err != nil {
		return Outcome{}, err
	}
	return d.read(answer)
}

// read takes the script's answer apart.
func (d Demand) read(answer []int64) (Outcome, error) {
	if len(answer) == 1 {
		return Outcome{}, ErrUncounted
	}
	if want := 2 + 2*len(d.Windows) + len(d.Counters); len(answer) != want {
		return Outcome{}, fmt.Errorf("take.lua answered %d numbers, want %d", len(answer), want)
	}
	outcome := Outcome{
		FullWindow: int(answer[0]), FullCounter: int(answer[1]),
		Windows: make([]State, len(d.Windows)), Counts: make([]int, len(d.Counters)),
	}
	answer = answer[2:]
	for i, w := range d.Windows {
		outcome.Windows[i] = State{Count: int(answer[2*i]), Frees: w.frees(answer[2*i+1])}
	}
	for i := range d.Counters {
		outcome.Counts[i] = int(answer[2*len(d.Windows)+i])
	}
	return outcome, nil
}
