package esdb_test

import (
	"fmt"
	"testing"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb"
	"github.com/sentryagent/agentidp/eventstore/storetest"
)

func BenchmarkReadAll(b *testing.B) {
	const streams, each = 200, 250
	cluster := newCluster(b, 1)
	store := newStore(b, cluster.URL(), esdb.Options{})
	for n := range streams {
		drafts := make([]eventstore.Draft, each)
		for i := range drafts {
			drafts[i] = storetest.NewDraft("token.issued")
		}
		mustAppend(b, store, fmt.Sprintf("agent-%d", n), eventstore.NoStream(), drafts...)
	}
	for b.Loop() {
		n := 0
		for _, err := range store.ReadAll(b.Context(), 0, eventstore.Filter{}) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != streams*each {
			b.Fatalf("%d events", n)
		}
	}
	b.ReportMetric(float64(streams*each*b.N)/b.Elapsed().Seconds(), "events/s")
}
