package esdb

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/eventstore/esdb/wire"
	"github.com/sentryagent/agentidp/eventstore/esdb/wiretest"
)

// Nobody may ask the library for a connection once it knows that the last one
// broke, and who asks must have been given one before the gate closes: else
// they are left inside when it finds no other. This holds the library to what
// conn.go knows of it.
func TestTheGateClosesBeforeTheLibraryActs(t *testing.T) {
	t.Parallel()
	cluster := wiretest.Start(t, 1)
	config, err := client.ParseConnectionString(cluster.URL())
	if err != nil {
		t.Fatal(err)
	}
	c, err := newConn(*config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	// A call whose answer is on its way while it still sends ends with EOF, which
	// says nothing about the connection; the next one meets what is wrong.
	appendOne := func(ctx context.Context, library *client.Client) (err error) {
		for range 10 {
			_, err = library.AppendToStream(ctx, "s", client.AppendToStreamOptions{}, client.EventData{EventID: uuid.New(), EventType: "a.x"})
			if !strings.Contains(fmt.Sprint(err), "EOF") {
				break
			}
		}
		return err
	}
	for _, working := range []bool{true, false} {
		if !working {
			cluster.Close()
		}
		_, err := call(t.Context(), c, func(ctx context.Context, library *client.Client) (none struct{}, _ error) {
			if got := c.waitedFor(); got != 1 {
				t.Errorf("%d calls without a connection are waited for, want this one", got)
			}
			err := appendOne(ctx, library)
			if got := c.waitedFor(); got != 0 {
				t.Errorf("%d calls are waited for although this one has had its connection", got)
			}
			if dead(c) == working {
				t.Errorf("after %v the gate is closed: %v", err, dead(c))
			}
			return none, err
		})
		if (err == nil) != working {
			t.Errorf("with a server %v: %v", working, err)
		}
	}
	if _, err := call(t.Context(), c, func(context.Context, *client.Client) (none struct{}, _ error) {
		t.Error("somebody was let in")
		return none, nil
	}); wire.VerdictOf(err) != wire.Broken {
		t.Errorf("a call that came too late: %v", err)
	}
}

func (c *conn) waitedFor() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asking
}

// The library ends when it finds no node, and never answers whoever asked it
// meanwhile. They are given up, and keep nobody else waiting.
func TestAConnThatIsNeverGivenKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	config, err := client.ParseConnectionString("esdb://127.0.0.1:1,127.0.0.1:2?tls=false&maxDiscoverAttempts=2&discoveryInterval=50")
	if err != nil {
		t.Fatal(err)
	}
	c, err := newConn(*config)
	if err != nil {
		t.Fatal(err)
	}
	var asking sync.WaitGroup
	for range 5 {
		asking.Go(func() {
			_, err := call(t.Context(), c, func(ctx context.Context, library *client.Client) (*client.WriteResult, error) {
				return library.AppendToStream(ctx, "s", client.AppendToStreamOptions{}, client.EventData{EventID: uuid.New(), EventType: "a.x"})
			})
			if wire.VerdictOf(err) != wire.Broken {
				t.Errorf("a call that finds no node: %v", err)
			}
		})
	}
	asking.Wait()
	if !dead(c) {
		t.Error("the conn is still in use")
	}
}
