package chaos_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"
	"google.golang.org/grpc/metadata"

	"github.com/sentryagent/agentidp/eventstore/esdb/wiretest"
	"github.com/sentryagent/agentidp/test/chaos"
)

// patient is a victim that counts what is wrong with all like it.
type patient struct {
	ill  chan struct{} // has room for as many as may be
	most chan int
}

func (p patient) Faults(*rand.Rand) []chaos.Fault {
	return []chaos.Fault{
		{Name: "ill", Weight: 1, Least: time.Second, Most: time.Minute, Begin: func() { p.ill <- struct{}{}; p.most <- len(p.ill) }, End: func() { <-p.ill }},
		{Name: "never", Weight: 0, Begin: func() { panic("it has no weight") }},
	}
}

func TestOneMemberIsLeftAloneAndAllAreHealedInTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := patient{ill: make(chan struct{}, 3), most: make(chan int, 10_000)}
		faults := chaos.Faults{Seed: 1, Members: []chaos.Victim{p, p, p}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		faults.Run(ctx)
		close(p.most)
		begun, most := 0, 0
		for n := range p.most {
			begun, most = begun+1, max(most, n)
		}
		if len(p.ill) != 0 || most != 2 || faults.Count()["ill"] != begun || begun == 0 {
			t.Errorf("%d are left ill, %d were at once, %d counted of %d; want none, 2, and all", len(p.ill), most, faults.Count()["ill"], begun)
		}
	})
}

// After each fault of the event store it can be used as before.
func TestTheEventStoreIsWholeAfterEachFault(t *testing.T) {
	t.Parallel()
	cluster := wiretest.Start(t, 3)
	rng := rand.New(rand.NewPCG(1, 1))
	for _, fault := range (chaos.EventStore{Cluster: cluster}).Faults(rng) {
		for range 5 {
			fault.Begin()
			fault.End()
			library, err := cluster.Client()
			if err != nil {
				t.Fatal(err)
			}
			insisting := metadata.AppendToOutgoingContext(t.Context(), "requires-leader", "true")
			_, err = library.AppendToStream(insisting, "s", client.AppendToStreamOptions{}, client.EventData{EventID: uuid.New(), EventType: "a.x"})
			if err != nil {
				t.Errorf("after %s: %v", fault.Name, err)
			}
			_ = library.Close()
		}
	}
}
