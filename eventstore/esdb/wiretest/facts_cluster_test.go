package wiretest_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/gossip"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	api "github.com/EventStore/EventStore-Client-Go/v4/protos/streams"

	"github.com/sentryagent/agentidp/eventstore/esdb/wiretest"
)

// The facts of nodes need nodes that can be stopped: the wire server's alone.

// nodes is a way to each node of a cluster.
func nodes(t *testing.T, cluster *wiretest.Cluster) (all []*server) {
	t.Helper()
	view, err := cluster.NewView()
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range view.Addresses() {
		all = append(all, dial(t, address))
	}
	return all
}

func TestAFollowerNamesTheLeaderInTrailers(t *testing.T) {
	t.Parallel()
	cluster := wiretest.Start(t, 3)
	follower := nodes(t, cluster)[1]
	var trailers metadata.MD
	_, err := follower.api.Delete(follower.ctx, deleteOf("s"), grpc.Trailer(&trailers))
	follower.refused(err, codes.NotFound, "Leader info available")
	for key, want := range map[string]string{"exception": "not-leader", "leader-endpoint-host": "127.0.0.1", "leader-endpoint-port": ""} {
		if got := trailers.Get(key); len(got) != 1 || want != "" && got[0] != want {
			t.Errorf("%s is %v in %v", key, got, trailers)
		}
	}
	if _, err := follower.subscribe(follower.ctx, start(), follower.ours()); status.Code(err) != codes.NotFound {
		t.Errorf("a subscription from the start: %v", err)
	}
	sub, err := follower.subscribe(follower.ctx, end(), follower.ours())
	if err != nil {
		t.Fatal(err)
	}
	cluster.Lead(cluster.Node(1)) // what was subscribed to lives on
	follower.add("a", one())
	follower.event(sub)
	cluster.Lead(cluster.Node(2))
	other := nodes(t, cluster)[2]
	other.prefix = follower.prefix
	other.add("a", one())
	follower.event(sub)
}

func deleteOf(name string) *api.DeleteReq {
	return &api.DeleteReq{Options: &api.DeleteReq_Options{
		StreamIdentifier:       &shared.StreamIdentifier{StreamName: []byte(name)},
		ExpectedStreamRevision: &api.DeleteReq_Options_Any{Any: &shared.Empty{}},
	}}
}

// A leader is frozen until another is elected. Woken, it answers from the past,
// names itself in gossip, ends, and comes back.
func TestADeposedLeaderOnTheWire(t *testing.T) {
	t.Parallel()
	cluster := wiretest.Start(t, 3, wiretest.Elections(1))
	all := nodes(t, cluster)
	old, number := all[0], 0
	for _, s := range all {
		s.prefix = old.prefix
	}
	before := old.add("a", one())
	cluster.Node(number).Freeze()
	asked := make(chan int, 1)
	go func() { // a question that lies in a frozen node is answered late
		events, _, err := old.stream("a")
		if err != nil {
			t.Errorf("a question to a frozen node: %v", err)
		}
		asked <- len(events)
	}()
	leader := leads(t, cluster, all, number)
	select {
	case <-asked:
		t.Error("a frozen node answered")
	default:
	}
	leader.add("a", one())
	cluster.Node(number).Wake()
	if got := <-asked; got != 1 {
		t.Errorf("the old leader sees %d events, want the one at %d", got, before.at)
	}
	gossiped, err := gossip.NewGossipClient(old.connection).Read(t.Context(), &shared.Empty{})
	if err != nil || gossiped.GetMembers()[number].GetState() != gossip.MemberInfo_Leader {
		t.Errorf("the old leader says %v, %v", gossiped, err)
	}
	for {
		events, _, err := old.stream("a")
		if err != nil {
			if code := status.Code(err); code != codes.Unavailable {
				t.Errorf("the old leader refuses with %v", err)
			}
			break
		}
		if len(events) != 1 {
			t.Fatalf("the old leader sees %d events", len(events))
		}
	}
	eventually(t, "it follows", func() bool { // it is started again
		_, _, err := old.stream("a")
		return status.Code(err) == codes.NotFound
	})
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// leads waits for a leader that is another one.
func leads(t *testing.T, cluster *wiretest.Cluster, all []*server, not int) *server {
	t.Helper()
	eventually(t, "another leads", func() bool { l := cluster.Leader(); return l != nil && l != cluster.Node(not) })
	return all[cluster.Leader().Number()]
}

// A follower's death is not noticed; without any the leader answers no append.
func TestAQuorumAnswers(t *testing.T) {
	t.Parallel()
	cluster := wiretest.Start(t, 3)
	leader := nodes(t, cluster)[0]
	cluster.Node(1).Stop()
	leader.add("a", one())
	cluster.Node(2).Stop()
	ctx := leader.ctx
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	leader.ctx = short
	if _, err := leader.append("a", anything, one()); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("an append without a quorum: %v", err)
	}
	leader.ctx = ctx
	if events, _, err := leader.stream("a"); err != nil || len(events) != 1 {
		t.Errorf("%d events, %v", len(events), err)
	}
	if err := errors.Join(cluster.Node(1).Start(), cluster.Node(2).Start()); err != nil {
		t.Fatal(err)
	}
	leader.add("a", one())
	if events, _, err := leader.stream("a"); err != nil || len(events) != 3 {
		t.Errorf("%d events, %v, want the one nobody waited for as well", len(events), err)
	}
}

func TestAFrozenNodeMayBeStopped(t *testing.T) {
	t.Parallel()
	cluster := wiretest.Start(t, 1)
	s := nodes(t, cluster)[0]
	s.add("a", one())
	cluster.Node(0).Freeze()
	failed := make(chan error)
	go func() {
		_, err := s.append("a", anything, one())
		failed <- err
	}()
	cluster.Node(0).Stop()
	if err := <-failed; status.Code(err) != codes.Unavailable && !strings.Contains(err.Error(), "EOF") {
		t.Errorf("an append to a node that was killed: %v", err)
	}
	if err := cluster.Node(0).Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is there again", func() bool {
		_, err := s.append("a", anything, one())
		return err == nil
	})
}
