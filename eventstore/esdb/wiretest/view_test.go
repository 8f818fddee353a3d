package wiretest_test

import (
	"testing"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"google.golang.org/grpc/metadata"

	"github.com/sentryagent/agentidp/test/chaos"
)

// Behind proxies of its own a client can be cut off from all nodes, and nobody
// else is: whatever it is told of the nodes leads it back to its proxies.
func TestWhoComesByAViewIsToldOfNoOtherWay(t *testing.T) {
	t.Parallel()
	cluster, elsewhere := open(t, 3)
	view, err := cluster.NewView()
	if err != nil {
		t.Fatal(err)
	}
	var way chaos.Line
	for _, address := range view.Addresses() {
		proxy, err := chaos.NewProxy(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(proxy.Close)
		way = append(way, proxy)
	}
	view.Advertise(way.Addresses())
	for n := range 3 { // who comes back is where it was
		cluster.Node(n).Stop()
		if err := cluster.Node(n).Start(); err != nil {
			t.Fatal(err)
		}
	}
	config, err := client.ParseConnectionString(view.URL())
	if err != nil {
		t.Fatal(err)
	}
	config.Logger = client.NoopLogging()
	library, err := client.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = library.Close() })
	insisting := metadata.AppendToOutgoingContext(t.Context(), "requires-leader", "true")
	add := func(c *client.Client) error {
		_, err := c.AppendToStream(insisting, "s", client.AppendToStreamOptions{}, event(1))
		return err
	}
	for n := range 3 {
		cluster.Lead(cluster.Node(n))
		if n > 0 {
			if err := add(library); codeOf(err) != client.ErrorCodeNotLeader {
				t.Errorf("append to a follower: %v, want not leader", err)
			}
		}
		if err := add(library); err != nil {
			t.Errorf("append to leader %d: %v", n, err)
		}
	}
	way.Cut()
	if err := add(library); err == nil {
		t.Error("an append found a way around the proxies")
	}
	cluster.Lead(cluster.Node(0))
	if err := add(elsewhere); err != nil {
		t.Errorf("an append by the other way: %v", err)
	}
}

func TestWhatIsHeldIsNotMade(t *testing.T) {
	t.Parallel()
	cluster, library := open(t, 1)
	arrived, over := cluster.Hold("a.x")
	add := func(eventType string) error {
		e := event(1)
		e.EventType = eventType
		_, err := library.AppendToStream(t.Context(), eventType, client.AppendToStreamOptions{}, e)
		return err
	}
	held := make(chan error)
	go func() { held <- add("a.x") }()
	<-arrived
	if err := add("a.y"); err != nil {
		t.Errorf("an append of another type: %v", err)
	}
	over()
	if err := <-held; err == nil {
		t.Error("an append that was held was acknowledged")
	}
	if err := add("a.x"); err != nil {
		t.Errorf("an append when it is over: %v", err)
	}
	if got := cluster.Events(); got != 2 {
		t.Errorf("%d events, want 2", got)
	}
}
